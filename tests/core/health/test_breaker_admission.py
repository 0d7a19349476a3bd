"""The rules of one circuit breaker: which attempts it admits, rate limits, and how it closes."""

from math import inf
from typing import Any

import pytest
from hotspare._health.admission import AdmissionWindow
from hotspare._health.breaker import CircuitBreaker, Permit, State
from hotspare.policy import Breaker

from tests.support.engine import FixedRandom

HALF = FixedRandom(0.5)
"""Draws the middle of every range: a jittered time is three quarters of the longest one."""


def breaker(**fields: Any) -> CircuitBreaker:
    return CircuitBreaker(Breaker(**fields))


# --- which attempts it admits ------------------------------------------------------------------------------------------------


def test_half_open_admits_one_probe() -> None:
    """The first attempt after a break holds the lease; no other one is admitted until that is over or given back."""
    found = breaker()
    found.open(0.0, HALF)
    assert found.available_at(0.0) == 3.75
    permit = Permit(4.0, found.epoch)
    found.probe(permit, 4.0)
    assert (found.state, permit.probe, found.available_at(4.0)) == (State.HALF_OPEN, True, 64.0)
    found.release(permit)
    assert (found.state, found.available_at(4.0)) == (State.HALF_OPEN, -inf)
    second = Permit(5.0, found.epoch)
    found.probe(second, 5.0)
    found.release(permit)
    assert (second.probe, found.available_at(5.0)) == (True, 65.0), "only the holder frees the lease"


@pytest.mark.parametrize("state", [State.CLOSED, State.RECOVERING])
def test_no_probe_where_traffic_flows(state: State) -> None:
    """A closed or recovering breaker admits attempts as they come."""
    found = breaker()
    found.state = state
    permit = Permit(7.0, 0)
    found.probe(permit, 7.0)
    assert (found.state, permit.probe, found.available_at(7.0)) == (state, False, -inf)


def test_last_resort_is_no_probe() -> None:
    """An attempt of last resort leaves an open breaker as it is."""
    found = breaker()
    found.open(0.0, HALF)
    permit = Permit(1.0, 1, last_resort=True)
    found.probe(permit, 1.0)
    assert (found.state, permit.probe, found.available_at(1.0)) == (State.OPEN, False, 3.75)


def test_a_permit_is_taken_back_from_those_that_wait() -> None:
    """A released permit is no longer in flight; one that never was is no error."""
    found = breaker()
    for start in (0.0, 1.0):
        found.in_flight[Permit(start, 0)] = None
    first = next(iter(found.in_flight))
    found.release(first)
    assert [permit.started for permit in found.in_flight] == [1.0]
    found.release(first)
    assert len(found.in_flight) == 1


def test_a_new_permit() -> None:
    """A permit is neither a probe nor settled nor a last resort unless it is said."""
    permit = Permit(1.0, 2)
    assert (permit.probe, permit.last_resort, permit.settled) == (False, False, False)


def test_rate_limit_beside_the_state() -> None:
    """The later of a rate limit and of what the state says counts, in every state; disabled: never."""
    found = breaker()
    found.rate_limited_until = 50.0
    assert found.available_at(0.0) == 50.0
    found.open(0.0, HALF)
    assert found.available_at(0.0) == 50.0
    found.rate_limited_until = 2.0
    assert found.available_at(0.0) == 3.75
    found.probe(Permit(4.0, 1), 4.0)
    assert found.available_at(4.0) == 64.0
    found.rate_limited_until = 99.0
    assert found.available_at(4.0) == 99.0
    found.disabled = "no such model"
    assert found.available_at(4.0) == inf


def test_rate_limits() -> None:
    """A named time is taken, up to an hour; without one it doubles with jitter, up to a bound; it is never shortened."""
    found = breaker()
    found.rate_limit(10.0, HALF, 5.0, 10.0)
    assert (found.rate_limited_until, found.rate_limits) == (15.0, 1)
    found.rate_limit(10.0, HALF, 1.0, 10.0)
    assert (found.rate_limited_until, found.rate_limits) == (15.0, 2)
    found.rate_limit(20.0, HALF, None, 20.0)
    assert (found.rate_limited_until, found.rate_limits) == (23.0, 3), "the third: three quarters of 4 s"
    found.rate_limits = 4
    found.rate_limit(100.0, HALF, None, 100.0)
    assert found.rate_limited_until == 112.0
    found.rate_limits = 5000
    found.rate_limit(200.0, HALF, None, 200.0)
    assert found.rate_limited_until == 222.5, "three quarters of 30 s"
    found.rate_limit(300.0, HALF, 9000.0, 300.0)
    assert found.rate_limited_until == 3900.0
    fresh = breaker()
    fresh.rate_limit(0.0, HALF, None, 0.0)
    assert fresh.rate_limited_until == 0.75
    high = breaker(max_rate_limit_backoff=1e12, max_retry_after=1e12)
    high.rate_limits = 5000
    high.rate_limit(0.0, FixedRandom(1.0), None, 0.0)
    assert high.rate_limited_until == 2.0**30


def test_rejections_of_attempts_under_way_together_are_one() -> None:
    """Twenty together double nothing, with a time and without one; the next attempt's rejection does."""
    for seconds in (None, 1.0):
        found = breaker()
        for place in range(20):
            found.rate_limit(10.0 + place / 100, HALF, seconds, 9.9)
        assert found.rate_limits == 1 and found.rate_limited_until <= 11.2
        found.rate_limit(12.0, HALF, seconds, 11.5)
        assert found.rate_limits == 2 and found.rate_limited_until >= 13.0


def test_a_rate_limit_without_a_time_halves_what_runs_at_once() -> None:
    """Twelve concurrent attempts were too many: six come after the pause, and one more with each round that succeeds; the next
    rejection halves again. Where a time is named, the window opens as after any break."""
    found = breaker()
    found.active = 12
    found.rate_limit(10.0, HALF, None, 9.9)
    found.active = 0
    over = found.rate_limited_until
    assert found.free(over) == found.free(over + 60) == 6
    for _ in range(6):
        found.record_success(over, over)
    assert found.free(over) == 7
    found.active = 7
    found.rate_limit(over + 1, HALF, None, over + 0.5)
    found.active = 0
    assert found.free(over + 9) == 4
    named = breaker()
    named.active = 12
    named.rate_limit(10.0, HALF, 1.0, 9.9)
    named.active = 0
    assert named.free(12.0) > 1


def test_attempts_in_flight_count_at_the_end_of_a_rate_limit() -> None:
    """A stream that has run since before it takes the only place, also at the very moment at which the time is over."""
    found = breaker()
    found.active = 1
    found.stay_away(5.0, 10.0)
    assert found.available_at(15.0) > 15.0
    found.active = 0
    assert found.available_at(15.0) == 15.0


def test_a_window_that_is_larger_than_any_demand_ends() -> None:
    """Successes of a slow start double it until it limits nothing any more."""
    found = breaker()
    found.recover(0.0)
    found.active = 2000
    assert found.available_at(0.0) > 0.0
    found.record_success(8.0, 10.0)
    assert (found.state, found.free(10.0), found.available_at(10.0)) == (State.RECOVERING, inf, -inf)


def test_a_success_forgets_the_rate_limits() -> None:
    """The next 429 after a success starts the backoff again; the time that is set stays."""
    found = breaker()
    found.rate_limit(0.0, HALF, 5.0, 0.0)
    found.record_success(1.0, 2.0)
    assert (found.rate_limits, found.rate_limited_until) == (0, 5.0)


# --- how it closes ------------------------------------------------------------------------------------------------


def test_a_probe_that_succeeds() -> None:
    """It recovers from then on, with no reason and no lease left."""
    found = breaker()
    found.reason = "why"
    found.open(0.0, HALF)
    found.probe(Permit(4.0, 1), 4.0)
    found.record_success(4.0, 5.0)
    assert (found.state, found.recovering_since, found.reason, found.open_until) == (State.RECOVERING, 5.0, "", -inf)
    assert found.available_at(5.0) == -inf
    assert found.last_success_start == 4.0


def test_a_success_of_last_resort() -> None:
    """An open breaker recovers by a success too; one that is recovering continues its slow start."""
    found = breaker()
    found.open(0.0, HALF)
    found.record_success(1.0, 2.0)
    assert (found.state, found.recovering_since) == (State.RECOVERING, 2.0)
    found.record_success(3.0, 4.0)
    assert (found.state, found.recovering_since) == (State.RECOVERING, 2.0)
    closed = breaker()
    closed.record_success(3.0, 4.0)
    assert (closed.state, closed.recovering_since) == (State.CLOSED, -inf)


@pytest.mark.parametrize(
    ("seconds", "share", "state"),
    [
        (0.0, 0.1, State.RECOVERING),
        (3.0, 0.1, State.RECOVERING),
        (6.0, 0.2, State.RECOVERING),
        (29.0, 29 / 30, State.RECOVERING),
        (30.0, 1.0, State.CLOSED),
        (45.0, 1.0, State.CLOSED),
    ],
)
def test_slow_start(seconds: float, share: float, state: State) -> None:
    """The share grows from a tenth over 30 s; then it counts as closed, before and after `advance`."""
    found = breaker()
    found.recover(100.0)
    now = 100.0 + seconds
    assert (found.traffic_share(now), found.state_at(now), found.state) == (share, state, State.RECOVERING)
    found.advance(now)
    assert (found.state, found.traffic_share(now)) == (state, share)


def test_without_slow_start() -> None:
    """With `slow_start` 0, or for a domain, all traffic returns immediately."""
    found = breaker(slow_start=0.0)
    found.recover(1.0)
    assert (found.traffic_share(1.0), found.state_at(1.0)) == (1.0, State.CLOSED)
    domain = breaker()
    domain.recover(1.0, slow_start=False)
    assert (domain.state, domain.recovering_since) == (State.CLOSED, 1.0)


@pytest.mark.parametrize("state", [State.OPEN, State.HALF_OPEN, State.CLOSED])
def test_time_alone_moves_no_other_state(state: State) -> None:
    """Only a slow start ends by time: an open breaker stays open until an attempt takes the lease."""
    found = breaker()
    found.state = state
    assert found.state_at(1e9) is state
    found.advance(1e9)
    assert (found.state, found.traffic_share(1e9)) == (state, 1.0)


def test_probe_from() -> None:
    """A probe may be allowed earlier, never later."""
    found = breaker()
    found.open(0.0, HALF)
    found.probe_from(9.0)
    assert found.open_until == 3.75
    found.probe_from(1.0)
    assert found.open_until == 1.0


@pytest.mark.parametrize(("seconds", "later"), [(0.2, 5), (0.6, 20)])
def test_the_clock_opens_the_window_only_where_answers_are_slow(seconds: float, later: int) -> None:
    """A second without an outcome: fast refusals may be unread, slow answers are not due yet."""
    window = AdmissionWindow(0.0, places=4.0)
    window.record_success(-seconds, 0.0)
    assert window.free(0, 0.0) == 5
    assert window.free(0, 1.0) == later


@pytest.mark.parametrize(
    ("record", "later"), [(CircuitBreaker.record_success, 10), (CircuitBreaker.record_first_content, 40)]
)
def test_the_first_content_of_a_probe_says_nothing_about_how_long_answers_take(record: Any, later: int) -> None:
    """A probe that ended in 0.2 s: answers alone open the window. A stream that began in 0.2 s may continue for long: the clock does too."""
    found = breaker()
    found.open(0.0, HALF)
    record(found, 9.0, 9.2)
    assert found.free(9.2) == 10
    assert found.free(10.2) == later
