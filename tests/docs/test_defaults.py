"""The tables of defaults in the documentation agree with the code."""

import re
import runpy
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
WRITER = runpy.run_path(str(DOCS / "defaults.py"))


@pytest.mark.parametrize("page", WRITER["PAGES"], ids=lambda page: page.name)
def test_tables_are_up_to_date(page: Path) -> None:
    """`python docs/defaults.py` has been run since a setting was last changed."""
    text = page.read_text(encoding="utf-8")
    assert WRITER["updated"](text) == text


def test_each_class_of_settings_has_one_full_table() -> None:
    """configuration.md has one table of all fields for each class."""
    found = re.findall(r"<!-- table: (\w+) -->", (DOCS / "configuration.md").read_text(encoding="utf-8"))
    assert sorted(found) == sorted(WRITER["CLASSES"])


def test_a_table_of_an_unknown_field_is_an_error() -> None:
    """A field that was renamed in the code cannot silently drop out of a page's table."""
    with pytest.raises(ValueError, match="Policy has no field dedline"):
        WRITER["table"](WRITER["CLASSES"]["Policy"], ["deadline", "dedline"])
