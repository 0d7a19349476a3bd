"""The figures of a report, read from a ledger. A report never contains a prompt, an answer, or a provider's message."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from math import ceil
from typing import Any

from hotspare.monitor.report.outages import Outage, read_outages, seconds_of_union

BUCKETS = 60
"""Number of bars in the timeline: as many as can be distinguished on a phone."""
_LOST = ("failed", "interrupted")


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean, percentiles and extremes of `count` durations, in seconds. All None without values."""

    count: int = 0
    mean: float | None = None
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    max: float | None = None
    min: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One route, or one label: number of calls, answered calls and rescued calls, p95 duration of answered calls in seconds, input and
    output tokens, USD in total, wasted and saved (None: not known)."""

    name: str
    calls: int
    answered: int
    rescued: int
    p95: float | None
    input_tokens: int
    output_tokens: int
    cost: float | None
    wasted: float | None
    saved: float | None


@dataclass(frozen=True, slots=True)
class TargetRow:
    """One target. `failures`: by kind. `ttft`: of its streams. `uptime`: share of the time in which its circuit breaker was not open."""

    name: str
    attempts: int
    failures: dict[str, int]
    seconds: Spread
    ttft: Spread
    uptime: float


@dataclass(frozen=True, slots=True)
class Bucket:
    """A part of the timeline, from `start` on: number of calls answered without failover, rescued and lost; p95 duration in seconds."""

    start: float
    answered: int = 0
    rescued: int = 0
    lost: int = 0
    p95: float | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """A period, `start` to `end` in seconds since 1970.

    `survived`: seconds of outages of a target or a domain in which no call in flight was lost. `detect`, `recover`: mean seconds from the first
    failure of an outage to the opening of the breaker, and from there to the recovery. `limits`, `budgets`: the largest share used in a
    minute, if a `Monitor` was running. `cost`: USD of the `priced_calls`, those with a known price.
    `wasted`: USD of attempts that are not part of an answer. `saved`: USD saved by a cheaper target than the route's first; `saved_cache`:
    by answers from the cache. None if such an amount is not known. `saved_tokens`: tokens removed from prompts.
    """

    start: float
    end: float
    calls: int
    results: dict[str, int]
    rescued: int
    latency: Spread
    ttft: Spread
    failovers: int
    rate_limits: dict[str, int]
    survived: float
    detect: float | None
    recover: float | None
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    wasted_tokens: int
    cost: float | None
    priced_calls: int
    wasted: float | None = None
    saved: float | None = None
    saved_cache: float | None = None
    saved_tokens: int = 0
    limits: dict[str, float] = field(default_factory=dict[str, float])
    budgets: dict[str, float] = field(default_factory=dict[str, float])
    targets: tuple[TargetRow, ...] = ()
    domains: dict[str, float] = field(default_factory=dict[str, float])
    routes: tuple[Row, ...] = ()
    labels: tuple[Row, ...] = ()
    outages: tuple[Outage, ...] = ()
    alerts: tuple[dict[str, Any], ...] = ()
    timeline: tuple[Bucket, ...] = ()

    @property
    def answered(self) -> int:
        """Calls that were answered."""
        return self.results.get("answered", 0)

    @property
    def success(self) -> float | None:
        """The share of answered calls, abandoned calls excluded (None: no calls)."""
        judged = self.calls - self.results.get("abandoned", 0)
        return self.answered / judged if judged else None

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"success": self.success, **asdict(self)}


def read_report(ledger: sqlite3.Connection, start: float, end: float) -> Report:
    """The report for the period from `start` to `end`."""
    period = (start, end)
    calls = ledger.execute("SELECT * FROM calls WHERE started >= ? AND started < ? ORDER BY started", period).fetchall()
    attempts = ledger.execute("SELECT * FROM attempts WHERE started >= ? AND started < ?", period).fetchall()
    events = ledger.execute("SELECT * FROM events WHERE at >= ? AND at < ? ORDER BY at, id", period).fetchall()
    times = [row["started"] for row in calls] + [row["started"] for row in attempts] + [row["at"] for row in events]
    latest = _latest(calls, attempts, events, end)
    first, last = max(start, min(times, default=start)), max(latest.values(), default=end)
    outages, span = read_outages(events, attempts, latest), max(last - first, 1e-9)
    return Report(
        first,
        last,
        len(calls),
        dict(Counter(row["result"] for row in calls)),
        sum(row["rescued"] for row in calls),
        spread([row["seconds"] for row in calls if row["result"] == "answered"]),
        spread([row["ttft"] for row in calls if row["ttft"] is not None]),
        sum(row["event"] == "FailedOver" for row in events),
        dict(Counter(row["subject"] for row in events if row["event"] == "RateLimited")),
        _survived(outages, calls),
        _mean([one.detect for one in outages if one.detect is not None]),
        _mean([one.end - one.start for one in outages if one.end is not None]),
        **{name: sum(row[name] or 0 for row in calls) for name in _SUMS},
        cost=_known_sum(row["cost"] for row in calls),
        priced_calls=sum(row["cost"] is not None for row in calls),
        **_savings(calls, events),
        limits=_most_used("limit", events),
        budgets=_most_used("budget", events),
        targets=_targets(attempts, outages, span),
        domains=_domains(outages, span),
        routes=_rows(calls, lambda row: [row["route"]]),
        labels=_rows(calls, lambda row: [f"{name}={value}" for name, value in json.loads(row["labels"]).items()]),
        outages=tuple(outages),
        alerts=tuple({"at": row["at"], **json.loads(row["fields"])} for row in events if row["event"] == "AlertFired"),
        timeline=_timeline(calls, first, last),
    )


def _latest(
    calls: Iterable[sqlite3.Row], attempts: Iterable[sqlite3.Row], events: Iterable[sqlite3.Row], end: float
) -> dict[str, float]:
    """Time of the latest record of each process, by its run, at most `end`: a process that ended recorded no recovery."""
    found: dict[str, float] = {}
    records = [(row["run"], row["started"] + row["seconds"]) for row in (*calls, *attempts)]
    for run, at in (*records, *((row["run"], row["at"]) for row in events)):
        found[run] = max(found.get(run, at), min(at, end))
    return found


_SUMS = ("input_tokens", "output_tokens", "cached_tokens", "wasted_tokens")


def spread(values: Sequence[float]) -> Spread:
    """Mean, percentiles (nearest rank) and extremes."""
    if not values:
        return Spread()
    ordered = sorted(values)
    p50, p95, p99 = (ordered[ceil(share * len(ordered)) - 1] for share in (0.5, 0.95, 0.99))
    return Spread(len(ordered), sum(ordered) / len(ordered), p50, p95, p99, ordered[-1], ordered[0])


def _savings(calls: Sequence[sqlite3.Row], events: Sequence[sqlite3.Row]) -> dict[str, Any]:
    cached = [json.loads(row["fields"]) for row in events if row["event"] == "CacheServed"]
    return {
        "wasted": _known_sum(row["wasted"] for row in calls),
        "saved": _known_sum(row["saved"] for row in calls),
        "saved_cache": _known_sum(one.get("saved") for one in cached),
        "saved_tokens": sum(row["saved_tokens"] or 0 for row in calls),
    }


def _known_sum(values: Iterable[float | None]) -> float | None:
    """The sum of the known values. None if it is 0 and some values are not known."""
    found = list(values)
    total = sum(value for value in found if value is not None)
    return None if total == 0 and None in found else total


def _most_used(kind: str, events: Iterable[sqlite3.Row]) -> dict[str, float]:
    found: dict[str, float] = {}
    for row in events:
        if row["event"] == "UsageSampled" and (one := json.loads(row["fields"]))["kind"] == kind:
            found[one["subject"]] = max(found.get(one["subject"], 0.0), one["share"])
    return dict(sorted(found.items()))


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _targets(attempts: Iterable[sqlite3.Row], outages: Sequence[Outage], span: float) -> tuple[TargetRow, ...]:
    by_target: dict[str, list[sqlite3.Row]] = defaultdict(list)
    for row in attempts:
        by_target[row["target"]].append(row)
    return tuple(
        TargetRow(
            name,
            len(rows),
            dict(Counter(row["kind"] for row in rows if row["kind"] not in ("ok", "cancelled"))),
            spread([row["seconds"] for row in rows if row["kind"] == "ok"]),
            spread([row["ttft"] for row in rows if row["ttft"] is not None]),
            _uptime([one for one in outages if one.subject == name], span),
        )
        for name, rows in sorted(by_target.items())
    )


def _domains(outages: Sequence[Outage], span: float) -> dict[str, float]:
    """The uptime of the domains that had an outage. All others have an uptime of 1."""
    names = sorted({(one.level, one.subject) for one in outages if one.level != "target"})
    return {
        f"{level} {name}": _uptime([o for o in outages if (o.level, o.subject) == (level, name)], span)
        for level, name in names
    }


def _uptime(outages: Sequence[Outage], span: float) -> float:
    return max(0.0, 1.0 - seconds_of_union([(one.start, one.end or one.last) for one in outages]) / span)


def _survived(outages: Sequence[Outage], calls: Sequence[sqlite3.Row]) -> float:
    """Seconds of outages during which no lost call was in flight."""
    if not any(row["result"] == "answered" for row in calls):
        return 0.0
    out = [(one.start, one.end or one.last) for one in outages]
    lost = [(row["started"], row["started"] + row["seconds"]) for row in calls if row["result"] in _LOST]
    return seconds_of_union([*out, *lost]) - seconds_of_union(lost)


def _rows(calls: Iterable[sqlite3.Row], names: Callable[[sqlite3.Row], list[str]]) -> tuple[Row, ...]:
    groups: dict[str, list[sqlite3.Row]] = defaultdict(list)
    for row in calls:
        for name in names(row):
            groups[name].append(row)
    return tuple(
        Row(
            name,
            len(rows),
            sum(row["result"] == "answered" for row in rows),
            sum(row["rescued"] for row in rows),
            spread([row["seconds"] for row in rows if row["result"] == "answered"]).p95,
            sum(row["input_tokens"] or 0 for row in rows),
            sum(row["output_tokens"] or 0 for row in rows),
            *(_known_sum(row[name] for row in rows) for name in ("cost", "wasted", "saved")),
        )
        for name, rows in sorted(groups.items(), key=lambda item: -len(item[1]))
    )


def _timeline(calls: Sequence[sqlite3.Row], first: float, last: float) -> tuple[Bucket, ...]:
    if not calls:
        return ()
    width = max((last - first) / BUCKETS, 1e-6)
    groups: dict[int, list[sqlite3.Row]] = defaultdict(list)
    for row in calls:
        groups[min(int((row["started"] - first) / width), BUCKETS - 1)].append(row)
    found: list[Bucket] = []
    for place in range(BUCKETS):
        rows = groups[place]
        answered = [row for row in rows if row["result"] == "answered"]
        rescued = sum(row["rescued"] for row in answered)
        lost = sum(row["result"] in _LOST for row in rows)
        p95 = spread([row["seconds"] for row in answered]).p95
        found.append(Bucket(first + place * width, len(answered) - rescued, rescued, lost, p95))
    return tuple(found)
