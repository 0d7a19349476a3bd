"""What `Pool.health()` shows: plain frozen values, safe to keep and to serialise."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from math import inf
from typing import Any

from hotspare._health.breaker import State
from hotspare._health.target_state import TargetState
from hotspare._health.tracker import HealthTracker


@dataclass(frozen=True, slots=True)
class TargetHealth:
    """The health of one target.

    `state`: of its circuit breaker; `reason`: why the breaker is open. `available_in`: seconds until it admits an attempt (0: now;
    None: not before an operator enables it). `rate_limited_for`: seconds. `disabled`: why an operator took it out of use ("": it is
    in use). `calls`, `failures`: in the recent window. `trips`: how often the breaker opened, less one for each
    `Breaker.backoff_reset` seconds in the closed state.
    `traffic_share`: below 1 during a slow start. `ttft_*`, `completion_*`: percentiles of its successful attempts, seconds
    to the first token and to a whole answer (None: none yet). `since`: seconds in this state (None: always).
    `last_success`, `last_failure`: seconds since the latest attempt ended that way (None: none has); `last_error`: why the latest
    failure failed. `in_flight`: attempts in flight; a stream counts until its end. `limits_left`: what is left of each limit;
    `limits_used`: the used fraction of each limit: of its burst, or of a day's quota.
    `checks`: how many background checks were made (`Target.check`).
    """

    target: str
    state: State
    reason: str
    available_in: float | None
    rate_limited_for: float
    disabled: str
    calls: int
    failures: int
    trips: int
    traffic_share: float
    ttft_p50: float | None
    ttft_p95: float | None
    completion_p50: float | None
    completion_p95: float | None
    since: float | None
    last_success: float | None
    last_failure: float | None
    last_error: str
    in_flight: int
    limits_left: Mapping[str, float]
    limits_used: Mapping[str, float]
    checks: int = 0

    @property
    def is_healthy(self) -> bool:
        """Whether it admits ordinary calls. A half-open target is not healthy: it admits only a probe."""
        return self.available_in == 0 and self.state in (State.CLOSED, State.RECOVERING)


@dataclass(frozen=True, slots=True)
class DomainHealth:
    """The health of one failure domain. `available_in`: seconds until it admits an attempt."""

    domain: str
    level: str
    state: State
    reason: str
    available_in: float


@dataclass(frozen=True, slots=True)
class PoolHealth:
    """The health of a pool. `in_flight`: attempts in flight. `waiting`: calls that wait for a recovery. `retry_tokens`: what
    is left of the retry budget."""

    targets: tuple[TargetHealth, ...]
    domains: tuple[DomainHealth, ...]
    in_flight: int
    waiting: int
    retry_tokens: float

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    def __getitem__(self, name: str) -> TargetHealth:
        """One target by name. Raises KeyError."""
        for target in self.targets:
            if target.target == name:
                return target
        raise KeyError(name)


@dataclass(frozen=True, slots=True)
class BudgetStatus:
    """The state of a budget. `name`: what it counts; `key`: the same with the values of its labels. In USD: `spent` in this period,
    `limit`, and `forecast`, the amount at the end of the period at the present rate (None: too early). `resets_in`: seconds until the
    next period."""

    name: str
    key: str
    spent: float
    limit: float
    resets_in: float
    forecast: float | None


def least_left(statuses: Iterable[BudgetStatus]) -> dict[str, float]:
    """USD left, by budget. For a budget that counts each value of a label separately it is the lowest amount, because a metric for each
    value would be an unbounded number of metrics."""
    left: dict[str, float] = {}
    for one in statuses:
        left[one.name] = min(left.get(one.name, one.limit), one.limit - one.spent)
    return left


def snapshot(tracker: HealthTracker, now: float, in_flight: int, waiting: int, retry_tokens: float) -> PoolHealth:
    """A copy of the current state. The scheduler holds the lock, so that all values belong to the same moment."""
    domains = tuple(
        DomainHealth(
            str(domain), domain.level, breaker.state_at(now), breaker.reason, max(0.0, breaker.available_at(now) - now)
        )
        for domain, breaker in tracker.domains.items()
        if tracker.is_used(domain)
    )
    return PoolHealth(tuple(_target(state, now) for state in tracker.states), domains, in_flight, waiting, retry_tokens)


def _target(state: TargetState, now: float) -> TargetHealth:
    breaker = state.breaker
    available, (calls, failures) = breaker.available_at(now), breaker.recent
    return TargetHealth(
        state.name,
        breaker.state_at(now),
        breaker.reason,
        None if available == inf else max(0.0, available - now),
        max(0.0, breaker.rate_limited_until - now),
        breaker.disabled,
        calls,
        failures,
        breaker.trips,
        breaker.traffic_share(now),
        state.first_token.quantile(0.5),
        state.first_token.quantile(0.95),
        state.completion.quantile(0.5),
        state.completion.quantile(0.95),
        _ago(breaker.changed_at, now),
        _ago(state.last_success, now),
        _ago(state.last_failure, now),
        state.last_error,
        state.in_flight,
        {} if state.limits is None else state.limits.left(now),
        {} if state.limits is None else state.limits.used(now),
        state.checks,
    )


def _ago(at: float, now: float) -> float | None:
    return None if at == -inf else max(0.0, now - at)
