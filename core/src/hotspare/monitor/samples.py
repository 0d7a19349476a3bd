"""The input of rules: recent calls and events, kept in memory, and the health of the pool."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from math import ceil
from typing import NamedTuple

from hotspare._health.breaker import State
from hotspare.events import (
    BudgetReached,
    CallEnded,
    CallResult,
    Event,
    LedgerFailed,
    LedgerRecovered,
    NeedsAttention,
    RateLimited,
)
from hotspare.monitor.rules import MAX_CALL_WINDOW, MAX_WINDOW, Rule
from hotspare.outcome import Kind
from hotspare.status import BudgetStatus, PoolHealth

MAX_SAMPLES = 100_000
"""Maximum number of calls that are kept: 28 a second for an hour, about 10 MB."""
_DAY = 86_400.0
_ATTENTION = {Kind.AUTH: "keys_rejected", Kind.QUOTA: "quotas_used_up", Kind.NOT_FOUND: "models_missing"}


_KEPT = frozenset({CallEnded, NeedsAttention, RateLimited, BudgetReached, LedgerFailed, LedgerRecovered})
_OUT = (State.OPEN, State.HALF_OPEN)
"""States in which a domain counts as unavailable. Half-open is one of them: its probe has not succeeded yet."""


class _Call(NamedTuple):
    at: float
    seconds: float
    ttft: float | None
    result: CallResult
    rescued: bool


class Samples:
    """Collects events (`add`, from any thread) and computes metrics (`values`). All times are from one clock, in seconds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: deque[_Call] = deque(maxlen=MAX_SAMPLES)
        self._marks: deque[tuple[float, str]] = deque(maxlen=MAX_SAMPLES)
        self._costs: deque[tuple[float, float]] = deque()  # (begin of a minute, USD)
        self._is_ledger_failing = False

    def add(self, event: Event, now: float) -> None:
        """Record the data of an event that rules need."""
        if type(event) not in _KEPT:
            return
        with self._lock:
            if isinstance(event, CallEnded):
                self._calls.append(_Call(now, event.seconds, event.ttft, event.result, event.rescued))
                if event.cost:
                    self._add_cost(event.cost, now)
            elif isinstance(event, NeedsAttention) and event.kind in _ATTENTION:
                self._marks.append((now, _ATTENTION[event.kind]))
            elif isinstance(event, RateLimited):
                self._marks.append((now, "rate_limits"))
            elif isinstance(event, BudgetReached):
                self._marks.append((now, "budgets_reached"))
            elif isinstance(event, LedgerFailed | LedgerRecovered):
                self._is_ledger_failing = isinstance(event, LedgerFailed)

    def _add_cost(self, cost: float, now: float) -> None:
        minute = now // 60 * 60
        if self._costs and self._costs[-1][0] == minute:
            self._costs[-1] = (minute, self._costs[-1][1] + cost)
        else:
            self._costs.append((minute, cost))

    def values(
        self, rules: Iterable[Rule], health: PoolHealth, budgets: Sequence[BudgetStatus], now: float
    ) -> Iterator[tuple[Rule, float | None, int]]:
        """The value of each rule's metric (None: no value), and the calls in its window."""
        with self._lock:
            self._forget(now)
            calls, marks, costs = list(self._calls), list(self._marks), list(self._costs)
        by_window: dict[float, list[_Call]] = {}
        forecasts = [one.forecast / one.limit for one in budgets if one.forecast is not None]
        current: dict[str, float | None] = {
            "limit_used": max(
                (share for target in health.targets for share in target.limits_used.values()), default=None
            ),
            "budget_used": max((one.spent / one.limit for one in budgets), default=None),
            "budget_forecast": max(forecasts, default=None),
            "available_targets": float(sum(target.is_healthy for target in health.targets)),
            "open_domains": float(sum(domain.state in _OUT for domain in health.domains)),
            "waiting_calls": float(health.waiting),
            "ledger_failing": float(self._is_ledger_failing),
        }
        for rule in rules:
            since = now - rule.window
            recent = by_window.get(rule.window)
            if recent is None:
                recent = by_window[rule.window] = [one for one in calls if one.at > since]
            if rule.metric in current:
                value = current[rule.metric]
            elif rule.metric in ("cost", "cost_forecast"):
                value = sum(cost for minute, cost in costs if minute + 60 > since)
                value *= _DAY / rule.window if rule.metric == "cost_forecast" else 1
            elif rule.metric in ("rate_limits", "budgets_reached", *_ATTENTION.values()):
                value = float(sum(at > since and name == rule.metric for at, name in marks))
            else:
                value = _of_calls(rule.metric, recent)
            yield rule, value, len(recent)

    def _forget(self, now: float) -> None:
        while self._calls and self._calls[0].at <= now - MAX_CALL_WINDOW:
            self._calls.popleft()
        while self._marks and self._marks[0][0] <= now - MAX_CALL_WINDOW:
            self._marks.popleft()
        while self._costs and self._costs[0][0] + 60 <= now - MAX_WINDOW:
            self._costs.popleft()


def _of_calls(metric: str, calls: list[_Call]) -> float | None:
    answered = [one for one in calls if one.result is CallResult.ANSWERED]
    if metric == "calls":
        return float(len(calls))
    if metric == "error_rate":
        lost = sum(one.result in (CallResult.FAILED, CallResult.INTERRUPTED) for one in calls)
        judged = lost + len(answered)  # without abandoned calls
        return lost / judged if judged else None
    if metric == "rescue_rate":
        return sum(one.rescued for one in answered) / len(answered) if answered else None
    times = (
        [one.ttft for one in calls if one.ttft is not None] if metric == "ttft_p95" else [c.seconds for c in answered]
    )
    if not times:
        return None
    if metric == "latency_mean":
        return sum(times) / len(times)
    return max(times) if metric == "latency_max" else sorted(times)[ceil(0.95 * len(times)) - 1]
