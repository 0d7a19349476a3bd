"""Tables of figures that tests measured, printed at the end of a run.

A test records its cell with pytest's `record_property`, which is part of its report, so that it works with parallel workers too.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

Record = Callable[[str, Any], None]
_MARK = "table: "


def note(record: Record, title: str, row: tuple[int, str], column: tuple[int, str], cell: str) -> None:
    """Note one cell. Rows and columns come with their place."""
    record(_MARK + title, [list(row), list(column), cell])


def tables(reports: Iterable[Any]) -> Iterator[tuple[str, list[str]]]:
    """Every table that passed tests noted: its title and its lines."""
    noted: dict[str, dict[tuple[tuple[int, str], tuple[int, str]], str]] = {}
    for report in reports:
        for name, value in getattr(report, "user_properties", ()):
            if name.startswith(_MARK):
                row, column, cell = value
                noted.setdefault(name.removeprefix(_MARK), {})[tuple(row), tuple(column)] = cell
    for title in sorted(noted):
        yield title, _lines(noted[title])


def _lines(cells: dict[tuple[tuple[int, str], tuple[int, str]], str]) -> list[str]:
    rows, columns = sorted({row for row, _ in cells}), sorted({column for _, column in cells})
    table = [["", *(name for _, name in columns)]]
    table += [[row[1], *(cells.get((row, column), "") for column in columns)] for row in rows]
    widths = [max(len(line[i]) for line in table) for i in range(len(columns) + 1)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in table]
