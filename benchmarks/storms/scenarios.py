"""The storms as data: the faults of each target over time.

All have four targets of one model at three providers, `a` to `d` (`a` and `b` are one provider in two regions), 40 calls a
second for 40 s, and a deadline of 5 s unless a storm says otherwise. Faults begin at second 5.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

SECONDS = 40.0
AFTER = 7.0
"""Seconds after the faults: more than the 6 s within which a primary that was silent must get a request again."""
TARGETS = {"a": ("p/m", "r1"), "b": ("p/m", "r2"), "c": ("q/m", "r3"), "d": ("s/m", "r4")}


@dataclass(frozen=True)
class Fault:
    """A fault of a target from `start` to `end` (seconds). `share`: fraction of the calls that meet it.

    kind: `status` (with `status`, `retry_after`), `refused`, `silence`, `slow` (`factor` times its latency), `break` (of a
    stream, after `at` of its words), `stall` (of a stream), `limit` (`room` calls a second, 429 beyond), `crowd` (503 beyond
    `room` calls at once).
    """

    kind: str
    start: float = 5.0
    end: float = SECONDS - AFTER
    share: float = 1.0
    after: float = 0.02
    status: int = 500
    retry_after: float | None = None
    factor: float = 10.0
    room: int = 20
    period: float = 0.0
    phase: float = 0.0

    def active(self, at: float) -> bool:
        """Whether the fault is active at this second. A fault with a period is active in the first half of each period."""
        flapping = self.period and (at + self.phase) % self.period >= self.period / 2
        return self.start <= at < self.end and not flapping


@dataclass(frozen=True)
class Storm:
    """One storm. `stream`: whether the calls stream. `unavoidable`: additional upstream calls per call that no rule can avoid;
    `because`: the reason. `busy`: in virtual time, seconds by which each attempt in flight at a target delays the reading of an outcome, as
    if the client were short of CPU."""

    name: str
    faults: Mapping[str, tuple[Fault, ...]]
    stream: bool = False
    rate: float = 40.0
    seconds: float = SECONDS
    deadline: float = 5.0
    latency: float = 0.055
    ids: Mapping[str, tuple[str, str | None]] = field(default_factory=lambda: TARGETS)
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    unavoidable: float = 0.0
    because: str = ""
    busy: float = 0.0


def _on(names: str, *faults: Fault) -> dict[str, tuple[Fault, ...]]:
    return dict.fromkeys(names, faults)


_ONE_PROVIDER = {"a": ("openai/x", None), "b": ("openai/y", None), "c": ("openai/z", None)}

STORMS = (
    Storm("the primary answers 500", _on("a", Fault("status"))),
    Storm("the primary refuses connections", _on("a", Fault("refused", after=0.001))),
    Storm("the primary is silent", _on("a", Fault("silence"))),
    Storm("the primary is silent, streams", _on("a", Fault("silence")), stream=True),
    Storm("a provider is down", _on("ab", Fault("status", status=503))),
    Storm("three of four are down", _on("abc", Fault("status", status=503))),
    Storm("three of four are silent", _on("abc", Fault("silence"))),
    Storm("every third call fails", _on("a", Fault("status", share=0.33))),
    Storm(
        "every call in ten fails, everywhere", _on("abcd", Fault("status", share=0.1)), unavoidable=0.7 * 0.1 / 0.9,
        because="in 28 of 40 s a call needs 1 / 0.9 attempts, wherever it goes",
    ),
    Storm("the primary flaps", _on("a", Fault("status", period=4.0))),
    Storm("two flap in antiphase", {"a": (Fault("status", period=1.0),), "b": (Fault("status", period=1.0, phase=0.5),)}),
    Storm("brownout", _on("a", Fault("slow", factor=10))),
    Storm("half of the streams break", _on("a", Fault("break", share=0.5)), stream=True),
    Storm("nine streams of ten break", _on("a", Fault("break", share=0.9)), stream=True),
    Storm(
        "streams stall", _on("a", Fault("stall", share=0.5)), stream=True, deadline=20, unavoidable=5 * 0.5 * 40 / 1600 - 0.05,
        because="a stall is detected after 5 s, until which half of the calls stall: 0.0625 a call, of which the usual bound covers 0.05",
    ),
    Storm("the primary is limited", _on("a", Fault("limit", room=10, retry_after=1.0))),
    Storm("limited without a time", _on("a", Fault("limit", room=10))),
    Storm("429 with two seconds", _on("a", Fault("status", status=429, retry_after=2.0, share=0.2))),
    Storm("the key is revoked", _on("a", Fault("status", status=401))),
    Storm("two of three models are down", {n: (Fault("status", status=503),) for n in "ab"}, ids=_ONE_PROVIDER, deadline=10),
    Storm("all are down for 3 s", _on("abcd", Fault("status", status=503, end=8.0))),
    Storm(
        "all are silent for 3 s", _on("abcd", Fault("silence", end=8.0)), deadline=30, unavoidable=3 * 0.9 * 40 / 1600,
        because="no target answers for 3 s: four dead targets in turn, each known to be silent 0.7 to 0.9 s after its first call",
    ),
    Storm("all are down for 10 s", _on("abcd", Fault("refused", end=15.0, after=0.001)), deadline=20),
    Storm(
        "a herd after 8 s", _on("abcd", Fault("status", status=503, end=13.0), Fault("crowd", start=13.0, end=99, room=20)),
        deadline=30, latency=0.2, unavoidable=4 * 20 / 1600,
        because="admission that doubles every round trip exceeds a room of 20 by at most 20 calls a target; with the 8 s, 85 to 125 in all",
    ),
    Storm(
        "silent from the start", _on("a", Fault("silence", start=0.0)), unavoidable=2.5 * 40 / 1600,
        because="without recorded latencies, the first attempt may take half of the deadline: for 2.5 s, calls go to the silent target",
    ),
)  # fmt: skip


def least_seconds(storm: Storm) -> float:
    """The shortest possible length of a storm: 5 s of its faults, and `AFTER` after them."""
    faults = [one for many in storm.faults.values() for one in many]
    return AFTER + max(one.end if one.end < SECONDS - AFTER else one.start + 5 for one in faults)


def shortened(storm: Storm, seconds: float) -> Storm:
    """A shorter form of the storm. Faults that last until `AFTER` before its end do so again.

    Raises ValueError if its faults do not fit.
    """
    if seconds < (least := least_seconds(storm)):
        raise ValueError(f"{seconds:g} s are too short for the storm {storm.name!r}: at least {least:g} s")
    faults = {
        name: tuple(replace(one, end=seconds - AFTER) if one.end == SECONDS - AFTER else one for one in many)
        for name, many in storm.faults.items()
    }
    return replace(storm, seconds=seconds, faults=faults)
