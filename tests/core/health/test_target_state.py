"""The record of one target: its errors without keys, its latest results, what it refuses, and why it admits no attempt."""

from math import inf

import pytest
from hotspare._health.breaker import CircuitBreaker, State
from hotspare._health.pace import Pace
from hotspare.errors import AnswerRejected
from hotspare.outcome import Kind, Outcome
from hotspare.policy import Breaker
from hotspare.secret import Redactor

from tests.support.engine import CANCELLED, OK, SERVER, TIMEOUT, Engine, state_of

KEY = "sk-a-long-secret-key"


def test_an_answer_that_was_rejected() -> None:
    """The reason is its message; the backend is not involved."""
    assert state_of().classify(AnswerRejected("it is too short")) == Outcome(Kind.REJECTED, "it is too short")


def test_errors_have_no_keys() -> None:
    """Neither the error itself nor its outcome has one, in its message or its code; an outcome without a key stays as it is."""
    state = state_of()
    state.redactor = Redactor([KEY])
    error = ValueError(f"wrong key {KEY}")
    found = state.classify(error)
    assert found.kind is Kind.SERVER
    assert KEY not in found.message and found.message.startswith("wrong key ") and KEY not in str(error)
    masked = state.redacted(Outcome(Kind.AUTH, "no", 401, f"code {KEY}"))
    assert masked.message == "no" and masked.status == 401
    assert masked.code is not None and masked.code.startswith("code ") and KEY not in masked.code
    both = state.redacted(Outcome(Kind.AUTH, f"message {KEY}", code=f"code {KEY}"))
    assert both.message.startswith("message ") and both.code is not None and both.code.startswith("code ")
    assert KEY not in both.message + both.code
    assert state.redacted(SERVER) is SERVER
    assert state.redacted(Outcome(Kind.AUTH, f"{KEY}")).code is None


@pytest.mark.parametrize(
    ("outcome", "success", "failure", "error"),
    [
        (OK, 5.0, -inf, ""),
        (SERVER, -inf, 5.0, "server 500: broken"),
        (TIMEOUT, -inf, 5.0, "timeout: late"),
        (Outcome(Kind.SERVER, "x" * 201), -inf, 5.0, "server: " + "x" * 200),
        (CANCELLED, -inf, -inf, ""),
    ],
)
def test_the_latest_results(outcome: Outcome, success: float, failure: float, error: str) -> None:
    """When the last success and the last failure were, and what the failure was, shortened; a cancellation is neither."""
    state = state_of()
    state.record_end(outcome, 5.0)
    assert (state.last_success, state.last_failure, state.last_error) == (success, failure, error)


def test_an_attempt_without_an_answer() -> None:
    """An answer would have taken at least as long: it raises the estimate of this kind of answers, if there is one."""
    state = state_of()
    state.record_pace_at_least((False, False), 9.0, 10.0)
    assert state.paces == {}
    for seconds, estimate in ((2.0, 2.0), (9.0, 9.0), (3.0, 9.0)):
        if estimate == 2.0:
            state.paces[False, False] = Pace(None)
            state.record_pace((False, False), seconds, 10.0, None)
        else:
            state.record_pace_at_least((False, False), seconds, 10.0)
        assert state.paces[False, False].estimate(10.0) == estimate


def test_breakers_of_a_fleet() -> None:
    """A break that the fleet knows of is over a second later without the lease; another break when it is over."""
    breaker = CircuitBreaker(Breaker())
    engine = Engine("a")
    breaker.open(0.0, engine.shared.rng, at_least=20.0, cause="server")
    assert breaker.available_at(5.0) == 20.0
    assert not breaker.wants_lease(30.0), "no fleet"
    breaker.rate_limited_until = 25.0
    assert breaker.available_at(5.0) == 25.0
    breaker.open_as_others(22.0, 5, "server", 4.0)
    assert (breaker.open_until, breaker.trips, breaker.reason) == (22.0, 5, "server, in another process")
    breaker.state = State.HALF_OPEN
    breaker.open_as_others(40.0, 2, "server", 6.0)
    assert (breaker.state, breaker.open_until, breaker.trips) == (State.HALF_OPEN, 40.0, 5), "its own probe counts"


@pytest.mark.parametrize(("seconds", "trips"), [(0.0, 5), (299.0, 5), (300.0, 4), (900.0, 2), (1e9, 1)])
def test_breaks_are_forgiven(seconds: float, trips: int) -> None:
    """One level of the doubling for each five minutes since the recovery."""
    breaker, rng = CircuitBreaker(Breaker(backoff_reset=300.0)), Engine("a").shared.rng
    breaker.trips = 4
    breaker.recovering_since = 100.0
    breaker.open(100.0 + seconds, rng)
    assert breaker.trips == trips
