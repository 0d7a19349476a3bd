"""The tables of defaults are the code's own words."""

import runpy
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_tables_are_what_the_code_says() -> None:
    """`python docs/defaults.py` was run after the last change of a knob."""
    page = (DOCS / "configuration.md").read_text(encoding="utf-8")
    assert runpy.run_path(str(DOCS / "defaults.py"))["written"](page) == page
