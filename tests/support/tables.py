"""Tables that tests measure, printed behind the run."""

from collections.abc import Mapping, Sequence

TABLES: list[tuple[str, Sequence[str], Mapping[str, Sequence[str]]]] = []


def show(title: str, columns: Sequence[str], rows: Mapping[str, Sequence[str]]) -> None:
    """Have a table printed at the end: `rows` by name, a cell a column."""
    TABLES.append((title, columns, rows))


def lines(columns: Sequence[str], rows: Mapping[str, Sequence[str]]) -> list[str]:
    """A table as text."""
    table = [("", *columns), *((name, *cells) for name, cells in rows.items())]
    widths = [max(len(row[i]) for row in table) for i in range(len(columns) + 1)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]
