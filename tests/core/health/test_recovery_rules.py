"""When a target is left alone although it is not down, and how soon one that was down is tried again."""

from collections.abc import Mapping
from math import inf

import pytest
from hotspare._health.breaker import State
from hotspare._health.probe_rate import ProbeRate
from hotspare.outcome import Kind, Outcome
from hotspare.policy import Breaker
from hotspare.target import Domain

from tests.support.drawn import FixedRandom
from tests.support.engine import OK, SERVER, TIMEOUT, Engine
from tests.support.health import REFUSED, REGION, end, opened, permit, pool

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


def test_an_equal_target_that_is_better() -> None:
    """It fails half as often, or recovers and has room, or is available again from this moment on: the calls go there."""
    engine = Engine("ab", targets=EQUAL)
    failing(engine, "......x" * 3, "b")
    assert failing(engine, "..x" * 7) is State.OPEN
    engine = Engine("ab", targets=EQUAL)
    engine.recover("b")
    assert failing(engine, "..x" * 7) is State.OPEN
    engine = Engine("ab", targets=EQUAL)
    engine["b"].breaker.rate_limited_until = 2.0
    assert failing(engine, "..x" * 7) is State.OPEN, "the last failure is at 2.0"


@pytest.mark.parametrize(("took", "until"), [(1.0, 27.0), (3.0, 27.0), (9.0, 32.5)])
def test_the_time_of_a_probe_is_part_of_the_break(took: float, until: float) -> None:
    """After a probe that was silent the next one comes a break after its beginning, and half a break after its end."""
    engine = Engine("ab", targets=EQUAL, breaker=Breaker(break_duration=4.0), rng=FixedRandom(0.5))
    engine.open("a")
    held = permit(engine, now=20.0)
    assert held.probe
    end(engine, TIMEOUT, now=20.0 + took, of=held)
    assert engine["a"].breaker.open_until == pytest.approx(until)


def test_the_time_of_any_other_attempt_is_not() -> None:
    """The break of a target that was in use begins with the failure."""
    engine = Engine(
        "ab", targets=EQUAL, breaker=Breaker(consecutive_failures=1, failure_span=0.0), rng=FixedRandom(1.0)
    )
    end(engine, TIMEOUT, now=29.0, of=permit(engine, now=20.0))
    assert engine["a"].breaker.open_until == 34.0


@pytest.mark.parametrize(("other_from", "seconds"), [(None, 3.75), (2.1, 3.75), (2.0, 0.75)])
def test_a_break_is_short_where_another_target_can_answer(other_from: float | None, seconds: float) -> None:
    """A probe that fails fast then costs its caller little. Where there is no other target, or the others admit no attempt now, the
    break is as long as any other."""
    engine = pool("ad" if other_from else "a")
    if other_from:
        engine["d"].breaker.rate_limited_until = other_from
    for now in (1.0, 2.0):
        end(engine, SERVER, now=now)
    assert engine["a"].breaker.open_until == 2.0 + seconds


def test_a_region_without_which_no_target_is_left() -> None:
    """It opens for the usual time, although its targets' own breakers are closed."""
    engine = pool("ab")
    end(engine, REFUSED, "b")
    engine["b"].breaker.rate_limited_until = 99.0
    end(engine, REFUSED, now=1.0)
    assert engine.tracker.domains[REGION].open_until == 4.75


@pytest.mark.parametrize(("open_targets", "now", "seconds"), [("", 6.0, 1.75), ("d", 6.0, 8.75), ("bd", 70.0, 8.75)])
def test_a_region_whose_probe_failed(open_targets: str, now: float, seconds: float) -> None:
    """The second break is twice as long; both are short if a target of another region can answer. The target that was probed is no such
    target, even if its probe has outlasted the lease."""
    engine = pool("abd")
    region = opened(engine, REGION)
    engine.open(*open_targets, seconds=300.0)
    end(engine, SERVER, now=now, of=permit(engine, now=5.0))
    assert (region.state, region.open_until) == (State.OPEN, now + seconds)


def test_an_early_probe_that_outlasts_the_break() -> None:
    """It ends an outage of all like any other probe: the target that it has found to answer was not available before."""
    engine = Engine("ab", rng=FixedRandom(1.0))
    engine.open("a")
    engine.open("b", seconds=300.0)
    end(engine, OK, now=9.0, of=permit(engine, now=1.0, last=True))
    assert engine["b"].breaker.open_until == 10.0


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


def test_a_region_shares_the_probes_too() -> None:
    """However often it has opened before, under load its breaks do not grow."""
    engine = pool("abd")
    for number in range(1000):
        engine.tracker.record_call(number / 20)
    region = engine.tracker.domains[REGION]
    region.trips = 9
    for name in "ab":
        end(engine, REFUSED, name, now=50.0)
    assert region.open_until - 50.0 == pytest.approx(1.35 * 0.875)


def test_the_longest_break() -> None:
    """Without calls it is not bounded. With many it is little more than the first break, be that after fast failures or after others."""
    settings, rate = Breaker(break_duration=5.0, fast_break_duration=2.0), ProbeRate()
    assert rate.longest_break(settings, [], fast=True) == inf
    for _ in range(1000):
        rate.record_call(0.0)
    assert [rate.longest_break(settings, [], fast=fast) for fast in (False, True)] == pytest.approx([6.0, 2.7])
