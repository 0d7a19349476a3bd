"""When a target is left alone although it is not down, and how soon one that was down is tried again."""

from collections.abc import Mapping

import pytest
from hotspare._health.breaker import State
from hotspare.outcome import Kind, Outcome
from hotspare.policy import Breaker
from hotspare.target import Domain

from tests.support.drawn import FixedRandom
from tests.support.engine import OK, SERVER, TIMEOUT, Engine
from tests.support.health import end, opened, permit

TWO_REGIONS = {
    "a": {"id": "p/m", "region": "r1"},
    "b": {"id": "p/m", "region": "r2"},
    "c": {"id": "p/n", "region": "r2"},
}
EQUAL = {"a": {"id": "p/m"}, "b": {"id": "q/m"}}


def failing(engine: Engine, outcomes: str, name: str = "a") -> State:
    """The state of a target after these outcomes, 0.1 s apart: `x` is a failure."""
    for number, one in enumerate(outcomes):
        end(engine, SERVER if one == "x" else OK, name, now=number / 10)
    return engine[name].breaker.state


@pytest.mark.parametrize(
    ("outcomes", "targets", "state"),
    [
        ("..x" * 7, EQUAL, State.OPEN),
        ("..x" * 6, EQUAL, State.CLOSED),  # fewer than twenty
        ("...x" * 9, EQUAL, State.CLOSED),
        ("." * 99 + "..x" * 6, EQUAL, State.OPEN),  # the latest twenty, however many there were before
        ("..x" * 7, {"a": {"id": "p/m"}, "b": {"id": "q/n"}}, State.CLOSED),  # another model
        ("..x" * 7, {"a": {"id": "p/m"}, "b": {"id": "q/m", "tier": 1}}, State.CLOSED),
    ],
)
def test_a_target_that_fails_too_often(outcomes: str, targets: dict[str, dict[str, object]], state: State) -> None:
    """Three failures in ten open it while an equal target is available, but not if there is none."""
    assert failing(Engine("ab", targets=targets), outcomes) is state


@pytest.mark.parametrize(
    ("outcomes", "state"),
    [("x", State.RECOVERING), ("xx", State.OPEN), ("....x.x", State.RECOVERING), ("...x.x", State.OPEN)],
)
def test_a_target_that_fails_again_as_it_recovers(outcomes: str, state: State) -> None:
    """It was down a moment ago: two failures that are three in ten of all since then send it away again, while an equal one stands ready."""
    assert recovering(outcomes, EQUAL) is state
    assert recovering(outcomes, {"a": {"id": "p/m"}, "b": {"id": "q/n"}}) is State.RECOVERING


def recovering(outcomes: str, targets: Mapping[str, Mapping[str, object]]) -> State:
    engine = Engine("ab", targets=targets, breaker=Breaker(consecutive_failures=99, minimum_throughput=99))
    end(engine, OK, "b", now=0.0)
    engine.open("a")
    end(engine, OK, now=9.0, of=permit(engine, now=9.0))
    for number, one in enumerate(outcomes):
        end(engine, SERVER if one == "x" else OK, now=9.5 + number / 10)
    return engine["a"].breaker.state


def test_an_equal_target_that_is_no_better() -> None:
    """Where the equal target fails as often, or is not available, the calls stay."""
    engine = Engine("ab", targets=EQUAL)
    failing(engine, "..x" * 3, "b")
    assert failing(engine, "..x" * 7) is State.CLOSED
    engine = Engine("ab", targets=EQUAL)
    engine.open("b", seconds=99.0)
    assert failing(engine, "..x" * 7) is State.CLOSED


@pytest.mark.parametrize(("took", "until"), [(1.0, 27.0), (3.0, 27.0), (9.0, 32.5)])
def test_the_time_of_a_probe_is_part_of_the_break(took: float, until: float) -> None:
    """After a probe that was silent the next one comes a break after its beginning, and half a break after its end."""
    engine = Engine("ab", targets=EQUAL, breaker=Breaker(break_duration=4.0), rng=FixedRandom(0.5))
    engine.open("a")
    held = permit(engine, now=20.0)
    assert held.probe
    end(engine, TIMEOUT, now=20.0 + took, of=held)
    assert engine["a"].breaker.open_until == pytest.approx(until)


def test_the_end_of_an_outage_of_all() -> None:
    """Once one target answers, the others are tried within a second, but for a key that was rejected or a quota; an ordinary
    success shortens nothing."""
    engine = Engine("abcd", rng=FixedRandom(1.0))
    engine.open("a")
    engine.open("b", "c", "d", seconds=300.0)
    engine["c"].rejection = Kind.AUTH
    engine["d"].breaker.rejected_until = 300.0
    held = permit(engine, now=5.0)
    end(engine, OK, now=6.0, of=held)
    assert [engine[name].breaker.open_until for name in "bcd"] == [7.0, 300.0, 300.0]
    engine = Engine("abc")
    engine.open("b")
    engine.open("c", seconds=300.0)
    end(engine, OK, "b", now=6.0, of=permit(engine, "b", now=5.0))  # `a` was there all the time
    assert engine["c"].breaker.open_until == 300.0


@pytest.mark.parametrize(("outcome", "took", "until"), [(SERVER, 0.9, 6.0), (SERVER, 1.0, 7.0), (TIMEOUT, 0.9, 7.0)])
def test_what_fails_fast_is_tried_at_once_after_an_outage_of_all(outcome: Outcome, took: float, until: float) -> None:
    """A probe of it costs its caller little; its region, which is down too, lets the probe through."""
    engine = Engine("abc", targets=TWO_REGIONS, rng=FixedRandom(1.0))
    end(engine, outcome, "b", now=took, of=permit(engine, "b", now=0.0))
    engine.open("a")
    engine.open("b", "c", seconds=300.0)
    region = opened(engine, Domain("region", "p", "r2"), now=5.0)
    end(engine, OK, now=6.0, of=permit(engine, now=5.0))
    assert (engine["b"].breaker.open_until, engine["c"].breaker.open_until, region.open_until) == (until, 7.0, until)


@pytest.mark.parametrize(
    ("of_b", "of_c", "state"), [(OK, SERVER, State.CLOSED), (SERVER, OK, State.CLOSED), (SERVER, SERVER, State.OPEN)]
)
def test_the_members_of_a_domain_are_probed_together_after_an_outage_of_all(
    of_b: Outcome, of_c: Outcome, state: State
) -> None:
    """None waits for the probe of another one, which costs a round trip; a success closes the domain. After a failure, and in any other
    outage, one probe serves the domain."""
    engine = Engine("abcd", targets=TWO_REGIONS | {"d": {"id": "p/o", "region": "r2"}}, rng=FixedRandom(1.0))
    for name in "bcd":
        end(engine, SERVER, name, now=0.1, of=permit(engine, name, now=0.0))
        engine.open(name, seconds=300.0)
    region = opened(engine, Domain("region", "p", "r2"), now=5.0)
    assert engine.tracker.available_at(engine["b"], 5.0) > 6.0
    engine.open("a")
    end(engine, OK, now=6.0, of=permit(engine, now=5.0))
    first, second = permit(engine, "b", now=6.0), permit(engine, "c", now=6.0)
    assert (first.probe, second.probe, engine.tracker.available_at(engine["d"], 6.0) <= 6.0) == (True, True, True)
    end(engine, of_b, "b", now=6.1, of=first)
    assert (engine.tracker.available_at(engine["d"], 6.1) <= 6.1) == (of_b is OK)
    end(engine, of_c, "c", now=6.2, of=second)
    assert region.state is state


@pytest.mark.parametrize(("open_targets", "seconds"), [("", 1.35), ("bc", 2.5)])
def test_targets_share_the_probes(open_targets: str, seconds: float) -> None:
    """With twenty calls a second and six probes in a hundred calls, three targets that are down are probed once in 2.5 seconds
    each, and one as soon as fast failures allow."""
    engine = Engine("abcd", rng=FixedRandom(1.0))
    for number in range(1000):
        engine.tracker.record_call(number / 20)
    engine.open(*open_targets, seconds=999.0)
    engine.open("a")
    engine["a"].breaker.trips = 9
    end(engine, SERVER, now=50.0, of=permit(engine, now=50.0))
    assert engine["a"].breaker.open_until - 50.0 == pytest.approx(seconds, rel=0.02)
