"""Traffic from a ledger: the start of each call, and how each target answered at that time."""

from __future__ import annotations

import json
import sqlite3
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from random import Random
from typing import NamedTuple

from hotspare._simulation.figures import Figures
from hotspare._simulation.traffic import Answer, Arrival, Traffic
from hotspare.errors import ConfigError, Problem
from hotspare.outcome import Kind

NEAR = 60.0
"""A simulated attempt gets the result of an attempt recorded at the same target at most this many seconds earlier or later. If there is
none, it gets one of the target's successful answers of any time."""
_NEIGHBOURS = 8
"""Recorded attempts on either side of that moment from which one is drawn."""
_CAUSED_BY_CALLERS = ("invalid", "content_filter", "context_length", "rejected", "cancelled")
"""Outcomes that say nothing about a target: the request was at fault, or the caller cancelled."""


class _Sample(NamedTuple):
    at: float
    answer: Answer


class RecordedUpstreams:
    """The recorded results of each target. A target without any gets the successful answers of all targets."""

    def __init__(self, samples: Iterable[tuple[str, bool, _Sample]]) -> None:
        self._all: dict[tuple[str, bool], list[_Sample]] = defaultdict(list)
        for target, streaming, sample in samples:
            self._all[target, streaming].append(sample)
        self._good = {
            key: [one.answer for one in found if one.answer.kind is Kind.OK] for key, found in self._all.items()
        }
        self._any = [answer for answers in self._good.values() for answer in answers] or [Answer(1.0)]
        self.targets = frozenset(target for target, _ in self._all)

    def answer(self, target: str, at: float, rng: Random, *, streaming: bool) -> Answer:
        """The result of an attempt at this target near `at`, drawn at random; see `NEAR`."""
        kinds = (streaming, not streaming)
        for kind in kinds:
            near = _near(self._all.get((target, kind), ()), at)
            if near:
                return rng.choice(near).answer
        good = next((found for kind in kinds if (found := self._good.get((target, kind)))), self._any)
        return rng.choice(good)


def _near(samples: Sequence[_Sample], at: float) -> list[_Sample]:
    place = bisect_left(samples, at, key=lambda one: one.at)
    around = samples[max(0, place - _NEIGHBOURS) : place + _NEIGHBOURS]
    return [one for one in around if abs(one.at - at) <= NEAR]


def traffic_of(ledger: sqlite3.Connection, since: float, most: int) -> Traffic:
    """The latest `most` calls that started after `since`, in seconds since 1970. Raises ConfigError if there are none."""
    rows = ledger.execute(
        "SELECT * FROM (SELECT * FROM calls WHERE started >= ? AND result != 'abandoned' ORDER BY started DESC LIMIT ?) ORDER BY started",
        (since, most),
    ).fetchall()
    if not rows:
        raise ConfigError(Problem("ledger: holds no call of that time; see --since"))
    began, ended = rows[0]["started"], rows[-1]["started"]
    attempts = ledger.execute(
        "SELECT started, seconds, target, kind, status, ttft FROM attempts WHERE started BETWEEN ? AND ? ORDER BY started",
        (began - NEAR, ended + NEAR),
    )
    upstreams = RecordedUpstreams(
        (row["target"], row["ttft"] is not None, _Sample(row["started"] - began, _answer(row)))
        for row in attempts
        if row["kind"] not in _CAUSED_BY_CALLERS
    )
    recorded = Figures()
    for row in rows:
        recorded.add(
            answered=row["result"] == "answered", target=row["target"], seconds=row["seconds"], attempts=row["attempts"],
            cost=row["cost"], rescued=bool(row["rescued"]),
        )  # fmt: skip
    notes = (f"the latest {most:,} calls only: --most",) if len(rows) == most else ()
    return Traffic([_arrival(row, began) for row in rows], upstreams, began, recorded, notes, upstreams.targets)


def _answer(row: sqlite3.Row) -> Answer:
    return Answer(row["seconds"] if row["ttft"] is None else row["ttft"], Kind(row["kind"]), row["status"])


def _arrival(row: sqlite3.Row, began: float) -> Arrival:
    model = row["model"] or (None if row["route"] == "default" else row["route"])
    rest = max(0.0, row["seconds"] - row["ttft"]) if row["ttft"] is not None else 0.0
    return Arrival(
        row["started"] - began, model, bool(row["streaming"]), row["input_tokens"] or 500, row["output_tokens"] or 100, rest,
        json.loads(row["labels"]),
    )  # fmt: skip
