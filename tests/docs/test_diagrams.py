"""The diagrams of the site are those of the code's own tables, and nothing on the site is loaded from elsewhere."""

import re
import runpy
from pathlib import Path
from xml.etree.ElementTree import Element, fromstring

import pytest
from hotspare._engine.decide import _RULES
from hotspare._engine.reasons import RULES
from hotspare._health.breaker import TRANSITIONS, State

ROOT = Path(__file__).parents[2]
HOOK = runpy.run_path(str(ROOT / "docs/diagrams.py"))
MARKS = [
    (path, name)
    for path in sorted((ROOT / "docs").rglob("*.md"))
    for name in re.findall(r"<!-- diagram: (\w+) -->", path.read_text(encoding="utf-8"))
]


def drawn(name: str) -> Element:
    """The diagram as it is put into a page. The text has no namespace: it is part of an HTML page."""
    return fromstring(HOOK["on_page_markdown"](f"<!-- diagram: {name} -->"))


def words(element: Element) -> str:
    """What can be read in it."""
    return " ".join(" ".join(element.itertext()).split())


def test_the_breaker_has_the_codes_states_and_transitions() -> None:
    """Each transition once, from, because and to; and no other."""
    svg = drawn("breaker")
    edges = [group for group in svg.iter("g") if group.get("class") == "edge"]
    found = [(State[edge.get("data-from", "")], words(edge), State[edge.get("data-to", "")]) for edge in edges]
    assert sorted(found) == sorted(TRANSITIONS)
    assert [words(group) for group in svg.iter("g") if group.get("class") == "state"] == [str(one) for one in State]


def test_the_rules_are_those_of_the_code_in_its_order() -> None:
    """Every rule that decides has a step, with an answer beside it; the names are those that recordings print."""
    steps = [words(group) for group in drawn("rules").iter("g") if group.get("class") == "step"]
    expected = [f"{number}. {name} {HOOK['ANSWERS'][number]}" for number, name in RULES.items()]
    assert steps == expected
    assert {number for number, _ in _RULES} <= RULES.keys() == HOOK["ANSWERS"].keys()


@pytest.mark.parametrize("name", ["breaker", "rules", "breaks"])
def test_a_diagram_fits_a_phone(name: str) -> None:
    """Boxes lie inside its 360 units, and Markdown finds no empty line in it; some page shows it."""
    svg = drawn(name)
    _, _, width, height = map(int, svg.get("viewBox", "").split())
    assert width == 360
    for box in svg.iter("rect"):
        assert int(box.get("x", "")) + int(box.get("width", "")) <= width
        assert int(box.get("y", "")) + int(box.get("height", "")) <= height
    assert name in {mark for _, mark in MARKS}


def test_every_mark_has_a_diagram() -> None:
    """A misspelt name fails the build instead of leaving a gap."""
    assert all(drawn(name) for _, name in MARKS)
    with pytest.raises(KeyError):
        HOOK["on_page_markdown"]("<!-- diagram: braker -->")


def test_nothing_is_loaded_from_elsewhere() -> None:
    """No fonts, scripts or styles of another host: no diagram that a script from a CDN draws, no such address in the settings."""
    settings = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert "font: false" in settings and "mermaid" not in settings
    assert "://" not in settings
    for path in sorted((ROOT / "docs").rglob("*.md")):
        text = path.read_text(encoding="utf-8")
        assert "```mermaid" not in text, path
        assert not re.search(r"!\[[^]]*\]\(http|(?:src|href)=\"http", text), path
