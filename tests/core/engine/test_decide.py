"""What a call does next, rules 0 to 2 (`hotspare._engine.decide`): a running attempt, a moment to resume at, the end."""

from typing import Any

import pytest
from hotspare._engine import decide
from hotspare._engine.call import Attempt, Call
from hotspare._engine.commands import Wait
from hotspare._engine.decide import GiveUp
from hotspare.outcome import AttemptReason, Kind, Outcome
from hotspare.policy import Hedge, Policy
from hotspare.target import Price
from tenacity import stop_after_attempt, stop_after_delay

from tests.support.engine import OK, TIMEOUT, Engine, state_of

INVALID = Outcome(Kind.INVALID, "bad field")
FILTERED = Outcome(Kind.CONTENT_FILTER, "no")
LIMITED = Outcome(Kind.RATE_LIMITED, "slow down")


def shown(attempt: Attempt) -> tuple[str, AttemptReason]:
    return attempt.state.name, attempt.reason


def reason_of(step: decide.Step) -> str:
    assert isinstance(step, GiveUp), step
    return step.reason


# --- 0: an attempt is running -------------------------------------------------------------------------------------


def test_a_running_attempt_is_waited_for() -> None:
    """Until its end where nothing else is to be decided, or until its time is up with `race`."""
    engine = Engine()
    call = engine.call()
    engine.attempt(call, 0.0)
    assert engine.step(call, 1.0) == Wait(None)
    engine = Engine(on_slow="race")
    call = engine.call()
    assert shown(engine.attempt(call, 0.0)) == ("a", AttemptReason.FIRST)
    assert engine.step(call, 1.0) == Wait(9.0)


def test_an_overdue_attempt_is_raced() -> None:
    """The next target starts beside it; when none is left, the call waits for those that run."""
    engine = Engine(on_slow="race", when_all_down="fail")
    call = engine.call(max_attempts=2)
    engine.attempt(call, 0.0)
    assert shown(engine.attempt(call, 10.0)) == ("b", AttemptReason.FAILOVER)
    assert engine.step(call, 12.0) == Wait(None)
    engine = Engine("a", on_slow="race", when_all_down="fail", max_attempts=1)
    call = engine.call()
    attempt = engine.attempt(call, 0.0)
    attempt.race_after = 5.0
    assert engine.step(call, 6.0) == Wait(None), "it has used all attempts, and still may be answered"


HEDGED: dict[str, Any] = {"hedge": Hedge(max_extra_calls=1.0, min_delay=0.0)}


def hedged(names: Any = "ab", tokens: bool = True, **fields: Any) -> tuple[Engine, Call]:
    """A call whose attempt at a is to be hedged after 1.25 s."""
    engine = Engine(names, **(HEDGED | fields))
    for _ in range(8):
        engine["a"].first_token.add(1.0)
    if tokens:
        engine.shared.hedge_tokens.deposit()
    call = engine.call()
    engine.attempt(call, 0.0)
    return engine, call


def test_a_late_attempt_is_hedged_once() -> None:
    """When its delay is over, a second attempt starts; from then on both are waited for."""
    engine, call = hedged()
    assert engine.step(call, 1.0) == Wait(0.25)
    assert shown(engine.attempt(call, 1.25)) == ("b", AttemptReason.HEDGE)
    assert call.hedged
    assert engine.step(call, 1.5) == Wait(None)
    assert not engine.shared.hedge_tokens.withdraw()


def test_a_hedge_needs_a_token() -> None:
    """Without one the call is not hedged, now or later."""
    engine, call = hedged(tokens=False)
    assert engine.step(call, 1.25) == Wait(None)
    engine.shared.hedge_tokens.deposit()
    assert engine.step(call, 2.0) == Wait(None)
    assert call.hedged


def test_where_a_hedge_may_go() -> None:
    """Past targets that are too expensive, in the same region, or not admissible, to the first one that may be hedged to."""
    same = state_of("b", id="a/m", position=1)
    costly, late, free = state_of("c", price=Price(9, 9)), state_of("d"), state_of("e")
    late.breaker.rate_limited_until = 50.0
    engine, call = hedged([state_of("a", price=Price(1, 1)), same, costly, late, free])
    assert shown(engine.attempt(call, 1.25)) == ("e", AttemptReason.HEDGE)
    engine, call = hedged([state_of("a"), same])
    assert engine.step(call, 1.25) == Wait(None)
    assert engine.shared.hedge_tokens.withdraw(), "no token is taken where no target is there"


def test_a_hedge_goes_to_an_untried_target() -> None:
    """A target that failed this call is no hedge."""
    engine = Engine("abc", **HEDGED)
    for name in "ab":
        for _ in range(8):
            engine[name].first_token.add(1.0)
    engine.shared.hedge_tokens.deposit()
    call = engine.call()
    engine.fail(call, 0.0, TIMEOUT)
    assert shown(engine.attempt(call, 0.0)) == ("b", AttemptReason.FAILOVER)
    assert shown(engine.attempt(call, 1.25)) == ("c", AttemptReason.HEDGE)


# --- 1: give up ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "policy", "goes_on"),
    [
        (FILTERED, {}, False),
        (FILTERED, {"failover_on": {Kind.CONTENT_FILTER}}, True),
        (INVALID, {}, False),
        (INVALID, {"failover_on": {Kind.INVALID}}, True),
        (INVALID, {"doubt_invalid_after": 1}, True),
        (INVALID, {"doubt_invalid_after": 2}, False),
        (Outcome(Kind.AUTH), {}, True),
        (Outcome(Kind.QUOTA), {}, True),
        (Outcome(Kind.NOT_FOUND), {}, True),
        (TIMEOUT, {}, True),
        (LIMITED, {}, True),
        (Outcome(Kind.CONTEXT_LENGTH), {}, True),
    ],
)
def test_which_outcomes_end_a_call(outcome: Outcome, policy: dict[str, Any], goes_on: bool) -> None:
    """What the request itself provokes ends it, unless the policy says otherwise or the target is doubted."""
    engine = Engine(policy=Policy(**policy))
    call = engine.call()
    engine.fail(call, 0.0, outcome)
    step = engine.step(call, 1.0)
    if goes_on:
        assert isinstance(step, Attempt)
        assert shown(step) == ("b", AttemptReason.FAILOVER)
    else:
        expected = "the policy allows no failover after this outcome"
        assert step == GiveUp(expected, {"b": expected}, None)


def test_a_target_that_accepts_similar_requests_is_not_doubted() -> None:
    """For five seconds after it has answered one, what it rejects is the caller's fault; the rejections before do not count any more."""
    engine = Engine(doubt_invalid_after=1)
    call, other = engine.call(), engine.call()
    engine.fail(call, 0.0, INVALID)
    engine.settle(other, engine.start(other, now=10.0), OK, 10.0)
    assert isinstance(engine.step(call, 10.0), GiveUp)
    for now, ends in ((14.5, True), (15.0, False)):
        call = engine.call()
        engine.fail(call, now, INVALID)
        assert isinstance(engine.step(call, now), GiveUp) is ends


@pytest.mark.parametrize(("most", "targets"), [(1, "1 target"), (2, "2 targets")])
def test_the_same_error_everywhere(most: int, targets: str) -> None:
    """So many targets with the same server error end a call, if the policy says so: the request may be at fault."""
    engine = Engine("abc", max_alike_failures=most, retry_same_target="never")
    call = engine.call()
    for _ in range(most):
        engine.fail(call, 0.0)
    assert reason_of(engine.step(call, 0.0)) == f"the request has failed in the same way at {targets}"


def test_a_superseded_invalid_ends_nothing() -> None:
    """A 400 that taught something about the target: the same one is tried again."""
    engine = Engine()
    call = engine.call()
    engine.fail(call, 0.0, INVALID).superseded = True
    assert shown(engine.attempt(call, 1.0)) == ("a", AttemptReason.FAILOVER)


def test_all_attempts_are_used() -> None:
    """A call makes as many attempts as it may, and no more."""
    engine = Engine("abc", max_attempts=2)
    call = engine.call()
    engine.fail(call, 0.0, TIMEOUT)
    engine.fail(call, 1.0, TIMEOUT)
    step = engine.step(call, 2.0)
    assert step == GiveUp("all 2 attempts are used", {"c": "all 2 attempts are used"})


def test_the_deadline_is_over() -> None:
    """Once a call has tried or waited, its deadline ends it; the first attempt is made however late it is."""
    engine = Engine(retry_same_target="never")
    late = engine.call()
    assert isinstance(engine.step(late, 100.0), Attempt)
    call = engine.call()
    engine.fail(call, 0.0)
    assert reason_of(engine.step(call, 100.0)) == "deadline exceeded"
    assert isinstance(engine.step(call, 98.0), Attempt)
    waited = engine.call()
    waited.was_queued = True
    assert reason_of(engine.step(waited, 100.0)) == "deadline exceeded"
    assert isinstance(engine.step(waited, 99.0), Attempt)


def test_the_policy_stops() -> None:
    """`Policy.stop` ends a call after its first attempt at the earliest."""
    engine = Engine(stop=stop_after_attempt(1))
    call = engine.call()
    engine.fail(call, 0.0)
    assert reason_of(engine.step(call, 1.0)) == "the policy's stop condition is met"
    for now, ends in ((4.9, False), (5.0, True)):
        engine = Engine(stop=stop_after_delay(5.0), retry_same_target="never")
        call = engine.call()
        engine.fail(call, 0.0)
        assert isinstance(engine.step(call, now), GiveUp) is ends
