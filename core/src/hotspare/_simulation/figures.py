"""The figures of a simulation or of a ledger, in one form, so that they can be compared."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from math import ceil
from typing import Any


@dataclass(slots=True)
class Figures:
    """Counts of calls. `refused`: failed without an attempt, because of a limit, a budget or a rule, or because no target was available.
    `failed`: failed after at least one attempt. `rescued`: answered after a first attempt that failed. `cost`: USD of the `priced`
    calls, those with a known price. `seconds`: duration of each answered call. `answered_by`: answered calls by target."""

    calls: int = 0
    refused: int = 0
    failed: int = 0
    rescued: int = 0
    attempts: int = 0
    cost: float = 0.0
    priced: int = 0
    seconds: list[float] = field(default_factory=list[float])
    answered_by: Counter[str] = field(default_factory=Counter[str])

    def add(
        self, *, answered: bool, target: str | None, seconds: float, attempts: int, cost: float | None, rescued: bool
    ) -> None:
        """Count a call."""
        self.calls += 1
        self.attempts += attempts
        if cost is not None:
            self.cost += cost
            self.priced += 1
        if answered:
            self.seconds.append(seconds)
            self.answered_by[target or ""] += 1
            self.rescued += rescued
        elif attempts:
            self.failed += 1
        else:
            self.refused += 1

    def quantile(self, q: float) -> float | None:
        """The quantile `q` (0 to 1) of the durations of answered calls, in seconds, by nearest rank. None if there are none."""
        times = sorted(self.seconds)
        return times[max(0, ceil(q * len(times)) - 1)] if times else None

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "calls": self.calls,
            "answered": len(self.seconds),
            "refused": self.refused,
            "failed": self.failed,
            "rescued": self.rescued,
            "attempts": self.attempts,
            "p50": _rounded(self.quantile(0.5)),
            "p95": _rounded(self.quantile(0.95)),
            "p99": _rounded(self.quantile(0.99)),
            "cost": round(self.cost, 6) if self.priced else None,
            "answered_by": dict(self.answered_by.most_common()),
        }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
