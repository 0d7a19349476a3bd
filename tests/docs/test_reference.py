"""The API reference has an entry for every public name, drawn from its docstring."""

import re
import runpy
from importlib import import_module
from pathlib import Path
from types import ModuleType

import griffe
import pytest

DOCS = Path(__file__).parents[2] / "docs"
ENTRIES = [
    entry
    for page in sorted((DOCS / "reference").glob("*.md"))
    for entry in re.findall(r"^::: (\S+)$", page.read_text(encoding="utf-8"), re.M)
]
PACKAGES = (
    "hotspare", "hotspare.testing", "langchain_hotspare", "llama_index.llms.hotspare", "llama_index.embeddings.hotspare", "litellm_hotspare",
)  # fmt: skip
PARTS = ("hotspare.events", "hotspare.ledger", "hotspare.monitor", "hotspare.telemetry")


def public(module: ModuleType) -> set[str]:
    """Names that the package exports."""
    names = getattr(module, "__all__", None) or [
        name for name, value in vars(module).items() if not name.startswith("_") and not isinstance(value, ModuleType)
    ]
    return {f"{module.__name__}.{name}" for name in names if name != "__version__"}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_export_has_one_entry(package: str) -> None:
    """A name that is added, renamed or removed changes its page of the reference."""
    here = [entry for entry in ENTRIES if entry.rpartition(".")[0] == package and not entry.startswith(PARTS)]
    assert sorted(here) == sorted(public(import_module(package)))


def test_every_page_is_in_the_navigation() -> None:
    """A page of the reference that is not linked is not found."""
    navigation = (DOCS.parent / "mkdocs.yml").read_text(encoding="utf-8")
    assert all(f"reference/{page.name}" in navigation for page in (DOCS / "reference").glob("*.md"))


def test_fields_named_in_a_docstring_become_attributes() -> None:
    """Entries without a heading, two names in one entry, and a paragraph after them are read as they are meant."""
    rewritten = runpy.run_path(str(DOCS / "docstrings.py"))["with_attributes"](
        "A limit.\n\nrpm: requests a minute.\n    None: no limit.\nlow, high: bounds.\nother: no field.\n\nMore words.",
        {"rpm", "low", "high"},
    )
    sections = griffe.Docstring(rewritten).parse("google")
    attributes = next(section.value for section in sections if section.kind is griffe.DocstringSectionKind.attributes)
    assert [(one.name, one.description) for one in attributes] == [
        ("rpm", "requests a minute.\nNone: no limit."),
        ("low", "bounds."),
        ("high", "bounds."),
    ]
    assert "More words." in rewritten and "other: no field." in rewritten
