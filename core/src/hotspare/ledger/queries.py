"""Queries of a ledger: the latest failures, statistics by target and by hour, and its rows as CSV."""

from __future__ import annotations

import csv
import sqlite3
from collections.abc import Sequence
from typing import IO

TABLES = ("calls", "attempts", "events")

_GROUPS = {
    "target": "target",
    "hour": "strftime('%Y-%m-%d %H:00', started, 'unixepoch')",
    "kind": "kind",
    "reason": "reason",
}
GROUPS = tuple(_GROUPS)
"""The columns that attempts can be grouped by. Hours are UTC."""


def last_failures(ledger: sqlite3.Connection, limit: int, since: float = 0.0) -> list[sqlite3.Row]:
    """The latest attempts that failed, newest first. Cancelled attempts are not among them."""
    return ledger.execute(
        "SELECT datetime(started, 'unixepoch') AS at, call, target, kind, status, reason, round(seconds, 3) AS seconds, message"
        " FROM attempts WHERE kind NOT IN ('ok', 'cancelled') AND started >= ? ORDER BY started DESC, id DESC LIMIT ?",
        (since, limit),
    ).fetchall()


def last_calls(ledger: sqlite3.Connection, limit: int, since: float = 0.0) -> list[sqlite3.Row]:
    """The latest calls, newest first."""
    return ledger.execute(
        "SELECT datetime(started, 'unixepoch') AS at, call, result, target, model, attempts, rescued, round(seconds, 3) AS seconds,"
        " input_tokens, output_tokens, cost, labels FROM calls WHERE started >= ? ORDER BY started DESC, id DESC LIMIT ?",
        (since, limit),
    ).fetchall()


def last_alerts(ledger: sqlite3.Connection, limit: int, since: float = 0.0) -> list[sqlite3.Row]:
    """The latest alerts that fired or resolved, newest first."""
    return ledger.execute(
        "SELECT datetime(at, 'unixepoch') AS at, event, json_extract(fields, '$.rule') AS rule,"
        " json_extract(fields, '$.severity') AS severity, json_extract(fields, '$.delivery') AS delivery,"
        " json_extract(fields, '$.message') AS message FROM events"
        " WHERE event IN ('AlertFired', 'AlertResolved') AND at >= ? ORDER BY id DESC LIMIT ?",
        (since, limit),
    ).fetchall()


def attempts_by(ledger: sqlite3.Connection, group: str, since: float = 0.0) -> list[sqlite3.Row]:
    """Attempts, failures, and mean and maximum seconds of each target, hour, kind or reason."""
    return ledger.execute(
        f"SELECT {_GROUPS[group]} AS {group}, count(*) AS attempts, sum(kind NOT IN ('ok', 'cancelled')) AS failures,"  # noqa: S608 - one of GROUPS
        " round(avg(seconds), 3) AS mean_seconds, round(max(seconds), 3) AS max_seconds, round(avg(ttft), 3) AS mean_ttft"
        " FROM attempts WHERE started >= ? GROUP BY 1 ORDER BY 1",
        (since,),
    ).fetchall()


def export_csv(ledger: sqlite3.Connection, table: str, out: IO[str], since: float = 0.0) -> None:
    """Write a table as CSV with a header."""
    time_column = "started" if table in ("calls", "attempts") else "at"
    rows = ledger.execute(f"SELECT * FROM {table} WHERE {time_column} >= ? ORDER BY id", (since,))  # noqa: S608 - one of TABLES
    writer = csv.writer(out)
    writer.writerow([column[0] for column in rows.description])
    for row in rows:
        writer.writerow([_safe(value) for value in row])


def _safe(value: object) -> object:
    """A spreadsheet takes a cell that begins with one of these for a formula (OWASP, "CSV Injection")."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def columns(rows: Sequence[sqlite3.Row]) -> list[str]:
    """The names of the columns."""
    return list(rows[0].keys()) if rows else []
