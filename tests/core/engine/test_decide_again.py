"""Rule 4: which earlier targets a call tries again."""

from math import inf

import pytest
from hotspare._engine.call import Attempt
from hotspare._engine.commands import Wait
from hotspare._engine.decide import GiveUp
from hotspare._health.breaker import State
from hotspare.outcome import AttemptReason, Kind, Outcome
from hotspare.policy import Policy, RetryBudget
from hotspare.target import Limits

from tests.core.engine.test_decide_attempts import LIMITED, queued, shown
from tests.support.engine import SERVER, TIMEOUT, Engine, state_of

# --- 2: retry the same target, after a pause ----------------------------------------------------------------------


def test_an_earlier_target_is_retried_once() -> None:
    """When all were tried, the first one that may answer now is tried again, with a token, and only once."""
    engine = Engine("abc", retry_same_target="never", when_all_down="fail")
    call = engine.call()
    for outcome in (TIMEOUT, SERVER, SERVER):
        engine.fail(call, 0.0, outcome)
    again = engine.attempt(call, 0.0)
    assert (shown(again), call.retry_used) == (("b", AttemptReason.RETRY), True)
    assert engine.shared.retry_tokens.tokens == 9.0
    engine.settle(call, again, SERVER, 0.0)
    call.allow_last_resort = False
    assert isinstance(engine.step(call, 0.0), GiveUp)


@pytest.mark.parametrize(("burst", "again"), [(2, ("a", AttemptReason.RETRY)), (1, ("b", AttemptReason.FAILOVER))])
def test_a_retry_needs_a_place_in_the_limit(burst: int, again: tuple[str, AttemptReason]) -> None:
    """If its target's limit does not admit it when the pause is over, the call fails over."""
    engine = Engine([state_of("a", limits=Limits(rpm=60, burst=burst)), state_of("b")])
    call = engine.call()
    engine.fail(call, 0.0)
    assert isinstance(engine.step(call, 0.0), Wait)
    assert shown(engine.attempt(call, 0.15)) == again


def test_a_region_that_is_down_keeps_out_probes() -> None:
    """A target whose own break is over is no healthy neighbour: the one behind it is tried, and without one the call waits."""
    engine = Engine("ab", targets={name: {"id": f"p/{name}", "region": "r", "account": name} for name in "ab"})
    for domain in engine["a"].domains:
        if domain.level != "account":
            engine.tracker.domains[domain].open(0.0, engine.shared.rng, at_least=30.0)
    engine.open("a")
    assert engine.attempt(engine.call(), 10.0).state.name == "b"
    engine.open("b")
    assert isinstance(engine.step(engine.call(), 10.0), Wait)


def test_no_retry_without_a_token_or_where_one_is_running() -> None:
    """Without a token, of a target that runs beside, or of one that is not admissible, there is no retry."""
    engine = Engine("a", policy=Policy(retry_budget=RetryBudget(tokens_per_minute=0.0), when_all_down="fail"))
    call = engine.call(allow_last_resort=False)
    engine.fail(call, 0.0)
    assert isinstance(engine.step(call, 0.0), GiveUp)
    assert not call.retry_used
    engine = Engine("ab", retry_same_target="never", when_all_down="fail", on_slow="race")
    call = engine.call(allow_last_resort=False)
    first, second = engine.start(call, "a"), engine.start(call, "b")
    first.end(SERVER, 1.0)
    engine.settle(call, second, SERVER, 1.0)
    engine["b"].breaker.rate_limited_until = 50.0
    call.last = second
    assert engine.step(call, 1.0) == Wait(None), "a is overdue and running, b is not available"
    engine["b"].breaker.rate_limited_until = -inf
    assert shown(engine.attempt(call, 1.0)) == ("b", AttemptReason.RETRY)


@pytest.mark.parametrize(
    ("outcome", "later", "tried"),
    [
        (SERVER, 1.0, True),
        (SERVER, 0.9, False),
        (LIMITED, 1.0, True),
        (TIMEOUT, 1.0, True),
        (Outcome(Kind.AUTH), 400.0, False),
    ],
)
def test_after_a_wait(outcome: Outcome, later: float, tried: bool) -> None:
    """A call that has waited tries earlier targets again once something has changed, if their failure can pass."""
    engine = Engine("a")
    call = queued(engine, outcome)
    call.deadline = 1000.0
    step = engine.step(call, later)
    assert isinstance(step, Attempt) is tried
    if isinstance(step, Attempt):
        assert shown(step) == ("a", AttemptReason.AFTER_WAIT)
        assert step.extra, "it checks for all waiting calls whether the outage is over"


def test_after_a_recovery_an_attempt_counts() -> None:
    """Another call has found that the target answers again: nothing is left to be checked for the others."""
    engine = Engine("a")
    call = queued(engine, SERVER)
    engine["a"].breaker.last_success_start = 0.5
    attempt = engine.attempt(call, 1.0)
    assert (shown(attempt), attempt.extra) == (("a", AttemptReason.AFTER_WAIT), False)


def test_only_a_call_that_waited_goes_on_after_a_wait() -> None:
    """One that has not waited uses its one retry."""
    engine = Engine("a", retry_same_target="never")
    call = engine.call()
    engine.fail(call, 0.0)
    assert shown(engine.attempt(call, 50.0)) == ("a", AttemptReason.RETRY)


# --- silence ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("outcome", "target", "last"), [(TIMEOUT, "c", "b"), (SERVER, "b", "c")])
def test_a_call_that_has_waited_in_vain(outcome: Outcome, target: str, last: str) -> None:
    """It goes to a target at which no other call waits too long, and to the others at last; after a failure that was answered the
    order stays."""
    engine = Engine("abc", retry_same_target="never")
    engine.tracker.acquire(engine["b"], 1.0, stall_after=0.5, last_resort=False)
    call = engine.call()
    engine.fail(call, 1.6, outcome)
    attempt = engine.attempt(call, 1.6)
    assert attempt.state.name == target
    assert dict(attempt.passed).get("b") == ("other calls wait for it longer than usual" if target == "c" else None)
    engine.settle(call, attempt, TIMEOUT, 1.7)
    assert engine.attempt(call, 1.7).state.name == last


def test_a_stall_at_the_next_target() -> None:
    """A call that fails over sees that others, begun one after the other, wait there too long, and goes past it."""
    engine = Engine("abc", retry_same_target="never")
    call = engine.call()
    attempt = engine.attempt(call, 0.0)
    for start in (0.0, 0.1, 0.2):
        engine.start(engine.call(), "b", start)
    engine.settle(call, attempt, SERVER, 10.3)
    assert engine.attempt(call, 10.3).state.name == "c"
    assert engine["b"].breaker.state is State.OPEN


@pytest.mark.parametrize("overtaken", [True, False])
def test_calls_that_do_not_wait_too_long(overtaken: bool) -> None:
    """A call that is within its bound, or was overtaken by an answer, says nothing against its target."""
    engine = Engine("abc")
    engine.tracker.acquire(engine["b"], 1.0 if overtaken else 1.2, stall_after=0.5, last_resort=False)
    if overtaken:
        engine["b"].breaker.record_success(1.1, 1.3)
    call = engine.call()
    engine.fail(call, 1.6, TIMEOUT)
    assert engine.attempt(call, 1.6).state.name == "b"


@pytest.mark.parametrize(("seconds", "bound"), [(40.0, 5.0), (60.0, 100.0)])
def test_a_target_that_will_be_back(seconds: float, bound: float) -> None:
    """The only target that is available is waited for by its record as long as another one comes back in the first half of the
    call's time, and else to the end."""
    engine = Engine("ab")
    for _ in range(8):
        engine["b"].first_token.add(0.1)
    engine.open("a", seconds=seconds)
    attempt = engine.attempt(engine.call(), 0.0)
    assert (attempt.state.name, attempt.timeout) == ("b", bound)
