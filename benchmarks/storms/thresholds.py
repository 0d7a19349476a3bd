"""The thresholds of each storm with the default policy, derived from its data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hotspare.policy import Timeouts

from benchmarks.storms.scenarios import SECONDS, Fault, Storm

SLOWEST = 1.275
"""The p95 of a healthy target, as a multiple of the storm's latency. The latency of a call is drawn evenly from 0.8 to 1.3 times that."""
ROOM = 1.5
"""With silent targets, 99 % of the calls must be answered within this multiple of the attempt limit."""


@dataclass
class Result:
    """The figures of a storm. Times in seconds. `requests`: upstream calls per call. `wrong`: answers that were returned as complete, but
    differ from the provider's. `back`: from the end of the primary's fault to its next request. `late`: the largest delay of a call's
    start, which is part of its time. `offered`, `achieved`: calls per second in the script, and as started (on the wire only)."""

    calls: int
    right: int
    wrong: int
    requests: float
    p50: float
    p99: float
    back: float | None
    late: float = 0.0
    offered: float = 0.0
    achieved: float = 0.0

    @property
    def share(self) -> float:
        return self.right / self.calls

    @classmethod
    def worst(cls, found: Sequence[Result]) -> Result:
        """The worst figures of several seeds."""
        least = min(found, key=lambda one: one.share)
        back = [one.back for one in found]
        slowest = min(found, key=lambda one: one.achieved)
        return cls(
            least.calls, least.right, max(one.wrong for one in found), max(one.requests for one in found),
            max(one.p50 for one in found), max(one.p99 for one in found),
            None if None in back else max(one for one in back if one is not None), max(one.late for one in found),
            slowest.offered, slowest.achieved,
        )  # fmt: skip


@dataclass(frozen=True)
class Thresholds:
    """`right`: the minimum fraction of right answers. The others are upper bounds; None: no bound."""

    right: float
    requests: float
    p99: float | None
    back: float | None

    def missed(self, found: Result) -> list[str]:
        """The names of the figures that do not hold."""
        back_late = self.back is not None and (found.back is None or found.back > self.back)
        misses = {
            "right": found.share < self.right,
            "wrong": found.wrong > 0,
            "requests": found.requests > self.requests,
            "p99": self.p99 is not None and found.p99 > self.p99,
            "back": back_late,
        }
        return [name for name, missed in misses.items() if missed]


def thresholds(storm: Storm) -> Thresholds:
    """The thresholds of a storm. The calls needed to detect a fault do not depend on its length, so that a shorter storm may take more
    upstream calls per call."""
    faults = storm.faults.get("a", ())
    silent = [one for one in faults if one.kind in ("silence", "stall")]
    ends = [one for one in faults if one.end < storm.seconds and one.status != 401]  # a revoked key does not recover
    allowed = 0.10 if storm.stream else 0.05
    # A Retry-After counts from the arrival of the answer, which may be after the fault's end.
    named = [
        one.retry_after + SLOWEST * storm.latency for one in faults if one.status == 429 and one.retry_after is not None
    ]
    costly = [
        one for one in faults if one.kind in ("silence", "stall", "slow")
    ]  # a probe of such a target costs a caller's time
    back = 6.0 if costly else max(1.5, *(seconds + 0.1 for seconds in named), 0.0)
    return Thresholds(
        0.995 if _all_down(storm) else 0.999,
        1 + (allowed + storm.unavoidable) * SECONDS / storm.seconds,
        _all_down(storm) + ROOM * attempt_limit(storm, silent[0]) if silent else None,
        back if ends else None,
    )


def attempt_limit(storm: Storm, fault: Fault) -> float:
    """Seconds for which the default policy waits for a silent target, with the latencies recorded in the storm."""
    timeouts, p95 = Timeouts(), SLOWEST * storm.latency
    if fault.kind == "stall":
        return timeouts.stall_min
    limit = max(timeouts.factor * p95, min(timeouts.completion_min, timeouts.min_factor * p95 + timeouts.min_margin))
    if storm.stream:
        limit = min(max(timeouts.factor * p95, timeouts.first_token_min), timeouts.first_token_max)
    if fault.start <= 0:
        limit = timeouts.completion  # no record
    return min(limit, timeouts.max_deadline_fraction * storm.deadline)


def _all_down(storm: Storm) -> float:
    """Seconds for which no target answers any call."""
    dead = [
        fault
        for name in storm.ids
        for fault in storm.faults.get(name, ())
        if fault.kind in ("status", "refused", "silence") and fault.share >= 1 and not fault.period
    ]
    if len(dead) < len(storm.ids):
        return 0.0
    return max(0.0, min(fault.end for fault in dead) - max(fault.start for fault in dead))
