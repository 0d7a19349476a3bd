"""The part of a ledger that a live view shows: the traffic of the last minute, the spending of the last hour, the latest events."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Recent:
    """`traffic`: attempts and failures of the last minute by target. `calls`, `lost`, `rescued`: calls of the last minute.
    `spent`: USD of the last hour. `events`: the latest, newest first: seconds since 1970, name, and main fields."""

    traffic: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    calls: int = 0
    lost: int = 0
    rescued: int = 0
    spent: float = 0.0
    events: tuple[tuple[float, str, str], ...] = ()


def read_recent(ledger: sqlite3.Connection, now: float, events: int = 8) -> Recent:
    """The recent traffic, spending and events. `events`: their number."""
    traffic = {
        row["target"]: (row["attempts"], row["failures"])
        for row in ledger.execute(
            "SELECT target, count(*) AS attempts, sum(kind NOT IN ('ok', 'cancelled')) AS failures FROM attempts"
            " WHERE started > ? GROUP BY target",
            (now - 60,),
        )
    }
    calls, lost, rescued = ledger.execute(
        "SELECT count(*), coalesce(sum(result IN ('failed', 'interrupted')), 0), coalesce(sum(rescued), 0) FROM calls"
        " WHERE started > ?",
        (now - 60,),
    ).fetchone()
    (spent,) = ledger.execute("SELECT coalesce(sum(cost), 0.0) FROM calls WHERE started > ?", (now - 3600,)).fetchone()
    latest = ledger.execute("SELECT at, event, fields FROM events ORDER BY at DESC, id DESC LIMIT ?", (events,))
    return Recent(traffic, calls, lost, rescued, spent, tuple((row["at"], row["event"], _words(row)) for row in latest))


def _words(row: sqlite3.Row) -> str:
    values = json.loads(row["fields"])
    if "before" in values:
        values["after"] = f"{values['before']} -> {values['after']}"
    shown = ("subject", "source", "target", "after", "kind", "rule", "reason")
    return ", ".join(str(values[name]) for name in shown if values.get(name))[:100]
