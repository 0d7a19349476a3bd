"""The record of one target: its errors without keys, its latest results, what it refuses, and why it admits no attempt."""

from math import inf

import pytest
from hotspare._health.admission import AdmissionWindow, Part
from hotspare._health.breaker import CircuitBreaker, Permit, State
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
    assert state.redacted(Outcome(Kind.INVALID, "no", param=f"param {KEY}")).param == "param ***"
    assert state.redacted(Outcome(Kind.INVALID, "", code=KEY)).message == "", "an error without a message"
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


TOOLS, BOTH = frozenset({"tools"}), frozenset({"tools", "stream"})


@pytest.mark.parametrize(
    ("refused", "features", "now", "refuses"),
    [
        ({}, TOOLS, 5.0, False), ({TOOLS: 9.0}, TOOLS, 5.0, True), ({TOOLS: 9.0}, BOTH, 5.0, True), ({BOTH: 9.0}, TOOLS, 5.0, False),
        ({TOOLS: 9.0}, TOOLS, 9.0, False), ({BOTH: 9.0, TOOLS: 4.0}, TOOLS, 5.0, False), ({TOOLS: 9.0}, frozenset[str](), 5.0, False),
    ],
)  # fmt: skip
def test_requests_that_it_does_not_support(
    refused: dict[frozenset[str], float], features: frozenset[str], now: float, refuses: bool
) -> None:
    """Those that use all of the features, until the end of that time."""
    state = state_of()
    state.refused |= refused
    assert state.refuses(features, now) is refuses


def test_a_request_that_it_has_answered() -> None:
    """Then it supports its features, and each part of them."""
    state = state_of()
    state.refused |= {TOOLS: 9.0, BOTH: 9.0, frozenset({"images"}): 9.0}
    state.invalid_streaks |= {TOOLS: 2, frozenset({"images"}): 1}
    state.record_accepted(TOOLS, 5.0)
    assert state.accepted == {TOOLS: 5.0}
    assert list(state.refused) == [BOTH, frozenset({"images"})] and list(state.invalid_streaks) == [
        frozenset({"images"})
    ]


def test_rate_limits_and_the_window() -> None:
    """A pause closes the window of a closed breaker; after one that was estimated, half as many attempts are admitted, in this process's part."""
    rng = Engine("a").shared.rng
    breaker = CircuitBreaker(Breaker())
    breaker.part = Part(2, 0.0)
    breaker.stay_away(5.0, 10.0)
    assert breaker.admission is not None
    assert (breaker.free(15.0), breaker.free(15.6)) == (1, 2), "half of the places of a window of one and two"
    breaker.active, breaker.admission = 12, AdmissionWindow(0.0, places=8.0, fastest=0.1)
    breaker.rate_limit(20.0, rng, None, 19.0)
    breaker.active = 0
    assert breaker.free(90.0) == 2, "of four"
    recovering = CircuitBreaker(Breaker())
    recovering.recover(0.0)
    window = recovering.admission
    recovering.stay_away(5.0, 10.0)
    recovering.rate_limit(5.0, rng, None, 4.0)
    assert recovering.admission is window and recovering.rate_limited_until == 15.0
    lonely = CircuitBreaker(Breaker())
    lonely.active = 1
    lonely.rate_limit(5.0, rng, None, 4.0)
    lonely.active = 0
    assert lonely.free(90.0) == 1


def test_a_break_that_others_have_found_too() -> None:
    """An open breaker keeps its own reason; a probe is allowed at once, whatever time was stated."""
    rng = Engine("a").shared.rng
    breaker = CircuitBreaker(Breaker())
    breaker.reason = "5 consecutive failures"
    breaker.open_as_others(9.0, 1, "server", 1.0)
    assert breaker.reason == "server, in another process", "that of an earlier break"
    breaker.reason = "5 consecutive failures"
    breaker.open_as_others(19.0, 1, "server", 2.0)
    assert breaker.reason == "5 consecutive failures"
    breaker.rejected_until = 99.0
    breaker.probe_from(4.0)
    assert breaker.rejected_until == -inf
    breaker.open(20.0, rng)
    breaker.advance(30.0)
    recovering = CircuitBreaker(Breaker())
    recovering.recover(0.0)
    recovering.advance(5.0)
    assert recovering.admission is not None
    recovering.advance(31.0)
    assert recovering.admission is None


@pytest.mark.parametrize(("waited", "opens"), [(2.9, False), (3.0, True)])
def test_the_moment_of_a_stall(waited: float, opens: bool) -> None:
    """From the bound on, of attempts whose span is long enough; an answer to a later one ends it."""
    breaker = CircuitBreaker(Breaker(stalled_calls=2, failure_span=1.0))
    for started in (10.0, 11.0):
        breaker.in_flight[Permit(started, 0, stall_after=3.0)] = None
    assert bool(breaker.stall_reason(11.0 + waited)) is opens
    assert breaker.is_waited_for(10.0 + waited) is opens
    breaker.last_success_start = 10.0
    assert not breaker.stall_reason(20.0)
    assert breaker.is_waited_for(14.0) and not breaker.is_waited_for(13.5)


def test_a_failure_that_is_retracted() -> None:
    """Once, and only that one."""
    breaker = CircuitBreaker(Breaker(consecutive_failures=9))
    for now in (1.0, 2.0, 3.0):
        breaker.record_failure(now, now)
    breaker.retract_failure(1.0)
    assert (breaker.recent, breaker.failures_in_a_row) == ((2, 2), 2)
    breaker.retract_failure(1.0)
    assert (breaker.recent, breaker.failures_in_a_row) == ((2, 2), 2)


def test_a_reset_keeps_its_kind() -> None:
    """Settings, and whether it counts attempts."""
    settings = Breaker(consecutive_failures=9)
    for counts in (True, False):
        breaker = CircuitBreaker(settings, counts=counts)
        breaker.reset()
        assert breaker.config is settings and breaker.counts is counts
