"""tenacity's own objects, called on the pool's clock."""

from typing import Any

import pytest
from hotspare._engine import backoff
from hotspare.policy import Policy
from tenacity import RetryCallState, stop_after_attempt, stop_after_delay, wait_exponential, wait_fixed

from tests.support.engine import OK, SERVER, Engine, FixedRandom, call_of


def one_failed(message: str = "broken", **fields: Any) -> tuple[Engine, Any]:
    """A call that started at 10 and has failed once."""
    engine = Engine(**fields)
    call = engine.call(started=10.0)
    attempt = engine.start(call, now=10.0)
    engine.settle(call, attempt, SERVER, 11.0)
    return engine, call


@pytest.mark.parametrize(("draw", "seconds"), [(0.0, 0.05), (0.5, 0.15), (1.0, 0.25)])
def test_the_default_pause(draw: float, seconds: float) -> None:
    """Without `wait` a pause is drawn between 50 and 250 ms."""
    assert backoff.pause(call_of(), Policy(), FixedRandom(draw), 0.0) == pytest.approx(seconds)


def test_tenacity_says_how_long() -> None:
    """`wait` decides, by the number of attempts; what it says below 0 is 0."""
    _, call = one_failed()
    assert backoff.pause(call, Policy(wait=wait_fixed(3)), FixedRandom(), 12.0) == 3.0
    assert backoff.pause(call, Policy(wait=wait_fixed(-1)), FixedRandom(), 12.0) == 0.0
    assert backoff.pause(call, Policy(wait=wait_exponential()), FixedRandom(), 12.0) == 1.0
    assert backoff.pause(call_of(), Policy(wait=wait_exponential()), FixedRandom(), 12.0) == 1.0


def test_tenacity_says_when_to_stop() -> None:
    """`stop` is called from the second attempt on, by the number of attempts or by the time since the call started."""
    _, call = one_failed()
    assert not backoff.stopped(call, Policy(), 99.0)
    assert backoff.stopped(call, Policy(stop=stop_after_attempt(1)), 12.0) is True
    assert backoff.stopped(call, Policy(stop=stop_after_attempt(2)), 12.0) is False
    assert backoff.stopped(call, Policy(stop=stop_after_delay(5)), 14.9) is False
    assert backoff.stopped(call, Policy(stop=stop_after_delay(5)), 15.0) is True
    assert not backoff.stopped(call_of(), Policy(stop=stop_after_attempt(0)), 12.0), "the first attempt is always made"


def test_what_tenacity_is_shown() -> None:
    """The state has the call's attempts and times, the time spent waiting, and the latest failure as its outcome."""
    seen: list[RetryCallState] = []

    def wait(state: RetryCallState) -> float:
        seen.append(state)
        return 0.0

    engine, call = one_failed()
    call.idle_seconds = 0.7
    policy: Any = Policy()
    object.__setattr__(policy, "wait", wait)
    backoff.pause(call, policy, FixedRandom(), 12.0)
    attempt = engine.start(call, "b", 12.0)
    backoff.pause(call, policy, FixedRandom(), 13.0)
    engine.settle(call, attempt, OK, 14.0)
    object.__setattr__(policy, "wait", wait)
    backoff.pause(call_of(), policy, FixedRandom(), 15.0)
    first, second, third = seen
    assert (first.attempt_number, first.start_time, first.outcome_timestamp, first.idle_for) == (1, 10.0, 12.0, 0.7)
    assert (first.args, first.kwargs, first.fn) == ((), {}, None)
    assert first.retry_object is not None
    assert first.outcome is not None and second.outcome is not None and third.outcome is not None
    assert repr(first.outcome.exception()) == "ConnectionError('broken')"
    assert (second.attempt_number, repr(second.outcome.exception())) == (2, "ConnectionError('broken')")
    assert (third.attempt_number, repr(third.outcome.exception())) == (1, "ConnectionError('')")
