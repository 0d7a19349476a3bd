"""Writes measured figures into the documentation.

A section of docs/benchmarks.md is between `<!-- NAME -->` and `<!-- end of NAME -->`. The table of clients under faults is in several
pages with different headings and names, so that only its figures are replaced.
"""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.environments import ROOT

PAGE = ROOT / "docs" / "benchmarks.md"


def write(section: str, text: str) -> None:
    """Replace a section by this text. Raises ValueError if the page does not have the section."""
    first, last = f"<!-- {section} -->\n", f"<!-- end of {section} -->\n"
    page = PAGE.read_text()
    head, begun, rest = page.partition(first)
    _, ended, tail = rest.partition(last)
    if not (begun and ended):
        raise ValueError(f"{PAGE.name} has no section {section!r}: it needs {first.strip()} and {last.strip()}")
    PAGE.write_text(f"{head}{first}\n{text.strip()}\n\n{last}{tail}")


def write_figures(page: Path, rows: Sequence[Sequence[str]]) -> None:
    """Replace the figures of the page's table of clients: the table with a p99 whose first row is hotspare. `rows`: in the table's order, without
    names.

    Raises ValueError if the page has no such table with as many rows and columns, or several.
    """
    lines = page.read_text().splitlines(keepends=True)
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    headings = [number for number, found in enumerate(cells) if "p99" in found]
    fitting = [one + 2 for one in headings if _fits(cells[one + 2 : one + 3 + len(rows)], rows)]
    if len(fitting) != 1:
        raise ValueError(
            f"{page.name} has {len(fitting)} tables with a p99 of {len(rows)} clients, hotspare first, not one"
        )
    for number, row in enumerate(rows, fitting[0]):
        lines[number] = f"| {cells[number][0]} | {' | '.join(row)} |\n"
    page.write_text("".join(lines))


def _fits(cells: Sequence[Sequence[str]], rows: Sequence[Sequence[str]]) -> bool:
    """Whether these cells are the rows of the table, each with a name and the expected number of figures, and the line after the table."""
    expected = [1 + len(row) for row in rows] + [0]
    return [len(found) for found in cells] == expected and cells[0][0].strip("*") == "hotspare"
