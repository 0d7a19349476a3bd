"""The reasons that trails, errors and recordings give for a decision: of each target that was passed over, and of each rule."""

import pytest
from hotspare import Limits
from hotspare._engine.plan import Candidates
from hotspare._engine.reasons import Obstacle, Trace, choice, passed_over
from hotspare._health.breaker import State
from hotspare._routing.explain import Choice, Exclusion, SkipReason

from tests.support.engine import TIMEOUT, Engine, NoBackend, state_of


def engine_of(count: int = 3) -> Engine:
    return Engine([state_of(f"t{place}", limits=Limits(rpm=60, burst=1), position=place) for place in range(count)])


def limited(engine: Engine, name: str) -> None:
    limits = engine[name].limits
    assert limits is not None
    limits.take(engine.call().need, 0.0)


def test_targets_that_were_passed_over() -> None:
    """Those before the chosen one, in order, with the reason; without those that the call has tried."""
    engine = engine_of(5)
    call = engine.call()
    names = list(engine.states.values())
    engine.open("t0", seconds=20.0)
    limited(engine, "t1")
    candidates = Candidates(call, engine.shared, 0.0)
    assert candidates.has(4)
    found = passed_over(call, candidates, {names[2]}, names[3], engine.shared, 0.0)
    assert [name for name, _ in found] == ["t0", "t1"]
    assert found[0][1] == "circuit breaker open (failing), retry after 20.0 s"
    assert found[1][1].endswith(", retry after 1.0 s") and "60 requests a minute" in found[1][1]
    assert passed_over(call, candidates, (), names[0], engine.shared, 0.0) == ()
    found = passed_over(call, candidates, (), names[3], engine.shared, 0.0)
    assert found[2] == ("t2", "reserved for other calls")


def test_at_most_eight_are_named() -> None:
    """A large pool may have hundreds."""
    engine = engine_of(12)
    candidates = Candidates(engine.call(), engine.shared, 0.0)
    assert candidates.has(12)
    found = passed_over(engine.call(), candidates, (), engine["t11"], engine.shared, 0.0)
    assert [name for name, _ in found] == [f"t{place}" for place in range(8)]


def test_targets_that_were_moved_back() -> None:
    """They come after the chosen one, and are named with the reason for that, unless they are chosen or were tried."""
    engine = engine_of(4)
    call = engine.call()
    for name in ("t0", "t1", "t2"):
        engine[name].refused[call.features] = 99.0
    candidates = Candidates(call, engine.shared, 0.0)
    assert candidates.has(4)
    assert [state.name for state in candidates] == ["t3", "t0", "t1", "t2"]
    why = "it has rejected similar requests"
    assert passed_over(call, candidates, {engine["t1"]}, engine["t3"], engine.shared, 0.0) == (("t0", why), ("t2", why))
    found = passed_over(call, candidates, {engine["t3"]}, engine["t1"], engine.shared, 0.0)
    assert found == (("t0", why), ("t2", why))


@pytest.mark.parametrize(
    ("at", "excluded", "expected"),
    [
        (0.0, False, Choice("t0", 2, "closed", SkipReason.UNAVAILABLE, "rate limited, retry after 9.0 s", (), 9.0)),
        (9.0, False, Choice("t0", 2, "closed")),
        (0.0, True, Choice("t0", 2, "closed", SkipReason.OVER_BUDGET, "too expensive", (), None)),
    ],
)
def test_the_place_of_a_target(at: float, excluded: bool, expected: Choice) -> None:
    """What blocks it now, how long, and in which tier it is."""
    engine = engine_of(1)
    state = engine["t0"]
    state.breaker.rate_limited_until, state.breaker.rate_limits = 9.0, 1
    call = engine.call(excluded={state: Exclusion(SkipReason.OVER_BUDGET, "too expensive")} if excluded else {})
    assert choice(call, state, engine.shared, 2, at) == expected


def test_a_limit_that_blocks_a_target() -> None:
    """The limit is named; if its health blocks it too, that is the reason."""
    engine = engine_of(1)
    limited(engine, "t0")
    state = engine["t0"]
    found = choice(engine.call(), state, engine.shared, 0, 0.25)
    assert (found.skipped, found.available_in) == (SkipReason.UNAVAILABLE, 0.75)
    assert "60 requests a minute" in found.reason and found.reason.endswith(", retry after 0.8 s")
    engine.open("t0", seconds=20.0)
    assert (
        choice(engine.call(), state, engine.shared, 0, 0.25).reason
        == "circuit breaker open (failing), retry after 19.8 s"
    )
    engine["t0"].breaker.open_until = 0.25
    assert "60 requests a minute" in choice(engine.call(), state, engine.shared, 0, 0.25).reason


def test_the_trace_of_a_decision() -> None:
    """Its rule, and for each target that was looked at what blocked it first."""
    engine = Engine(
        [state_of(name, limits=Limits(rpm=60, burst=1), position=place) for place, name in enumerate("abcdef")]
    )
    call, trace = engine.call(), Trace()
    assert (trace.rule, trace.obstacles) == (0, {})
    trace.begin(3)
    engine.open("a", seconds=20.0)
    limited(engine, "b")
    engine["c"].breaker.disabled = "gone"
    engine["f"].breaker.recover(5.0)
    engine["f"].breaker.active = 20  # twice as many as it admits now, so that the window has to double
    for name, obstacle in (
        ("a", Obstacle.UNAVAILABLE), ("a", Obstacle.LIMITED), ("b", Obstacle.LIMITED), ("c", Obstacle.TOO_LITTLE_TIME),
        ("d", None), ("e", Obstacle.CONTEXT_WINDOW), ("f", Obstacle.UNAVAILABLE),
    ):  # fmt: skip
        trace.note(call, engine[name], obstacle, engine.tracker, 5.0)
    limit = trace.obstacles["b"]
    assert trace.rule == 3 and "60 requests a minute" in limit and "retry after" not in limit
    assert trace.obstacles == {
        "a": "circuit breaker open (failing), retry after 15.0 s", "b": limit, "c": "disabled", "d": "",
        "e": "its context window is too small, or not known to be larger",
        "f": "slow start: it admits no more concurrent attempts yet, retry after 0.5 s",
    }  # fmt: skip
    trace.begin(7)
    assert (trace.rule, trace.obstacles) == (7, {})


def test_a_trace_of_the_rules() -> None:
    """Each decision begins anew, and notes what the rules have looked at."""
    limits = Limits(rpm=60, burst=1)
    engine = Engine([state_of("a", backend=NoBackend()), state_of("b", limits=limits), state_of("c", position=2)])
    engine.shared.trace = trace = Trace()
    engine.open("a", seconds=20.0)
    limited(engine, "b")
    engine.attempt(engine.call(), 0.0)
    assert trace.rule == 3 and list(trace.obstacles) == ["a", "b", "c"]
    assert trace.obstacles["a"] == "circuit breaker open (failing), retry after 20.0 s" and trace.obstacles["c"] == ""
    assert "60 requests a minute" in trace.obstacles["b"]
    assert engine["a"].breaker.state is State.OPEN


def test_a_trace_of_a_last_attempt() -> None:
    """A break that ends at this very moment is over: the target is left to other calls, not unavailable."""
    engine = Engine()
    engine.shared.trace = trace = Trace()
    engine.open("a", seconds=10.0)
    engine["b"].breaker.disabled = "gone"
    engine.step(engine.call(max_attempts=1), 10.0)
    assert trace.obstacles == {"a": str(Obstacle.LEFT_TO_OTHERS), "b": "disabled"}


def test_the_number_of_the_rule() -> None:
    """A running attempt is watched by rule 0, the end of a call is rule 1, waiting 7, and an early probe 6."""
    engine = Engine("a")
    engine.shared.trace = trace = Trace()
    call = engine.call(max_attempts=1)
    attempt = engine.attempt(call, 0.0)
    found = [trace.rule]
    engine.step(call, 1.0)
    found.append(trace.rule)
    engine.settle(call, attempt, TIMEOUT, 1.0)
    engine.step(call, 1.0)
    found.append(trace.rule)
    engine.open("a", seconds=30.0)
    engine.step(engine.call(), 2.0)
    found.append(trace.rule)
    engine.shared.next_early_probe = 0.0
    engine.attempt(engine.call(), 2.0)
    assert [*found, trace.rule] == [3, 0, 1, 7, 6]
