"""Keeps a ledger within its age and size."""

from __future__ import annotations

import sqlite3

_ROWS = 5_000
"""Rows of a table that are deleted in one transaction, so that other processes wait only a few milliseconds."""
_TIMES = {"calls": "started", "attempts": "started", "events": "at"}


def prune(connection: sqlite3.Connection, oldest: float, max_bytes: int) -> None:
    """Delete records from before `oldest` (seconds since 1970), then the oldest tenth, repeatedly, until the file is small enough."""
    for table, column in _TIMES.items():
        while _delete(connection, table, f"{column} < ? ORDER BY id LIMIT {_ROWS}", oldest) == _ROWS:
            pass
    while _size(connection) > max_bytes:
        deleted = 0
        for table in _TIMES:
            (rows,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 - a name of ours
            deleted += _delete(connection, table, "1 ORDER BY id LIMIT ?", max(rows // 10, min(rows, 100)))
        if not deleted:
            break
    connection.executescript("PRAGMA incremental_vacuum")  # `execute` would free only one page


def _delete(connection: sqlite3.Connection, table: str, where: str, value: float) -> int:
    query = f"DELETE FROM {table} WHERE id IN (SELECT id FROM {table} WHERE {where})"  # noqa: S608 - names of ours
    return connection.execute(query, (value,)).rowcount


def _size(connection: sqlite3.Connection) -> int:
    """Bytes of the pages in use."""
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)
