"""Builders for tests of the health of targets and of the domains that they share."""

from __future__ import annotations

from typing import Any

from hotspare import events
from hotspare._health.breaker import CircuitBreaker, Permit
from hotspare.outcome import Kind, Outcome
from hotspare.policy import Breaker, Policy
from hotspare.target import Domain

from tests.support.engine import Engine

FAST = Breaker(consecutive_failures=2, failure_span=0.0)
"""Two failures open a breaker."""
SHARED = {name: {"id": "p/m", "region": region, "account": account} for name, region, account in
          (("a", "r1", "x"), ("b", "r1", "y"), ("c", "r2", "x"), ("d", "r2", "y"))}  # fmt: skip
"""Four targets of one provider: a and b share a region, a and c an account."""
REGION, ACCOUNT, PROVIDER = Domain("region", "p", "r1"), Domain("account", "p", "x"), Domain("provider", "p")
REFUSED = Outcome(Kind.TRANSPORT, "refused", before_connect=True)


def pool(names: str = "a", **fields: Any) -> Engine:
    fields.setdefault("breaker", FAST)
    return Engine(names, targets=SHARED, policy=Policy(**fields))


def permit(
    engine: Engine, name: str = "a", now: float = 0.0, *, waits: float | None = None, last: bool = False
) -> Permit:
    return engine.tracker.acquire(engine[name], now, stall_after=waits, last_resort=last)


def end(engine: Engine, outcome: Outcome, name: str = "a", now: float = 0.0, of: Permit | None = None) -> None:
    held = of or permit(engine, name, now)
    engine.tracker.record_outcome(engine[name], held, outcome, now)
    engine.tracker.release(engine[name], held)


def opened(engine: Engine, domain: Domain, now: float = 0.0, reason: str = "why") -> CircuitBreaker:
    breaker = engine.tracker.domains[domain]
    breaker.reason = reason
    breaker.open(now, engine.shared.rng)
    return breaker


def changes(engine: Engine) -> list[tuple[str, str, str]]:
    """The pending changes of state: subject, before and after."""
    return [(one.subject, one.before, one.after) for one in engine.events if isinstance(one, events.StateChanged)]
