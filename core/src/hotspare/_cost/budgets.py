"""Budgets: USD spent in the hour, the day or the month, and the restrictions of calls that follow. The scheduler holds the lock."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from hotspare.budget import Budget
from hotspare.status import BudgetStatus
from hotspare.target import Target

MAX_COUNTS = 10_000
"""Number of counts at which those of past periods are dropped. A budget per tenant has one count for each tenant."""


FORECAST_FROM = 0.1
"""Fraction of a period that must have passed before its spending is extrapolated: else one call in its first minute would raise an alert."""


Amounts = dict[tuple[str, str], float]
"""USD by count and period."""


class Account(NamedTuple):
    """One count of a budget; a budget that counts per label value has one for each value."""

    budget: Budget
    key: str


class Reached(NamedTuple):
    """A budget that has reached its limit or its warning level. `resets_at`, `resets_in`: start of its next period, in UTC and in seconds
    from now."""

    budget: Budget
    key: str
    spent: float
    resets_at: datetime
    resets_in: float

    @property
    def message(self) -> str:
        """A message with the spending and the time of the reset."""
        rest = "" if self.spent >= self.budget.usd else ", and other processes have reserved the rest"
        minutes = int(self.resets_in // 60) + 1
        time = (
            f"{minutes // 1440} d {minutes // 60 % 24} h"
            if minutes >= 1440
            else f"{minutes // 60} h {minutes % 60} min"
        )
        return (
            f"the budget {self.key!r} is spent: {self.spent:.4g} of {self.budget.usd:g} USD{rest}; "
            f"it resets at {self.resets_at:%Y-%m-%d %H:%M} UTC, in {time}"
        )


@dataclass(slots=True)
class _Count:
    period: str
    usd: float = 0.0
    reported: set[tuple[str, float]] = field(default_factory=set[tuple[str, float]])


class Budgets:
    """The counts of all budgets of a pool. `wall`: seconds since 1970; periods are calendar periods in UTC.

    `is_stored`: spending is also stored in a file; `unsaved`: spending that was not written there yet.
    """

    def __init__(self, budgets: Collection[Budget], wall: Callable[[], float]) -> None:
        self._budgets = sorted(budgets, key=lambda one: one.name)
        self._wall = wall
        self._counts: dict[str, _Count] = {}
        self.is_stored = False
        self.unsaved: Amounts = {}

    def reached(self, route: str, labels: Mapping[str, str]) -> list[Reached]:
        """The exhausted budgets that apply to a call of this route with these labels."""
        if not self._budgets:
            return []
        now, found = datetime.fromtimestamp(self._wall(), UTC), list[Reached]()
        for budget, key in self._accounts(route, labels):
            count = self._counts.get(key)
            usd = 0.0 if count is None or count.period != period_of(budget, now) else count.usd
            if self._is_used_up(budget, key, usd, now):
                found.append(Reached(budget, key, usd, _next_period(budget, now), seconds_left(budget, now)))
        return found

    def _is_used_up(self, budget: Budget, key: str, usd: float, now: datetime) -> bool:
        return usd >= budget.usd

    def add(self, route: str, labels: Mapping[str, str], costs: Iterable[tuple[Target, float]]) -> list[Reached]:
        """Count the cost of a call, by target. Returns the budgets to report, once per period: those that have reached `Budget.warn_at`
        or their full amount."""
        if not self._budgets:
            return []
        paid = list(costs)
        now, counted, reached = datetime.fromtimestamp(self._wall(), UTC), set[str](), list[Reached]()
        for budget, key in self._accounts(route, labels):
            usd = sum(cost for target, cost in paid if budget.account in (None, target.account))
            count = self._count(budget, key, now)
            if key not in counted:  # budgets that differ in their amounts only share a count
                self._will_count(budget, key, usd, now)
                count.usd += usd
                counted.add(key)
                if self.is_stored and usd:
                    self.unsaved[key, count.period] = self.unsaved.get((key, count.period), 0.0) + usd
            reached += self._newly_reached(budget, key, count, now)
        return reached

    def _will_count(self, budget: Budget, key: str, usd: float, now: datetime) -> None:
        """Hook: called with each amount before it is counted."""

    def raise_to(self, key: str, period: str, usd: float) -> None:
        """Raise a count to at least `usd`, because of spending by other processes or before a restart."""
        count = self._counts.setdefault(key, _Count(period))
        if period > count.period:
            self._counts[key] = count = _Count(period)
        if period == count.period:
            count.usd = max(count.usd, usd)

    def _set(self, key: str, period: str, usd: float) -> None:
        """Set the spending of all processes in the current period."""
        self.raise_to(key, period, 0.0)
        if self._counts[key].period == period:
            self._counts[key].usd = usd

    def take_unsaved(self) -> Amounts:
        """The spending since the last call of this method."""
        taken, self.unsaved = self.unsaved, {}
        return taken

    def spent(self) -> dict[str, float]:
        """USD spent in the current periods, by the name of the budget with the values of its labels."""
        now = datetime.fromtimestamp(self._wall(), UTC)
        periods = {period_of(budget, now) for budget in self._budgets}
        return {key: count.usd for key, count in self._counts.items() if count.period in periods}

    def status(self) -> list[BudgetStatus]:
        """The status of each budget; a budget that counts per label value has one for each value with spending."""
        now, found = datetime.fromtimestamp(self._wall(), UTC), list[BudgetStatus]()
        for budget in self._budgets:
            period, end, name = period_of(budget, now), _next_period(budget, now), budget.name
            elapsed = 1.0 - (end - now) / (end - _period_start(budget, now))
            counts = {key: one.usd for key, one in self._counts.items() if one.period == period}
            keys = [key for key in counts if key.startswith(f"{name} ")] if "*" in budget.labels.values() else [name]
            for key in keys:
                spent = counts.get(key, 0.0)
                forecast = spent / elapsed if elapsed >= FORECAST_FROM else None
                found.append(BudgetStatus(name, key, spent, budget.usd, (end - now).total_seconds(), forecast))
        return found

    def _accounts(self, route: str, labels: Mapping[str, str]) -> Iterable[Account]:
        for budget in self._budgets:
            if budget.route not in (None, route):
                continue
            key = budget.name
            for name, wanted in sorted(budget.labels.items()):
                value = labels.get(name)
                if value is None or wanted not in ("*", value):
                    break
                key += f" {name}={value}" if wanted == "*" else ""
            else:
                yield Account(budget, key)

    def _count(self, budget: Budget, key: str, now: datetime) -> _Count:
        period = period_of(budget, now)
        count = self._counts.get(key)
        if count is None or count.period != period:
            if len(self._counts) >= MAX_COUNTS:
                periods = {period_of(one, now) for one in self._budgets}
                self._counts = {name: one for name, one in self._counts.items() if one.period in periods}
            count = self._counts[key] = _Count(period)
        return count

    def _newly_reached(self, budget: Budget, key: str, count: _Count, now: datetime) -> list[Reached]:
        marks = {
            (f"{budget.action} {budget.usd}", mark) for mark in (budget.warn_at, 1.0) if count.usd >= mark * budget.usd
        }
        passed = marks - count.reported
        count.reported |= passed
        if not passed:
            return []
        return [Reached(budget, key, count.usd, _next_period(budget, now), seconds_left(budget, now))]


def period_of(budget: Budget, now: datetime) -> str:
    """The current period; later periods sort after earlier ones."""
    return now.strftime({"hour": "%Y-%m-%dT%H", "day": "%Y-%m-%d", "month": "%Y-%m"}[budget.per])


def _period_start(budget: Budget, now: datetime) -> datetime:
    start = now.replace(minute=0, second=0, microsecond=0)
    if budget.per != "hour":
        start = start.replace(hour=0)
    return start.replace(day=1) if budget.per == "month" else start


def seconds_left(budget: Budget, now: datetime) -> float:
    """Seconds until the next period."""
    return (_next_period(budget, now) - now).total_seconds()


def _next_period(budget: Budget, now: datetime) -> datetime:
    if budget.per == "hour":
        return now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if budget.per == "day":
        return day + timedelta(days=1)
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)
