"""The rules of one circuit breaker: what opens it, and for how long."""

from math import inf
from typing import Any

import pytest
from hotspare._health.breaker import CircuitBreaker, Permit, State
from hotspare.policy import Breaker

from tests.support.engine import FixedRandom

HALF = FixedRandom(0.5)
"""Draws the middle of every range: a jittered time is three quarters of the longest one."""


def breaker(**fields: Any) -> CircuitBreaker:
    return CircuitBreaker(Breaker(**fields))


def fail(found: CircuitBreaker, *times: float) -> list[bool]:
    """Failures that start and end at these times; whether the breaker should open after each of them."""
    return [found.record_failure(at, at) for at in times]


def test_new() -> None:
    """A new breaker is closed, admits calls immediately, has no history and no reason."""
    found = breaker()
    assert (found.state, found.reason, found.disabled, found.trips, found.epoch) == (State.CLOSED, "", "", 0, 0)
    assert found.available_at(0.0) == -inf
    assert (found.recent, found.traffic_share(0.0), found.rate_limits) == ((0, 0), 1.0, 0)
    assert found.last_used == found.last_success_start == found.recovering_since == -inf
    assert found.in_flight == {}
    assert found.mostly_successful()


# --- what opens it ------------------------------------------------------------------------------------------------


def test_consecutive_failures() -> None:
    """Five failures in a row that span a fifth of a second open it, with this reason; four do not."""
    found = breaker()
    assert fail(found, 0.0, 0.05, 0.1, 0.15, 0.2) == [False, False, False, False, True]
    assert found.reason == "5 consecutive failures"


def test_a_burst_is_one_observation() -> None:
    """Failures of concurrent calls that span less than the bound do not open it; the next one that does span it does."""
    found = breaker(minimum_throughput=100, failure_span=1.0)
    assert fail(found, *[0.0] * 8, 0.99, 1.0) == [False] * 9 + [True]
    assert found.reason == "10 consecutive failures"
    refused = breaker()
    assert [refused.record_failure(0.0, 0.0, needs_span=False) for _ in range(5)] == [False] * 4 + [True]


def test_span_from_the_earliest_start_to_the_latest_end() -> None:
    """The span counts from the start of the earliest call to the end of the latest, in whatever order they end."""
    found = breaker(consecutive_failures=2, failure_span=1.0)
    assert not found.record_failure(3.0, 3.5)
    assert found.record_failure(2.5, 3.2), "2.5 to 3.5 is a second"
    other = breaker(consecutive_failures=2, failure_span=1.0)
    assert not other.record_failure(3.0, 3.5)
    assert not other.record_failure(2.6, 3.2)


def test_a_later_success_ends_a_row() -> None:
    """A success of a call that started after the first failure starts the count again; one of an older call does not."""
    found = breaker(consecutive_failures=2, failure_ratio=1.0, failure_span=1.0)
    found.record_failure(5.0, 6.0)
    found.record_success(5.0, 6.5)
    assert fail(found, 7.0) == [True], "a call that started with the failure, or before it, says nothing"
    found = breaker(consecutive_failures=2, failure_ratio=1.0, failure_span=1.0)
    found.record_failure(5.0, 6.0)
    found.record_success(5.1, 6.5)
    assert fail(found, 7.0, 7.5, 8.0) == [False, False, True]


@pytest.mark.parametrize(
    ("outcomes", "opens"),
    [
        ("+-+-+-+-+-", True),  # 5 of 10
        ("+-+-+-+-+", False),  # too few
        ("++-+-+-+-+-", False),  # 5 of 11
        ("++-+-+-+-+--", True),  # 6 of 12
    ],
)
def test_failure_ratio(outcomes: str, opens: bool) -> None:
    """Failures of half of at least ten attempts in the window open it, with this reason."""
    found, last = breaker(), False
    for at, sign in enumerate(outcomes):
        if sign == "+":
            found.record_success(float(at), float(at))
        else:
            last = found.record_failure(float(at), float(at))
    assert last is opens
    failures = outcomes.count("-")
    assert found.recent == (len(outcomes), failures)
    assert found.reason == (f"{failures} of the last {len(outcomes)} attempts failed" if opens else "")


def test_a_failed_probe_opens_again() -> None:
    """However few failures there were."""
    for state in (State.HALF_OPEN, State.OPEN):
        found = breaker()
        found.state = state
        assert found.record_failure(0.0, 0.0)
        assert found.reason == ""


def test_a_failure_during_a_slow_start_halves_the_window() -> None:
    """A burst halves it once; it opens again when there is room for none, or by the usual evidence."""
    found = breaker()
    found.recover(10.0)
    assert found.free(10.0) == 10, "the probe has succeeded"
    assert not found.record_failure(10.0, 10.1)
    assert not found.record_failure(10.0, 10.1), "it began before the window was halved"
    assert found.recent == (2, 2), "what does not fail fast is more than one observation"
    assert found.free(10.2) == 6
    assert not found.record_failure(10.2, 10.3)
    assert not found.record_failure(10.3, 10.4)
    assert found.record_failure(10.4, 10.5)
    again = breaker(consecutive_failures=3)
    again.recover(10.0)
    for _ in range(30):
        again.record_success(10.0, 10.0)
    assert fail(again, 11.0, 11.5, 12.0) == [False, False, True]


@pytest.mark.parametrize(
    ("fast", "needs_span", "opens"), [(True, True, False), (False, True, True), (True, False, True)]
)
def test_a_round_of_refusals_in_a_slow_start(fast: bool, needs_span: bool, opens: bool) -> None:
    """Eight concurrent calls were too many for a server with room for one: the window is halved, and the target is not down. Eight timeouts, or eight refused
    connections, are more than one observation."""
    found = breaker()
    found.recover(10.0)
    ends = [found.record_failure(10.0 + n / 10, 11.0 + n / 10, needs_span=needs_span, fast=fast) for n in range(8)]
    assert any(ends) is opens
    assert found.recent[1] == (8 if opens else 1)
    limited = breaker()
    limited.rate_limit(10.0, HALF, None, 9.9)
    limited.record_failure(9.0, 10.1, fast=True)
    assert limited.recent == (1, 1), "it is closed: each failure counts"


def test_window() -> None:
    """The window holds the last 20 attempts or the last 10 s, whichever is more, and nothing older than 120 s."""
    found = breaker()
    for at in range(25):
        found.record_success(at * 0.5, at * 0.5)
    assert found.recent == (21, 0), "those of the last 10 s: 2.0 to 12.0"
    found.record_success(30.0, 30.0)
    assert found.recent == (20, 0), "the last 20"
    found.record_failure(130.0, 130.0)
    assert found.recent == (7, 1), "those since 10.0, and none older"
    found.record_success(250.0, 250.0)
    assert found.recent == (2, 1), "an attempt exactly 120 s old still counts"
    found.record_success(250.5, 250.5)
    assert found.recent == (2, 0)


@pytest.mark.parametrize(
    ("before", "mostly"),
    [("", True), ("-", False), ("+", True), ("++++-", True), ("+++-", False), ("+" * 8 + "--", True)],
)
def test_mostly_successful(before: str, mostly: bool) -> None:
    """At least 80 % of the attempts before the latest failure have to be successes."""
    found = breaker()
    for sign in before:
        if sign == "+":
            found.record_success(0.0, 0.0)
        else:
            found.record_failure(0.0, 0.0)
    found.record_failure(0.0, 0.0)
    assert found.mostly_successful() is mostly


# --- stalls -------------------------------------------------------------------------------------------------------


def waiting(*starts: float, **fields: Any) -> CircuitBreaker:
    found = breaker(**fields)
    for start in starts:
        found.in_flight[Permit(start, 0, stall_after=10.0)] = None
    return found


def test_stall() -> None:
    """Three calls, begun one after the other, that wait longer than their bounds are a stall; two, or a burst, are none."""
    assert waiting(0.0, 1.0, 2.0).stall_reason(12.5) == "3 calls without an answer for over 10.5 s"
    assert waiting(0.0, 1.0, 2.0).stall_reason(11.9) == ""
    assert waiting(0.0, 1.0).stall_reason(99.0) == ""
    assert waiting(0.0, 1.0, 2.0, 11.0).stall_reason(12.5) == "3 calls without an answer for over 10.5 s"
    assert waiting(1.0, 1.0, 1.19).stall_reason(99.0) == ""
    assert waiting(1.0, 1.0, 1.2).stall_reason(99.0)


def test_no_stall_if_a_later_call_was_answered() -> None:
    """Calls that a later-started success has overtaken count only from that start on; the beginning of a stream is one."""
    for record in (CircuitBreaker.record_success, CircuitBreaker.record_first_content):
        found = waiting(0.0, 1.0, 2.0)
        record(found, 0.0, 5.0)
        assert found.stall_reason(13.0) == "", "the one that started with the success is not counted"
        found.in_flight[Permit(2.0, 0, stall_after=10.0)] = None
        assert found.stall_reason(13.0)
        record(found, -1.0, 6.0)
        assert found.last_success_start == 0.0, "the latest start counts, not the latest end"


def test_the_beginning_of_a_stream_is_no_outcome() -> None:
    """It ends no row of failures and is not in the window; but it closes a half-open breaker."""
    found = breaker(consecutive_failures=2)
    found.record_failure(0.0, 0.1)
    found.record_first_content(1.0, 1.1)
    assert found.recent == (1, 1)
    assert found.record_failure(2.0, 2.1)
    found.open(3.0, HALF)
    found.record_first_content(9.0, 9.1)
    assert found.state is State.RECOVERING


def test_a_retracted_failure() -> None:
    """It no longer counts, neither in the window nor in the row."""
    found = breaker(consecutive_failures=2)
    found.record_failure(0.0, 0.5)
    found.retract_failure(0.5)
    assert found.recent == (0, 0)
    found.retract_failure(0.5)
    assert found.recent == (0, 0), "once only"
    assert not found.record_failure(1.0, 1.5)
    found.retract_failure(99.0)
    assert found.recent == (1, 1)


# --- how long -----------------------------------------------------------------------------------------------------


def test_opening() -> None:
    """It opens for the jittered time, starts a new epoch. The window is seen until it recovers, and forgotten then."""
    found = breaker(consecutive_failures=2, failure_span=0.0)
    fail(found, 0.0, 1.0)
    found.open(10.0, HALF)
    assert (found.state, found.open_until, found.epoch, found.trips) == (State.OPEN, 13.75, 1, 1)
    assert found.recent == (2, 2)
    found.recover(20.0)
    assert found.recent == (0, 0)
    found.state = State.CLOSED
    assert fail(found, 2.0, 3.0) == [False, True]
    assert found.recent == (2, 2)


@pytest.mark.parametrize(("draw", "seconds"), [(0.0, 2.5), (0.5, 3.75), (1.0, 5.0)])
def test_jitter(draw: float, seconds: float) -> None:
    """Half of the time is fixed and half is drawn."""
    found = breaker()
    found.open(10.0, FixedRandom(draw))
    assert found.open_until == 10.0 + seconds


def test_a_short_break() -> None:
    """Without a time that the provider names, a break is as short as the setting."""
    found = breaker(break_duration=0.4)
    found.open(10.0, FixedRandom(1.0))
    assert found.open_until == 10.4


def test_backoff() -> None:
    """Each trip doubles the time, up to the bound, also after very many of them."""
    found, seconds = breaker(), list[float]()
    for trip in range(1, 6):
        found.state, found.open_until = State.HALF_OPEN, -inf
        found.open(0.0, FixedRandom(1.0))
        seconds.append(found.open_until)
        assert found.trips == trip
    assert seconds == [5.0, 10.0, 20.0, 20.0, 20.0]
    found = breaker(max_break_duration=1e12)
    found.trips, found.state = 5000, State.HALF_OPEN
    found.open(0.0, FixedRandom(1.0))
    assert found.open_until == 5.0 * 2**30


def test_staying_open_is_no_trip() -> None:
    """A late failure while it is open starts a new epoch, but neither counts as a trip nor shortens the time."""
    found = breaker()
    found.open(0.0, HALF, at_least=60.0)
    found.open(1.0, HALF)
    assert (found.trips, found.epoch, found.open_until) == (1, 2, 60.0)
    found.open(58.0, HALF)
    assert found.open_until == 61.75


@pytest.mark.parametrize(("closed_for", "trips"), [(0.0, 4), (59.0, 4), (60.0, 3), (179.0, 2), (180.0, 1), (900.0, 1)])
def test_a_minute_without_a_trip_forgives_one(closed_for: float, trips: int) -> None:
    """Of three trips each minute since the recovery takes one back, before the next one is added."""
    found = breaker()
    found.trips = 3
    found.recover(100.0)
    found.open(100.0 + closed_for, HALF)
    assert found.trips == trips


def test_nothing_is_forgiven() -> None:
    """Without a recovery, or with `backoff_reset` 0, no trip is taken back."""
    found = breaker(backoff_reset=0.5)
    found.trips, found.state = 3, State.CLOSED
    found.open(1000.0, HALF)
    assert found.trips == 4
    found = breaker(backoff_reset=0.0)
    found.trips = 3
    found.recover(0.0)
    found.open(1000.0, HALF)
    assert found.trips == 4


@pytest.mark.parametrize(
    ("at_least", "seconds"), [(0.0, 3.75), (3.0, 3.75), (4.0, 4.0), (3600.0, 3600.0), (9000.0, 3600.0)]
)
def test_at_least(at_least: float, seconds: float) -> None:
    """A time that the provider names is a lower bound, up to an hour."""
    found = breaker()
    found.open(5.0, HALF, at_least=at_least)
    assert found.open_until == 5.0 + seconds
