"""When a running attempt is overdue, when it is hedged, and which target may run beside it."""

from typing import Any

import pytest
from hotspare._engine import hedging
from hotspare._engine.call import Attempt, Call
from hotspare._health.breaker import State
from hotspare.outcome import Kind, Outcome
from hotspare.policy import Hedge, Policy
from hotspare.target import Price

from tests.support.engine import OK, Engine, call_of, state_of

HEDGED = Policy(hedge=Hedge())


def running(
    policy: Policy = HEDGED, *, samples: int = 8, seconds: float = 1.0, **fields: Any
) -> tuple[Engine, Call, Attempt]:
    """A call whose first attempt began at 10, at a target with a record of `seconds` a token."""
    engine = Engine("abc", policy=policy)
    call = engine.call(started=10.0, deadline=110.0, **fields)
    unary = not call.streaming
    for _ in range(samples):
        (engine["a"].completion if unary else engine["a"].first_token).add(seconds)
        (engine["a"].first_token if unary else engine["a"].completion).add(50.0)
    return engine, call, engine.start(call, now=10.0)


# --- racing -------------------------------------------------------------------------------------------------------


def test_overdue() -> None:
    """An attempt that exceeded its timeout has failed for its call, once, although it still runs."""
    _, call, attempt = running(Policy(on_slow="race"), samples=0)
    assert attempt.race_after == 10.0
    assert hedging.mark_overdue(call, 19.9) is False
    assert (attempt.outcome, call.last) == (None, None)
    assert hedging.mark_overdue(call, 20.0) is True
    assert attempt.outcome == Outcome(Kind.TIMEOUT, "no first token within 10.0 s")
    assert (attempt.ended, attempt.seconds, call.last) == (20.0, 10.0, attempt)
    assert hedging.mark_overdue(call, 25.0) is True
    assert attempt.ended == 20.0


def test_all_running_attempts_have_to_be_overdue() -> None:
    """A call keeps waiting for an attempt within its timeout; an overdue one beside it is marked nevertheless."""
    engine, call, first = running(Policy(on_slow="race"), samples=0)
    second = engine.start(call, "b", 15.0)
    assert hedging.mark_overdue(call, 21.0) is False
    assert (first.outcome is None, second.outcome is None, call.last) == (False, True, first)
    assert hedging.mark_overdue(call, 25.0) is True
    assert call.last is second


def test_what_has_no_time_is_never_overdue() -> None:
    """Without `race_after` an attempt ends by its own timeout; an attempt that has ended does not count."""
    engine, call, attempt = running(Policy(), samples=0)
    assert attempt.race_after is None
    assert hedging.mark_overdue(call, 1e6) is False
    engine.settle(call, attempt, OK, 11.0)
    assert hedging.mark_overdue(call, 12.0) is True


def test_timeout_outcome() -> None:
    """It names what did not come, and for how long."""
    _, _, streamed = running()
    _, _, whole = running(streaming=False)
    assert hedging.timeout_outcome(streamed, 12.34) == Outcome(Kind.TIMEOUT, "no first token within 2.3 s")
    assert hedging.timeout_outcome(whole, 12.34) == Outcome(Kind.TIMEOUT, "no whole answer within 2.3 s")


def test_next_timer() -> None:
    """The call looks again when an attempt is overdue or is to be hedged, whichever comes first, and never before now."""
    _, call, _ = running(Policy(), samples=0)
    assert hedging.next_timer(call, Policy(), 11.0) is None
    race = Policy(on_slow="race")
    engine, call, _ = running(race, samples=0)
    assert hedging.next_timer(call, race, 11.0) == 9.0
    engine.start(call, "b", 5.0)
    assert hedging.next_timer(call, race, 11.0) == 4.0
    assert hedging.next_timer(call, race, 16.0) == 0.0, "one of them is overdue"
    hedging.mark_overdue(call, 16.0)
    assert hedging.next_timer(call, race, 16.0) == 4.0, "what is overdue already has no timer"
    both = Policy(on_slow="race", hedge=Hedge())
    _, call, attempt = running(both)
    assert attempt.race_after == 5.0
    assert hedging.next_timer(call, both, 11.0) == 0.25
    call.hedged = True
    assert hedging.next_timer(call, both, 11.0) == 4.0


# --- hedging ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("samples", "seconds", "delay"), [(7, 1.0, None), (8, 1.0, 1.25), (8, 4.0, 5.0), (8, 0.1, 0.5)]
)
@pytest.mark.parametrize("streaming", [True, False])
def test_hedge_delay(streaming: bool, samples: int, seconds: float, delay: float | None) -> None:
    """1.25 times the usual time of this kind of answer, at least half a second, and only with a record of 8."""
    _, call, _ = running(samples=samples, seconds=seconds, streaming=streaming)
    assert hedging.hedge_delay(call, HEDGED, 10.0) == delay
    assert hedging.hedge_delay(call, HEDGED, 12.0) == (None if delay is None else delay - 2.0)


def test_the_delay_follows_the_95th_percentile() -> None:
    """One slow answer in ten is usual, one in thirty is late."""
    for samples, slow, delay in ((18, 2, 10.0), (29, 1, 1.25)):
        engine, call, _ = running(samples=samples)
        for _ in range(slow):
            engine["a"].first_token.add(8.0)
        assert hedging.hedge_delay(call, HEDGED, 10.0) == delay


def test_no_hedge() -> None:
    """Not without a policy, not twice, not after the first content, not without an attempt left."""
    for field, value in (("hedged", True), ("emitted", "text"), ("max_attempts", 1)):
        _, call, _ = running()
        setattr(call, field, value)
        assert hedging.hedge_delay(call, HEDGED, 10.0) is None, field
    _, call, _ = running()
    assert hedging.hedge_delay(call, Policy(), 10.0) is None
    call.max_attempts = 2
    assert hedging.hedge_delay(call, HEDGED, 10.0) == 1.25


def test_only_a_single_attempt_in_time_is_hedged() -> None:
    """Not beside another one, not when it is overdue, not when none is running."""
    engine, call, attempt = running()
    attempt.outcome = Outcome(Kind.TIMEOUT)
    assert hedging.hedge_delay(call, HEDGED, 10.0) is None
    attempt.outcome = None
    engine.start(call, "b", 10.0)
    assert hedging.hedge_delay(call, HEDGED, 10.0) is None
    assert hedging.hedge_delay(call_of(state_of()), HEDGED, 10.0) is None


@pytest.mark.parametrize(
    ("mine", "theirs", "may"),
    [
        (None, None, True),
        (Price(1, 1), None, True),
        (None, Price(100, 100), True),
        (Price(2, 4), Price(4, 8), True),
        (Price(2, 4), Price(4.1, 8), False),
        (Price(2, 4), Price(4, 8.1), False),
    ],
)
def test_the_price_of_a_hedge(mine: Price | None, theirs: Price | None, may: bool) -> None:
    """Neither of its known prices may be over twice the first one's."""
    assert hedging.may_hedge(state_of("a", price=mine), state_of("b", price=theirs), Hedge()) is may


def test_where_a_hedge_goes() -> None:
    """To another target, in another region, with a closed breaker."""
    first, other = state_of("a", id="p/m", region="r1"), state_of("b", id="p/m", region="r2")
    assert hedging.may_hedge(first, other, Hedge())
    assert not hedging.may_hedge(first, first, Hedge())
    assert not hedging.may_hedge(first, state_of("c", id="p/m", region="r1"), Hedge())
    for state in (State.OPEN, State.HALF_OPEN, State.RECOVERING):
        other.breaker.state = state
        assert not hedging.may_hedge(first, other, Hedge())
