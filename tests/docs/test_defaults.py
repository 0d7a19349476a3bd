"""The tables of defaults are the code's own words."""

import re
import runpy
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
WRITER = runpy.run_path(str(DOCS / "defaults.py"))


@pytest.mark.parametrize("page", WRITER["PAGES"], ids=lambda page: page.name)
def test_the_tables_are_what_the_code_says(page: Path) -> None:
    """`python docs/defaults.py` was run after the last change of a knob."""
    text = page.read_text(encoding="utf-8")
    assert WRITER["written"](text) == text


def test_every_class_of_knobs_has_its_whole_table() -> None:
    """In configuration.md, once."""
    told = re.findall(r"<!-- table: (\w+) -->", (DOCS / "configuration.md").read_text(encoding="utf-8"))
    assert sorted(told) == sorted(WRITER["CLASSES"])
