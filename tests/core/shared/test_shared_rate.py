"""A limit of a whole fleet in one process: blocks, what is held back, what is given back, and its share where the store is away."""

import pytest
from hotspare._routing.gauges import Rate
from hotspare._routing.shared_rate import ANSWER_TIMEOUT, HOLD_SECONDS, MIN_REQUEST_INTERVAL, Request, SharedRate


def rate(processes: int = 4) -> SharedRate:
    """Sixty a minute, a burst of ten, with the store available."""
    found = SharedRate(Rate("requests", 60.0, 60.0, 10.0), "key", 10.0)
    found.share(processes)
    found.is_store_down = False
    return found


def test_a_block_serves_many_calls() -> None:
    """The first call queries the store; from then on the use of half a second is taken in one step, before it is needed."""
    one = rate()
    assert one.ready_at(1, 0.0) == ANSWER_TIMEOUT and one.is_fetching(1, 0.0)
    assert one.hold(1, 0.0, 0.0)
    assert one.request(0.0) == Request(1.0, 1.0, 0.0)
    assert one.request(0.0) is None, "one request at a time"
    one.granted(1.0, 0.0, 0.01)
    assert one.ready_at(1, 0.01) <= 0.01
    now, asked = 0.01, 0
    for _ in range(40):
        one.take(1, now)
        request = one.request(now)
        if request is not None:
            asked += 1
            assert request.want <= 10.0
            one.granted(request.want, -1.0, now)
        now += 0.05
    assert one.request(now) is None
    assert one.left(now) >= 1 and asked <= 14, "of 40 calls in two seconds"


def test_units_to_come_have_their_time() -> None:
    """What was taken ahead may be used at its time, one unit after the other; what is left goes back after `HOLD_SECONDS`."""
    one = rate()
    one.hold(3, 0.0, 0.0)
    one.request(0.0)
    one.granted(3.0, 2.0, 0.0)
    assert not one.is_fetching(3, 0.1)
    assert one.ready_at(1, 0.1) == 2.0 and one.ready_at(2, 0.1) == pytest.approx(3.0)
    assert one.ready_at(1, 2.0) <= 2.0 and one.left(2.0) == 1.0
    one.take(1, 2.0)
    assert one.ready_at(1, 2.1) == pytest.approx(3.0)
    late = one.request(4.0 + HOLD_SECONDS)
    assert late is not None and abs(late.used - -2.0) < 1e-6


def test_a_full_limit_is_not_asked_for_all_the_time() -> None:
    """Where the store had less than was wanted, or nothing, it is asked again after a while."""
    one = rate()
    one.hold(5, 0.0, 0.0)
    one.request(0.0)
    one.granted(0.0, 3.0, 0.0)
    assert one.ready_at(1, 1.0) == 3.0 and not one.is_fetching(1, 1.0)
    one.hold(5, 1.0, 0.0)
    assert one.request(2.9) is None
    assert one.request(3.0) is not None
    one.granted(2.0, 0.0, 3.0)
    one.hold(5, 3.0, 0.0)
    assert one.request(3.0 + MIN_REQUEST_INTERVAL / 2) is None
    assert one.request(3.0 + MIN_REQUEST_INTERVAL) is not None


def test_what_was_used_beyond_what_was_taken_is_owed() -> None:
    """A cost above what was taken, and the difference to what an attempt has really used, are in the next request."""
    one = rate()
    one.take(25, 0.0)
    one.correct(-5.0, 0.5)
    request = one.request(1.0)
    assert request is not None and request.used == 20.0
    one.failed(request, 1.0)
    assert one.request(1.5) is None, "the store did not answer: not at once again"
    again = one.request(2.5)
    assert again is not None and again.used == 20.0


def test_without_an_answer_the_process_has_its_share() -> None:
    """After 50 ms without an answer, and while the store is away, a quarter of the limit is this process's."""
    one = rate(processes=4)
    one.hold(1, 0.0, 0.0)
    one.request(0.0)
    assert one.ready_at(1, ANSWER_TIMEOUT - 0.001) > ANSWER_TIMEOUT - 0.001
    assert one.ready_at(1, ANSWER_TIMEOUT) <= ANSWER_TIMEOUT and not one.is_fetching(1, ANSWER_TIMEOUT)
    one.lost()
    for _ in range(2):
        one.take(1, 10.0)
    assert one.left(10.0) == 0.5
    assert one.ready_at(1, 10.0) == 12.0, "15 a minute: one in four seconds"
    one.share(1)
    assert one.left(10.0) == 10.0


def test_rounding_on_the_wire_is_no_full_limit() -> None:
    """A grant that differs from the request in the last digit only lets the next call query immediately."""
    one = rate()
    one.hold(0.3333333333, 0.0, 0.0)
    one.request(0.0)
    one.granted(0.333333, 0.0, 0.0)
    assert one.is_fetching(1, 0.0)


def test_a_thread_that_is_held_up_delays_no_call_for_longer() -> None:
    """The 50 ms count from the call that had to wait, not from the request that its thread could not make yet."""
    one = rate()
    one.hold(1, 5.0, 0.0)
    one.hold(1, 5.04, 0.0)
    assert one.is_fetching(1, 5.04) and one.ready_at(1, 5.04) == 5.0 + ANSWER_TIMEOUT
    assert one.ready_at(1, 5.0 + ANSWER_TIMEOUT) <= 5.0 + ANSWER_TIMEOUT
    assert one.request(6.0) is not None
    one.granted(1.0, 0.0, 6.0)
    assert one.left(6.0) == 1.0
