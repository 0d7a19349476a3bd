"""The use of limits and budgets, averaged over a minute, as events for the ledger and its report."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from hotspare.events import UsageSampled
from hotspare.status import BudgetStatus, PoolHealth

INTERVAL = 60.0
"""Seconds whose samples are combined into one event per limit and budget."""


class Usage:
    """Collects samples, and returns their means once a minute."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, str], list[float]] = {}
        self._since = inf

    def add(self, health: PoolHealth, budgets: Sequence[BudgetStatus], now: float) -> list[UsageSampled]:
        """Add a sample. Returns the events of the previous minute, once it has ended."""
        done = self.take() if now - self._since >= INTERVAL else []
        self._since = min(self._since, now)
        for target in health.targets:
            for limit, share in target.limits_used.items():
                self._add("limit", f"{target.target}: {limit}", share)
        for budget in budgets:
            if budget.spent:
                self._add("budget", budget.key, budget.spent / budget.limit)
        return done

    def _add(self, kind: str, subject: str, share: float) -> None:
        total = self._sums.setdefault((kind, subject), [0.0, 0.0])
        total[0] += share
        total[1] += 1

    def take(self) -> list[UsageSampled]:
        """End the current minute, and return its events. A limit or budget without any use has none."""
        sums, self._sums, self._since = self._sums, {}, inf
        return [UsageSampled(kind, subject, total / count) for (kind, subject), (total, count) in sums.items() if total]
