"""docs/architecture.md shows the whole house: a package that is added, moved or removed has to change its line there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = (ROOT / "core/src", *ROOT.glob("adapters/*/src"))
LINE = re.compile(r"^\| `((?:hotspare|\w+_hotspare|llama_index)[\w.]*)` \| \S.* \|$", re.MULTILINE)


def test_every_package_has_one_line() -> None:
    """The packages of core and of the adapters are those of the page's tables: each once, and no other."""
    packages = [
        ".".join(path.parent.relative_to(source).parts) for source in SOURCES for path in source.rglob("__init__.py")
    ]
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    assert sorted(LINE.findall(page)) == sorted(packages)
