"""What a call does next, rules 3 to 5 (`hotspare._engine.decide`): a retry after a pause, failover, an earlier target."""

from math import inf
from typing import Any

import pytest
from hotspare import events
from hotspare._engine.call import Attempt, Call
from hotspare._engine.commands import Wait
from hotspare._health.breaker import State
from hotspare.outcome import AttemptReason, Kind, Outcome
from hotspare.policy import Policy, RetryBudget
from tenacity import RetryCallState
from tenacity.wait import wait_base

from tests.support.engine import OK, SERVER, TIMEOUT, Engine, FixedRandom, one_provider, state_of

INVALID = Outcome(Kind.INVALID, "bad field")
LIMITED = Outcome(Kind.RATE_LIMITED, "slow down")
PAUSE = 0.05 + (0.25 - 0.05) * 0.5
"""Seconds of the default pause, drawn from the middle of its range."""


def shown(attempt: Attempt) -> tuple[str, AttemptReason]:
    return attempt.state.name, attempt.reason


def queued(engine: Engine, *outcomes: Outcome, now: float = 0.0) -> Call:
    """A call that has failed once on each target, and waits."""
    call = engine.call()
    for state, outcome in zip(engine.states, outcomes, strict=False):
        engine.settle(call, engine.start(call, state, now), outcome, now)
    call.was_queued = call.retry_used = True
    return call


# --- 2: retry the same target, after a pause ----------------------------------------------------------------------


def test_a_fast_failure_is_retried() -> None:
    """After a pause the same target is tried again, once."""
    engine = Engine()
    engine.shared.retry_tokens.deposit(0.0)
    engine.shared.retry_tokens.withdraw(0.0)
    call = engine.call()
    engine.fail(call, 0.0)
    assert engine.step(call, 0.0) == Wait(PAUSE)
    assert (call.retry_target, call.retry_used) == (engine["a"], False)
    assert engine.shared.retry_tokens.tokens == pytest.approx(8.2)
    again = engine.attempt(call, 0.15)
    assert (shown(again), call.retry_target, call.retry_used) == (("a", AttemptReason.RETRY), None, True)
    engine.settle(call, again, SERVER, 0.2)
    assert shown(engine.attempt(call, 0.2)) == ("b", AttemptReason.FAILOVER)


class HalfAsLongAgain(wait_base):
    """Half of the time since the call started."""

    def __call__(self, retry_state: RetryCallState) -> float:
        return (retry_state.seconds_since_start or 0.0) / 2


def test_the_policy_says_how_long_the_pause_is() -> None:
    """`Policy.wait` gives the pause, at this moment of the call."""
    engine = Engine(wait=HalfAsLongAgain())
    call = engine.call()
    engine.fail(call, 0.0)
    assert engine.step(call, 3.0) == Wait(1.5)


@pytest.mark.parametrize(
    ("case", "paused"),
    [
        ({}, True),
        ({"retry_used": True}, False),
        ({"running": True}, False),
        ({"state": State.RECOVERING}, False),
        ({"tokens": 0.0}, False),
        ({"deadline": 1.15}, False),  # 0.15 s and the least useful second leave nothing
        ({"deadline": 1.16}, True),
        ({"retry_same_target": "never"}, False),
        ({"outcome": TIMEOUT}, False),
        ({"failed_before": 1}, False),
        ({"failed_before": 1, "retry_same_target": "always"}, True),
        ({"failed_before": 1, "names": "a"}, True),  # nothing else is there
    ],
)
def test_no_retry_at_once(case: dict[str, Any], paused: bool) -> None:
    """Not twice, not beside a running attempt, not where the breaker is not closed, not without a token or time, and not where the call
    before failed too, while another target may be tried."""
    case = dict(case)
    budget = RetryBudget(tokens_per_minute=case.pop("tokens", 10.0))
    policy = Policy(retry_same_target=case.pop("retry_same_target", "auto"), retry_budget=budget)
    engine = Engine(case.pop("names", "abc"), policy=policy)
    for outcome in [*[OK] * 9, SERVER] * case.pop("failed_before", 0):
        before = engine.call()
        engine.settle(before, engine.start(before), outcome, 0.0)
    call = engine.call(deadline=case.pop("deadline", 100.0))
    running, outcome, state = case.pop("running", False), case.pop("outcome", SERVER), case.pop("state", State.CLOSED)
    attempt = engine.attempt(call, 0.0)
    if running:
        engine.start(call, "b").outcome = TIMEOUT
    engine.settle(call, attempt, outcome, 0.0)
    engine["a"].breaker.state = state
    engine["a"].breaker.recovering_since = 0.0
    for field, value in case.items():
        setattr(call, field, value)
    step = engine.step(call, 0.0)
    assert (step == Wait(PAUSE)) is paused
    assert (call.retry_target is not None) is paused
    if not paused and isinstance(step, Attempt):
        assert step.reason is AttemptReason.FAILOVER


def test_a_recovered_target_counts_as_closed() -> None:
    """A slow start that is over does not stand in the way of a retry, also if no call has looked at it since."""
    engine = Engine()
    engine["a"].breaker.recover(0.0)
    call = engine.call()
    attempt = engine.start(call, now=50.0)
    engine.settle(call, attempt, SERVER, 50.0)
    engine["a"].breaker.state = State.RECOVERING
    assert engine.step(call, 50.0) == Wait(PAUSE)


@pytest.mark.parametrize(
    ("retry_after", "longest", "deadline", "waits"),
    [
        (2.0, 2.0, 100.0, True),
        (2.1, 2.0, 100.0, False),
        (None, 2.0, 100.0, False),
        (2.0, 2.0, 3.0, False),
        (2.0, 2.0, 3.1, True),
        (0.5, 0.0, 100.0, False),
    ],
)
def test_a_short_retry_after_is_waited_out(
    retry_after: float | None, longest: float, deadline: float, waits: bool
) -> None:
    """A rate limit of at most `max_retry_after_wait` is waited out where it was met, if the deadline allows it."""
    engine = Engine(max_retry_after_wait=longest)
    call = engine.call(deadline=deadline)
    engine.fail(call, 0.0, Outcome(Kind.RATE_LIMITED, retry_after=retry_after))
    step = engine.step(call, 0.0)
    if waits:
        assert step == Wait(retry_after)
        assert shown(engine.attempt(call, 2.0)) == ("a", AttemptReason.RETRY)
    else:
        assert isinstance(step, Attempt)
        assert shown(step) == ("b", AttemptReason.FAILOVER)


def test_an_equal_target_takes_the_place_of_the_retry() -> None:
    """Of the same tier of this call's route and with the same model; a 429 is not waited out beside it either."""
    for outcome in (SERVER, Outcome(Kind.RATE_LIMITED, retry_after=1.0)):
        for fields, reason in (({"id": "q/m"}, AttemptReason.FAILOVER), ({"id": "q/other"}, None)):
            engine = Engine("ab", targets={"a": {"id": "p/m"}, "b": fields}, max_retry_after_wait=2.0)
            call = engine.call()
            engine.fail(call, 0.0, outcome)
            step = engine.step(call, 0.0)
            assert (step.reason if isinstance(step, Attempt) else None) == reason
    engine = Engine("ab", targets={"a": {"id": "p/m"}, "b": {"id": "q/m"}})
    call = engine.call(tiers=((engine["a"],), (engine["b"],)))
    engine.fail(call, 0.0)
    assert engine.step(call, 0.0) == Wait(PAUSE), "an equal model in a lower tier of the route is a backup"


def test_a_retry_after_of_nothing_is_waited_out_as_long_as_the_target_is_limited() -> None:
    """Not immediately, while the target is not available yet, and not if that takes too long."""
    for seconds, waits in ((0.75, True), (9.0, False)):
        engine = Engine("ab", max_retry_after_wait=2.0)
        call = engine.call()
        attempt = engine.attempt(call, 5.0)
        engine.settle(call, attempt, Outcome(Kind.RATE_LIMITED, retry_after=0.0), 5.0)
        engine["a"].breaker.rate_limited_until = 5.0 + seconds
        step = engine.step(call, 5.0)
        assert (step == Wait(seconds)) is waits


def test_only_the_neighbours_of_a_target_are_down() -> None:
    """A region's breaker keeps out no target whose own record is good, where no other is left; its own breaker does."""
    engine = Engine("ab", targets={name: {"id": f"p/{name}", "region": "r", "account": name} for name in "ab"})
    engine.open("a", seconds=30.0)
    for domain in engine["a"].domains:
        if domain.level != "account":
            engine.tracker.domains[domain].open(0.0, engine.shared.rng, at_least=30.0)
    call = engine.call()
    assert shown(engine.attempt(call, 1.0))[0] == "b"
    engine.open("b", seconds=30.0)
    assert isinstance(engine.step(engine.call(), 1.0), Wait)


def test_an_exhausted_budget_is_an_event_once() -> None:
    """The first refusal after a success of the budget is an event, the next ones are not."""
    engine = Engine("a", policy=Policy(retry_budget=RetryBudget(tokens_per_minute=0.0, tokens_per_call=1.0)))

    def refused() -> list[Any]:
        call = engine.call()
        engine.settle(call, engine.start(call), SERVER, 0.0)
        _ = engine.events
        engine.step(call, 0.0)
        engine["a"].breaker.release(call.attempts[0].permit)
        return [event for event in engine.events if isinstance(event, events.BudgetExhausted)]

    assert refused() == [events.BudgetExhausted("call-1")]
    assert refused() == []
    engine.shared.retry_tokens.deposit(0.0)
    engine.shared.retry_tokens.deposit(0.0)
    assert refused() == [], "there are two tokens"
    assert engine.shared.retry_tokens.tokens == 1.0
    assert engine.shared.retry_tokens.withdraw(0.0)
    assert refused() == [events.BudgetExhausted("call-1")]


# --- 4: fail over -------------------------------------------------------------------------------------------------


def test_targets_in_their_order() -> None:
    """Tier by tier, each once; those that cannot be sent the request are never tried."""
    a, b, c, d = (state_of(name) for name in "abcd")
    engine = Engine([a, b, c, d], retry_same_target="never")
    call = engine.call(tiers=((b,), (d, a), (c,)), unsupported={d: ("seed",)})
    tried = [shown(engine.fail(call, float(now), TIMEOUT)) for now in range(3)]
    assert tried == [("b", AttemptReason.FIRST), ("a", AttemptReason.FAILOVER), ("c", AttemptReason.FAILOVER)]


def test_a_retry_whose_target_is_gone() -> None:
    """If the target is not available any more when the pause is over, the call fails over, and its retry is not used."""
    engine = Engine()
    call = engine.call()
    engine.fail(call, 0.0)
    engine.step(call, 0.0)
    engine.open("a")
    assert shown(engine.attempt(call, 0.15)) == ("b", AttemptReason.FAILOVER)
    assert (call.retry_target, call.retry_used) == (None, False)


def test_unavailable_targets_are_passed_over() -> None:
    """A target whose time has come is tried, one whose time is still to come is not."""
    engine = Engine()
    engine["a"].breaker.rate_limited_until = 5.0
    assert shown(engine.attempt(engine.call(), 4.9)) == ("b", AttemptReason.FIRST)
    assert shown(engine.attempt(engine.call(), 5.0)) == ("a", AttemptReason.FIRST)


def test_a_larger_window_after_context_length() -> None:
    """After CONTEXT_LENGTH only targets with a larger or unknown window are tried."""
    engine = Engine([state_of(name, context_window=size) for name, size in (("a", 100), ("b", 100), ("c", 101))])
    call = engine.call()
    engine.fail(call, 0.0, Outcome(Kind.CONTEXT_LENGTH))
    assert shown(engine.attempt(call, 0.0)) == ("c", AttemptReason.FAILOVER)


@pytest.mark.parametrize(("left", "starts"), [(3.0, True), (2.9, False)])
def test_enough_time_is_left(left: float, starts: bool) -> None:
    """After a failure no attempt starts with less time than the target's median; the first one always may."""
    engine = Engine(when_all_down="fail")
    for name in "ab":
        engine[name].first_token.add(3.0)
    call = engine.call(allow_last_resort=False)
    engine.fail(call, 0.0, TIMEOUT)
    assert isinstance(engine.step(call, 100.0 - left), Attempt) is starts
    assert isinstance(engine.step(engine.call(), 99.0), Attempt)


@pytest.mark.parametrize(
    ("names", "attempts", "now", "probes"),
    [
        ("ab", 1, 10.0, False),
        ("ab", 1, 10.9, False),
        ("ab", 1, 11.0, True),
        ("ab", 2, 10.0, True),
        ("a", 1, 10.0, True),
    ],
)
def test_a_last_attempt_leaves_probes_to_others(names: str, attempts: int, now: float, probes: bool) -> None:
    """A call with one attempt left and another target gives calls that can still fail over a second to probe."""
    engine = Engine(names)
    engine.open("a", seconds=10.0)
    if len(names) > 1:
        engine["b"].breaker.disabled = "gone"
    call = engine.call(max_attempts=attempts)
    step = engine.step(call, now)
    assert isinstance(step, Attempt) is probes
    if not probes:
        assert isinstance(step, Wait)


def test_a_closed_target_is_no_probe() -> None:
    """A last attempt at a closed breaker does not wait for others, also right after a rate limit."""
    engine = Engine()
    engine["a"].breaker.rate_limited_until = 5.0
    engine["b"].breaker.disabled = "gone"
    assert shown(engine.attempt(engine.call(max_attempts=1), 5.0)) == ("a", AttemptReason.FIRST)


def test_a_recovering_target_is_left_to_others_too() -> None:
    """In a slow start, right after a rate limit, a last attempt leaves the first second to other calls as well."""
    engine = Engine(rng=FixedRandom(0.0))
    engine["a"].breaker.recover(0.0)
    engine["a"].breaker.rate_limited_until = 5.0
    assert engine.attempt(engine.call(max_attempts=1), 5.9).state.name == "b"
    assert engine.attempt(engine.call(max_attempts=1), 6.0).state.name == "a"
    assert engine.attempt(engine.call(max_attempts=2), 5.0).state.name == "a"


def test_regions_and_accounts_at_fault_come_last() -> None:
    """After a failure of a region its other targets come after those elsewhere."""
    regions = {"a": "r1", "b": "r1", "c": "r2"}
    engine = Engine("abc", targets={name: {"id": "p/m", "region": region} for name, region in regions.items()})
    call = engine.call()
    call.retry_used = True
    engine.fail(call, 0.0, SERVER)
    assert shown(engine.attempt(call, 0.0)) == ("c", AttemptReason.FAILOVER)


def test_the_fourth_attempt_in_a_domain_needs_a_token() -> None:
    """Three attempts of a call in one domain are free."""
    engine = one_provider(5)
    assert engine.shared.retry_tokens.withdraw(0.0)
    call = engine.call()
    left: list[float] = []
    for _ in range(5):
        engine.fail(call, 0.0, TIMEOUT)
        left.append(engine.shared.retry_tokens.tokens)
    assert left == [9.0, 9.0, 9.0, 8.0, 7.0]


def test_without_a_token_another_domain_is_tried() -> None:
    """A target that needs a token that is not there is passed over for one that needs none."""
    budget = RetryBudget(tokens_per_minute=0.0)
    names = {name: {"id": "p/m", "region": name} for name in "abcd"} | {"e": {"id": "q/m"}}
    engine = Engine("abcde", policy=Policy(retry_budget=budget), targets=names)
    call = engine.call()
    tried = [engine.fail(call, 0.0, TIMEOUT).state.name for _ in range(4)]
    assert tried == ["a", "b", "c", "e"]


def test_stalled_targets_are_opened_first() -> None:
    """A call sees that others, begun one after the other, wait too long, and goes elsewhere."""
    for streaming in (True, False):
        engine = Engine()
        for start in (0.0, 0.1, 0.2):
            engine.start(engine.call(), "a", start)
        assert engine.attempt(engine.call(streaming=streaming), 10.1).state.name == "a"
        assert engine.attempt(engine.call(streaming=streaming), 10.3).state.name == "b"
        assert engine["a"].breaker.state is State.OPEN


def test_time_moves_breakers_first() -> None:
    """A slow start that is over is closed before the call decides, as an event."""
    engine = Engine()
    engine.recover("b")
    engine.attempt(engine.call(), 40.0)
    assert engine["b"].breaker.state is State.CLOSED
    assert engine.events == [events.StateChanged("b", State.RECOVERING, State.CLOSED, "", 0.0)]


@pytest.mark.parametrize(
    ("case", "timeout"),
    [
        ({}, 10.0),
        ({"attempts": 1}, 50.0),  # it may not make another attempt
        ({"attempts": 2}, 10.0),
        ({"limited": 50.1}, 50.0),  # the other one is not available
        ({"limited": 50.0}, 10.0),
        ({"tried": True}, 50.0),
        ({"names": "a"}, 50.0),
    ],
)
def test_the_last_target_gets_all_the_time(case: dict[str, Any], timeout: float) -> None:
    """An attempt is bounded by its record only while another, untried target is available after it."""
    engine = Engine(case.get("names", "ab"))
    if "b" in engine.states:
        engine["b"].breaker.rate_limited_until = case.get("limited", -inf)
    call = engine.call(max_attempts=case.get("attempts", 6))
    if case.get("tried"):
        engine.settle(call, engine.start(call, "b", 50.0), TIMEOUT, 50.0)
    assert engine.attempt(call, 50.0).timeout == timeout


# --- 5: retry an earlier target -----------------------------------------------------------------------------------
