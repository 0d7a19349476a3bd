"""The tables that benchmarks write: that each page has its table, and what is replaced in it."""

from pathlib import Path

import pytest

from benchmarks.clients import CLIENTS
from benchmarks.page import write_figures
from benchmarks.peers import PAGES


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_table_of_clients(page: Path, tmp_path: Path) -> None:
    """The figures of each client stand in the page's own row, and nothing else in the page is changed."""
    copy = tmp_path / page.name
    copy.write_text(page.read_text())
    rows = [["12.5 %", f"{number} ms", "1.25"] for number, _ in enumerate(CLIENTS)]
    write_figures(copy, rows)
    before, after = page.read_text().splitlines(), copy.read_text().splitlines()
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert [new.split("|")[2:-1] for _, new in changed] == [[f" {figure} " for figure in row] for row in rows]
    assert [new.split("|")[1] for _, new in changed] == [old.split("|")[1] for old, _ in changed]


@pytest.mark.parametrize("clients", [len(CLIENTS) - 1, len(CLIENTS) + 1])
def test_a_table_of_other_clients(clients: int, tmp_path: Path) -> None:
    """A page is left as it is where its table has other rows than were measured."""
    copy = tmp_path / "README.md"
    copy.write_text(PAGES[0].read_text())
    with pytest.raises(ValueError, match=r"README\.md has 0 tables with a p99 of"):
        write_figures(copy, [["", "", ""]] * clients)
    assert copy.read_text() == PAGES[0].read_text()
