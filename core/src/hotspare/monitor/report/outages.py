"""Outages, from the state changes of circuit breakers in a ledger."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

_FAILURES = ("server", "transport", "timeout")
_BEFORE = 60.0
"""Failures up to this many seconds before a breaker opened belong to its outage, unless they belong to an earlier one."""


@dataclass(frozen=True, slots=True)
class Outage:
    """An outage of a target or a domain, in one process: from `start` to `end` (None: no recovery was recorded until `last`, the latest
    record of the process), in seconds since 1970.
    `level`: target, region, account or provider. `detect`: seconds from its first failure to the opening of the breaker."""

    subject: str
    level: str
    start: float
    end: float | None
    last: float
    detect: float | None = None


def read_outages(
    events: Iterable[sqlite3.Row], attempts: Iterable[sqlite3.Row], latest: Mapping[str, float]
) -> list[Outage]:
    """Every outage, in order. `latest`: time of the latest record of each process, by its run. A failed probe or an interrupted recovery does not end an outage."""
    failures: dict[tuple[str, str], list[float]] = defaultdict(list)
    for row in attempts:
        if row["kind"] in _FAILURES:
            failures[row["run"], row["target"]].append(row["started"] + row["seconds"])
    began: dict[_Key, float] = {}
    ended: dict[_Key, float] = {}
    found: list[Outage] = []
    for row in events:
        if row["event"] != "StateChanged":
            continue
        moved = json.loads(row["fields"])
        key = (row["run"], moved["subject"], moved.get("level", "target"))
        if moved["after"] == "open":
            began.setdefault(key, row["at"])
        elif moved["after"] in ("recovering", "closed") and key in began:
            found.append(_outage(key, began.pop(key), row["at"], latest, failures, ended.get(key, 0.0)))
            ended[key] = row["at"]
    found += [_outage(key, start, None, latest, failures, ended.get(key, 0.0)) for key, start in began.items()]
    return sorted(found, key=lambda one: one.start)


_Key = tuple[str, str, str]
"""The run of a process, the subject and its level."""


def _outage(
    key: _Key,
    start: float,
    end: float | None,
    latest: Mapping[str, float],
    failures: dict[tuple[str, str], list[float]],
    earlier: float,
) -> Outage:
    """The outage. `earlier`: end of the previous outage of the same subject."""
    run, subject, level = key
    since = max(start - _BEFORE, earlier)
    first = min((at for at in failures[run, subject] if since <= at <= start + 1e-3), default=None)
    return Outage(subject, level, start, end, latest[run], None if first is None else max(0.0, start - first))


def seconds_of_union(spans: Sequence[tuple[float, float]]) -> float:
    """The length of time that at least one of these spans covers."""
    total, until = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, until))
        until = max(until, end)
    return total
