"""What `Pool.health()` shows: plain frozen values, safe to keep and to serialise."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from hotspare._engine.scheduler import Scheduler
from hotspare._health.breaker import State


@dataclass(frozen=True, slots=True)
class TargetHealth:
    """One target now. `reopens_in`, `rate_limited_for` and percentiles are in seconds; None: unknown, or not by itself."""

    target: str
    state: State
    reason: str
    reopens_in: float | None
    rate_limited_for: float
    disabled: str
    calls: int
    failures: int
    trips: int
    traffic_share: float
    ttft_p50: float | None
    ttft_p95: float | None
    answer_p50: float | None
    answer_p95: float | None


@dataclass(frozen=True, slots=True)
class DomainHealth:
    """One failure domain now."""

    domain: str
    level: str
    state: State
    reason: str
    reopens_in: float


@dataclass(frozen=True, slots=True)
class PoolHealth:
    """The whole pool now. `attempts` are running, `waiting` calls wait for a recovery, `retries` are left to draw."""

    targets: tuple[TargetHealth, ...]
    domains: tuple[DomainHealth, ...]
    attempts: int
    waiting: int
    retries: float

    def __getitem__(self, name: str) -> TargetHealth:
        """One target by name. Raises KeyError."""
        for target in self.targets:
            if target.target == name:
                return target
        raise KeyError(name)


def snapshot(gate: Scheduler, now: float) -> PoolHealth:
    """Copy what is known; takes no lock (values may be a call apart)."""
    targets: list[TargetHealth] = []
    for member in gate.members:
        health = member.breaker
        share = health.traffic_share(now)
        opens = health.available_at(now)
        calls, failures = health.recent
        targets.append(
            TargetHealth(
                member.name,
                health.state,
                health.reason,
                None if opens == inf else max(0.0, opens - now),
                max(0.0, health.rate_limited_until - now),
                health.disabled,
                calls,
                failures,
                health.trips,
                share,
                member.first_token.quantile(0.5),
                member.first_token.quantile(0.95),
                member.completion.quantile(0.5),
                member.completion.quantile(0.95),
            )
        )
    domains = tuple(
        DomainHealth(str(domain), domain.level, health.state, health.reason, max(0.0, health.available_at(now) - now))
        for domain, health in tuple(gate.domains.items())
    )
    return PoolHealth(tuple(targets), domains, gate.in_flight, len(gate.waiting), gate.retries.tokens)
