"""When a call's first attempt is found without the rules, and when it is left to them. That both find the same is shown in test_plan.py."""

from collections.abc import Callable
from typing import Any

import pytest
from hotspare._engine.call import Call
from hotspare._engine.first import first_attempt
from hotspare._engine.reasons import Trace
from hotspare._health.pace import Pace
from hotspare.outcome import AttemptReason
from hotspare.target import Limits

from tests.support.engine import Engine, NoBackend, state_of

ONE = Limits(rpm=60, burst=1)


def engine_of(*, limits: Any = frozenset(), backend: Any = None, **policy: Any) -> Engine:
    """Targets a and b; the limits and the backend are those of a."""
    return Engine([state_of("a", limits=limits, backend=backend), state_of("b", position=1)], **policy)


def test_the_first_target() -> None:
    """A healthy first target gets the first attempt, with the bounds that the rules would set."""
    engine = engine_of()
    call = engine.call()
    found = first_attempt(call, engine.shared, 2.0)
    assert found is not None and found.state is engine["a"] and call.attempts == [found]
    assert (found.number, found.reason, found.permit.started, found.chosen_by) == (
        1,
        AttemptReason.FIRST,
        2.0,
        "ordered",
    )
    assert (found.passed, found.extra, found.race_after) == ((), False, None)
    assert engine.shared.in_flight == 1 and engine["a"].breaker.active == 1


def test_the_time_for_the_first_target() -> None:
    """It is shorter if another target can take over, and all of it is one race where the policy says so."""
    both, alone = engine_of(), Engine([state_of("a")])
    first, only = first_attempt(both.call(), both.shared, 0.0), first_attempt(alone.call(), alone.shared, 0.0)
    assert first is not None and only is not None and first.timeout < only.timeout
    race = engine_of(on_slow="race")
    found = first_attempt(race.call(), race.shared, 0.0)
    assert found is not None and found.race_after is not None and found.timeout == 100.0


def limited(engine: Engine, call: Call) -> None:
    limits = engine["a"].limits
    assert limits is not None
    limits.take(call.need, 0.0)


def slowed(engine: Engine, call: Call) -> None:
    engine["a"].has_slowed = True
    engine["a"].paces[False, False] = Pace(None)


def stalled(engine: Engine, call: Call) -> None:
    for now in range(6):
        engine.tracker.acquire(engine["a"], now - 50.0, stall_after=2.0, last_resort=False)


HINDRANCES: dict[str, Callable[[Engine, Call], object]] = {
    "an attempt was made": lambda engine, call: engine.start(call, "b"),
    "it waited": lambda engine, call: setattr(call, "was_queued", True),
    "it has a place in a queue": lambda engine, call: setattr(call, "ticket", object()),
    "it belongs to a conversation": lambda engine, call: setattr(call, "session", "s"),
    "a target recovers": lambda engine, call: engine.recover("b"),
    "decisions are recorded": lambda engine, call: setattr(engine.shared, "trace", Trace()),
    "there are no tiers": lambda engine, call: setattr(call, "tiers", ()),
    "the first tier is empty": lambda engine, call: setattr(call, "tiers", ((), *call.tiers)),
    "it is open": lambda engine, call: engine.open("a", seconds=50.0),
    "it was slow": slowed,
    "it has refused something": lambda engine, call: engine["a"].refused.update({frozenset({"tools"}): 99.0}),
    "it is excluded": lambda engine, call: setattr(call, "excluded", {engine["a"]: object()}),
    "it is rate-limited": lambda engine, call: setattr(engine["a"].breaker, "rate_limited_until", 9.0),
    "it is disabled": lambda engine, call: setattr(engine["a"].breaker, "disabled", "gone"),
    "its limit is reached": limited,
    "its calls have stalled": stalled,
}


@pytest.mark.parametrize("name", HINDRANCES)
def test_what_is_left_to_the_rules(name: str) -> None:
    """Anything that may change the choice: then nothing is started."""
    engine = engine_of(limits=ONE)
    call = engine.call()
    HINDRANCES[name](engine, call)
    before = len(call.attempts)
    assert first_attempt(call, engine.shared, 5.0 if "limit" not in name else 0.5) is None
    assert len(call.attempts) == before


@pytest.mark.parametrize("strategy", ["weighted", "latency"])
def test_another_order_is_left_to_the_rules(strategy: str) -> None:
    """Only the order of the route needs no comparison of targets."""
    engine = engine_of(strategy=strategy)
    assert first_attempt(engine.call(), engine.shared, 0.0) is None


def test_a_request_that_the_target_does_not_support() -> None:
    """The rules find one that does."""
    engine = engine_of(backend=NoBackend("messages"))
    assert first_attempt(engine.call(), engine.shared, 0.0) is None


@pytest.mark.parametrize("now", [9.0, 9.5])
def test_the_end_of_a_rate_limit(now: float) -> None:
    """At that moment the target is available again."""
    engine = engine_of()
    engine["a"].breaker.rate_limited_until = 9.0
    assert first_attempt(engine.call(), engine.shared, now) is not None
