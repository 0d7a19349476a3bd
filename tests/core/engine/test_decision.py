"""What the rules read about a call's targets: which are held back, what each has done in the call, and which is available first."""

import pytest
from hotspare._engine.decide import GiveUp
from hotspare._engine.decision import decision_of
from hotspare._health.failures import Failure
from hotspare.outcome import AttemptReason, Kind

from tests.support.engine import SERVER, TIMEOUT, Engine


def test_a_region_that_is_down_comes_after_the_others() -> None:
    """A target whose own record is good, but whose region is down, is tried where no other is left."""
    engine = Engine(targets={name: {"id": "p/m", "region": name, "account": name} for name in "ab"})
    region = engine["a"].domains[0]
    assert region.level == "region"
    engine.tracker.domains[region].open(0.0, engine.shared.rng, at_least=30.0)
    call = engine.call()
    assert [engine.fail(call, 1.0, TIMEOUT).state.name for _ in range(2)] == ["b", "a"]


@pytest.mark.parametrize(("waits", "pause"), [(0, 1.0), (1, 2.0), (3, 8.0), (9, 20.0)])
def test_the_pause_between_attempts_at_a_target(waits: int, pause: float) -> None:
    """It doubles with each attempt that the call made there after a wait, up to the longest break; attempts elsewhere do not count."""
    engine = Engine()
    call = engine.call(max_attempts=99)
    for name, reason in (
        ("a", AttemptReason.FIRST), *[("a", AttemptReason.AFTER_WAIT)] * waits, ("b", AttemptReason.AFTER_WAIT),
    ):  # fmt: skip
        engine.settle(call, engine.start(call, name, 3.0, reason=reason), SERVER, 3.0)
    failure = decision_of(call, engine.shared, 3.0).failure_of(engine["a"])
    assert failure == Failure(Kind.SERVER, 3.0, pause)


def test_a_rejected_key_is_the_last_choice() -> None:
    """Where nothing else is left, the end of the call says when that target is available; else when another one is, although later."""
    for names, seconds in (("a", 29.0), ("ab", 49.0)):
        engine = Engine(names, when_all_down="fail")
        for name in names:
            engine.open(name, seconds=30.0 if name == "a" else 50.0)
        engine["a"].rejection = Kind.AUTH
        step = engine.step(engine.call(allow_last_resort=False), 1.0)
        assert isinstance(step, GiveUp)
        assert (step.reason, step.retry_after) == ("no target is available", seconds)
