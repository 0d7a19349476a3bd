"""The page of each capability has one shape, so that a reader finds the same thing at the same place."""

import re
from pathlib import Path

import hotspare.events
import pytest

DOCS = Path(__file__).parents[2] / "docs"
CAPABILITIES = (
    "routing", "streams", "limits", "cost", "monitoring", "fleet", "embeddings", "providers", "networks", "recordings", "testing", "configuration",
)  # fmt: skip
SHAPE = [
    "Thirty seconds of code", "How it works", "Defaults", "What it emits", "How to test it", "Do and don't",
]  # fmt: skip
FENCED = re.compile(r"^```.*?^```", re.M | re.S)


def sections(name: str) -> dict[str, str]:
    """The page's parts by their headings of the second level; the first part, under "", says what it is for."""
    text = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    bare = FENCED.sub(lambda block: block[0].replace("#", "\0"), text)
    first, *rest = re.split(r"^## ([^\n]+)\n", bare, flags=re.M)
    return {"": first} | dict(zip(rest[::2], rest[1::2], strict=True))


@pytest.mark.parametrize("name", CAPABILITIES)
def test_a_capability_has_the_shape(name: str) -> None:
    """What it is for in words alone, then code, how it works, a generated table, events, a test, and advice; in this order."""
    found = sections(name)
    assert [heading for heading in found if heading in SHAPE] == SHAPE
    assert list(found)[1 : len(SHAPE) + 1] == SHAPE, "a section of its own belongs below `How it works`"
    purpose = found[""].partition("\n")[2].strip()
    assert purpose and "```" not in purpose
    assert re.search(r"^```(?:python|toml)", found["Thirty seconds of code"], re.M)
    assert "<!-- table: " in found["Defaults"]
    assert re.search(r"^(?:\* \*\*Do|\|)", found["Do and don't"], re.M)


@pytest.mark.parametrize("name", CAPABILITIES)
def test_what_it_emits_exists(name: str) -> None:
    """Events that the page names are events, and metrics that it names are those of the exporter (metrics.md)."""
    emitted = sections(name)["What it emits"]
    events = re.findall(r"\]\(events\.md#(\w+)\)", emitted)
    named = re.findall(r"\[`(\w+)`\]\(events\.md", emitted)
    assert events == [one.lower() for one in named]
    assert all(hasattr(hotspare.events, one) for one in named)
    metrics = re.findall(r"`(hotspare_\w+)`", (DOCS / "metrics.md").read_text(encoding="utf-8"))
    assert set(re.findall(r"`(hotspare_\w+)`", emitted)) <= set(metrics)
