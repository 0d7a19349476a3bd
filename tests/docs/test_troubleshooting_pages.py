"""The troubleshooting pages: every error leads to one, all have the same shape, and the messages that they show are real."""

import contextlib
import importlib
import io
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import hotspare
import pytest
from hotspare.errors import AllTargetsFailed, HotspareError
from hotspare.outcome import AttemptRecord, Kind

DOCS = Path(__file__).parents[2] / "docs"
GUIDES = sorted(path for path in (DOCS / "troubleshooting").glob("*.md") if path.name != "index.md")
ADDRESS = "https://github.com/hotspare/hotspare/blob/main/docs/"
SHOWN = re.compile(r"^```python\n((?:(?!^```$).)*)^```\n\n```text\n(.*?)^```$", re.S | re.M)
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.S | re.M)


def page_of(address: str) -> Path:
    """The file behind the address of a page."""
    assert address.startswith(ADDRESS)
    return DOCS / address.removeprefix(ADDRESS)


def all_errors(base: type[HotspareError] = HotspareError) -> Iterator[type[HotspareError]]:
    """The class and all classes below it."""
    yield base
    for one in base.__subclasses__():
        yield from all_errors(one)


def test_every_error_leads_to_a_page() -> None:
    """Each class of the tree, those in other modules and in the adapters included, names a page that exists; those that are raised
    for failed calls name one of their own, and not the index."""
    for module in pkgutil.walk_packages(hotspare.__path__, "hotspare."):
        if not module.name.endswith("__main__"):
            with contextlib.suppress(ImportError):  # a module of an extra that is not installed
                importlib.import_module(module.name)
    found = set(all_errors())
    assert len(found) > 25
    for error in found:
        assert page_of(error.docs).is_file(), error
    public = [error for error in found if error.__module__ == "hotspare.errors"]
    general = {error.__name__ for error in public if error.docs.endswith("index.md")}
    assert general == {"HotspareError", "CallError", "_Problems"}


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind not in (Kind.OK, Kind.CANCELLED)])
def test_a_failed_call_leads_to_the_page_of_its_last_attempt(kind: Kind) -> None:
    """Each kind of failure has a page, which names it."""
    earlier = AttemptRecord(1, "a", Kind.AUTH, 0.1)
    error = AllTargetsFailed("failed", [earlier, AttemptRecord(2, "b", kind, 0.1)])
    page = page_of(error.docs)
    assert page in GUIDES
    assert page.name != "all-targets-failed.md"
    assert kind.upper() in page.read_text(encoding="utf-8")
    assert AllTargetsFailed("failed").docs.endswith("all-targets-failed.md")


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.stem)
def test_one_shape(page: Path) -> None:
    """What it looks like, what hotspare does, what the reader can do; and the index links to it."""
    headings = re.findall(r"^## (.*)$", page.read_text(encoding="utf-8"), re.M)
    assert headings == ["What it looks like", "What hotspare does automatically", "What you can do"]
    assert f"]({page.name})" in (page.parent / "index.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "page", [page for page in GUIDES if SHOWN.search(page.read_text(encoding="utf-8"))], ids=lambda page: page.stem
)
def test_the_messages_are_real(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a block prints is the text that the page shows below it."""
    monkeypatch.setenv("OPENAI_API_KEY", "test-key")
    text = page.read_text(encoding="utf-8")
    shown = dict(SHOWN.findall(text))
    names: dict[str, object] = {}
    for code in PYTHON.findall(text):
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile(code, str(page), "exec"), names)
        if code in shown:
            assert printed.getvalue() == shown[code]


def test_the_korean_page_has_every_section() -> None:
    """A section for each English page, in the order of the site, that leads to it; its messages stand in the English page too."""
    text = (DOCS / "ko" / "troubleshooting.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## [^\n]* \{#([\w-]+)\}\n(.*?)(?=^## |\Z)", text, re.S | re.M))
    assert sections.keys() == {page.stem for page in GUIDES}
    for page in GUIDES:
        english, korean = page.read_text(encoding="utf-8"), sections[page.stem]
        assert f"](../troubleshooting/{page.name})" in korean
        assert "**hotspare가 하는 일**" in korean
        assert "**할 일**" in korean
        for message in re.findall(r"^```text\n(.*?)^```$", korean, re.S | re.M):
            assert message in english
