"""Builders for tests of one process of a fleet: its targets, its shared state, and facts of other processes."""

from typing import Any

from hotspare._engine.fleet import Fleet, Subjects
from hotspare._health.breaker import CircuitBreaker
from hotspare._health.facts import Fact
from hotspare._health.target_state import TargetState

from tests.support.engine import Engine
from tests.support.health import ACCOUNT, FAST, SHARED


def engine_of(names: str = "ab", **fields: Any) -> Engine:
    """Targets of one provider; the subject of `a` is `a`, and that of its account `x`."""
    return Engine(names, targets={name: SHARED[name] | fields for name in SHARED}, breaker=FAST)


def unnamed(scope: object, unit: str) -> str:
    return ""


def named(state: TargetState) -> Subjects:
    """The names of a target and its account."""
    return Subjects(state.name, str(state.target.account))


def fleet_of(engine: Engine, *, members: int = 4, place: float = 0.5, expected: int | None = None) -> Fleet:
    """A fleet of so many processes with an available store."""
    fleet = Fleet(
        engine.tracker,
        named,
        lambda scope, unit: f"{scope[-1]}:{unit}",
        place,
        expected,
    )
    fleet.connected(members, 0.0)
    return fleet


def opened(subject: str = "a", remaining: float = 30.0, **fields: Any) -> Fact:
    fields = {"age": 1.0, "name": subject, "cause": "server", "level": 3.0, **fields}
    return Fact(subject, "health", "open", remaining, **fields)


def recovered(subject: str = "a", age: float = 1.0) -> Fact:
    return Fact(subject, "health", "recovering", 119.0, age, subject)


def of(engine: Engine, name: str = "a") -> CircuitBreaker:
    """The breaker of a target, or of the account `x`."""
    return engine.tracker.domains[ACCOUNT] if name == "x" else engine[name].breaker
