"""The shape of the code: no import cycles, modules and functions of readable size, and contracts that cover every package.

`make lint` checks the contracts themselves (import-linter); here stands what import-linter cannot say.
"""

import ast
import tomllib
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from statistics import median
from typing import Any

import grimp
import pytest

from tests.support.sources import syntax_tree

ROOT = Path(__file__).parents[2]
SOURCES = (*ROOT.glob("core/src"), *ROOT.glob("adapters/*/src"))
CORE = ROOT / "core/src/hotspare"
ADAPTERS = ("langchain_hotspare", "llama_index.llms.hotspare", "llama_index.embeddings.hotspare", "litellm_hotspare")
MAX_MODULE = 400
MAX_MEDIAN = 250
MAX_FUNCTION = 40


def modules() -> list[Path]:
    """Every module of core and the adapters."""
    return sorted(path for source in SOURCES for path in source.rglob("*.py"))


@cache
def graph() -> grimp.ImportGraph:
    """The imports at run time, those inside functions included; imports for type checkers only are not."""
    return grimp.build_graph("hotspare", *ADAPTERS, exclude_type_checking_imports=True, cache_dir=None)


@cache
def contracts() -> dict[str, Any]:
    """import-linter's contracts by id."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return {contract["id"]: contract for contract in settings["tool"]["importlinter"]["contracts"]}


def private_packages() -> set[str]:
    """The private packages and modules of core."""
    return {f"hotspare.{path.stem}" for path in CORE.iterdir() if path.name.startswith("_") and path.stem[1] != "_"}


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """The name and the length, in lines, of every function in a module."""
    for node in ast.walk(syntax_tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            yield f"{path.relative_to(ROOT)}:{node.lineno} {node.name}", node.end_lineno - node.lineno + 1


def test_no_import_cycle() -> None:
    """No module imports itself through others, neither at the top nor inside a function."""
    imports = {module: graph().find_modules_directly_imported_by(module) for module in graph().modules}
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(reversed(error.args[1])))


def test_modules_are_short() -> None:
    """None over 400 lines, and half of them at most 250."""
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in modules()}
    assert not [f"{path.relative_to(ROOT)}: {count}" for path, count in lines.items() if count > MAX_MODULE]
    assert median(lines.values()) <= MAX_MEDIAN


def test_functions_are_short() -> None:
    """None over 40 lines."""
    found = [(name, length) for path in modules() for name, length in functions(path)]
    assert len(found) > 100
    assert not [f"{name}: {length}" for name, length in found if length > MAX_FUNCTION]


@pytest.mark.parametrize("contract", ["adapters", "drill"])
def test_contracts_on_public_modules_name_every_private_package(contract: str) -> None:
    """A new private package of core is forbidden to adapters and to the drill."""
    assert private_packages() <= set(contracts()[contract]["forbidden_modules"])


def test_every_private_package_is_pure_or_forbidden_to_pure_ones() -> None:
    """A new private package is either a source or a forbidden module of the contract on purity.

    `_config` is neither: Policy and Target check their own fields with its `coercion`, which does no I/O.
    """
    pure = contracts()["pure"]
    assert private_packages() == {
        name for name in {*pure["source_modules"], *pure["forbidden_modules"], "hotspare._config"} if "._" in name
    }


@pytest.mark.parametrize("package", [*ADAPTERS, "hotspare.drill"])
def test_only_public_names_are_imported(package: str) -> None:
    """Adapters and the drill import no private name, not even of a public module."""
    for module in {package, *graph().find_descendants(package)}:
        path = imported_file(module)
        for node in ast.walk(syntax_tree(path)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "hotspare":
                assert node.module is not None
                names = [*node.module.split("."), *(alias.name for alias in node.names)]
                private = [name for name in names if name.startswith("_") and not name.startswith("__")]
                assert not private, f"{path.relative_to(ROOT)}:{node.lineno}: {private}"


def imported_file(module: str) -> Path:
    """The file of a module."""
    relative = Path(*module.split("."))
    found = [source / tail for source in SOURCES for tail in (relative / "__init__.py", relative.with_suffix(".py"))]
    return next(path for path in found if path.is_file())
