"""The drill is built on the public API, and no other part of the library depends on it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parents[3] / "core" / "src"
DRILL = SOURCE / "hotspare" / "drill"


def imports_of(path: Path, *, module_level: bool = False) -> Iterator[str]:
    """The modules that a file imports: all of them, or those that are imported with the module itself."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body if module_level else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_the_drill_imports_public_names_only() -> None:
    """No module of it imports a private module, or the wire formats that it is a second implementation of."""
    files = list(DRILL.rglob("*.py"))
    assert len(files) > 20
    names = {name for path in files for name in imports_of(path)}
    own = {name for name in names if name.startswith("hotspare.")}
    assert "hotspare.Pool" in own
    private = re.compile(r"hotspare\.(.*\.)?_[^_]|hotspare\.providers")
    assert [name for name in own if private.match(name)] == []


def test_only_its_command_imports_the_drill() -> None:
    """So that the library can be imported without it."""
    outside = [path for path in SOURCE.rglob("*.py") if DRILL not in path.parents]
    users = {
        path.relative_to(SOURCE).as_posix()
        for path in outside
        for name in imports_of(path, module_level=True)
        if name.startswith("hotspare.drill")
    }
    assert users == {"hotspare/_cli/drill.py"}
