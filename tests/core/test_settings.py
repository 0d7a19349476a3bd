"""Every setting has an effect: the settings that no other test names, and a check that none is left out."""

import random
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hotspare import AllTargetsFailed, Breaker, Hedge, Kind, Outcome, Policy, Price, RetryBudget, Timeouts
from hotspare._engine.call import Call
from hotspare._engine.hedging import may_hedge
from hotspare._engine.timeouts import attempt_timeout, min_throughput, stall_timeout
from hotspare._health.breaker import CircuitBreaker
from hotspare._health.domains import domains_of
from hotspare._health.target_state import TargetState
from hotspare._health.tracker import HealthTracker
from hotspare.messages import ChatRequest
from hotspare.testing import ScriptedTarget, VirtualClock, fail, scripted_pool


def state_of(name: str = "a", **target: Any) -> TargetState:
    """A target's state, with a backend that is never called."""
    scripted = ScriptedTarget(name, **target)
    return TargetState(scripted.target, scripted, CircuitBreaker(Breaker()), domains_of(scripted.target), 0)


def call_to(state: TargetState, deadline: float = 1000.0) -> Call:
    """A call that streams, at time 0."""
    return Call("call-1", ChatRequest(messages=()), ((state,),), True, 0.0, deadline, 6)


def window_size(config: Breaker, times: list[float]) -> int:
    """How many of the outcomes at these times are in the recent window after the last one."""
    breaker = CircuitBreaker(config)
    for time in times:
        breaker.record_success(time, time)
    return breaker.recent[0]


def test_the_window_holds_so_many_calls() -> None:
    """`window_calls` are kept although they are older than `window_seconds`."""
    times = [0.0, 20.0, 40.0, 60.0, 80.0]
    assert [window_size(Breaker(window_calls=calls), times) for calls in (2, 4)] == [2, 4]


def test_the_window_holds_so_many_seconds() -> None:
    """Outcomes of the last `window_seconds` are kept although they are more than `window_calls`."""
    times = [0.0, 1.0, 2.0, 3.0, 4.0]
    assert [window_size(Breaker(window_calls=1, window_seconds=seconds), times) for seconds in (2, 10)] == [3, 5]


def test_the_window_forgets_what_is_too_old() -> None:
    """Nothing older than `window_max` is kept, however few outcomes there are."""
    assert [window_size(Breaker(window_max=limit), [0.0, 50.0, 100.0]) for limit in (60, 200)] == [2, 3]


@pytest.mark.parametrize("seconds", [50.0, 700.0])
def test_a_rejected_key_opens_for_so_long(seconds: float) -> None:
    """`auth_break_duration` is how long a target stays open after a 401."""
    policy, state = Policy(breaker=Breaker(auth_break_duration=seconds)), state_of()
    state.breaker.config = policy.breaker
    tracker = HealthTracker([state], policy, random.Random(0))
    permit = tracker.acquire(state, 0.0, tracks_ttft=False, last_resort=False)
    tracker.record_outcome(state, permit, Outcome(Kind.AUTH, "no such key", 401), 0.0)
    assert tracker.available_at(state, 0.0) == seconds


@pytest.mark.parametrize("share", [0.1, 0.4])
def test_a_slow_start_begins_with_a_minimum_share(share: float) -> None:
    """`slow_start_min_share` is the traffic share at the beginning of a slow start."""
    breaker = CircuitBreaker(Breaker(slow_start_min_share=share))
    breaker.recover(0.0)
    assert breaker.traffic_share(0.0) == share


@pytest.mark.parametrize("factor", [2.0, 5.0])
def test_a_timeout_is_a_multiple_of_the_p95(factor: float) -> None:
    """`Timeouts.factor` times the target's p95 bounds its first token while other targets are left."""
    state = state_of()
    for _ in range(8):
        state.first_token.add(4.0)
    policy = Policy(timeouts=Timeouts(factor=factor))
    assert attempt_timeout(call_to(state), state, policy, 0.0, unary=False, others=True, probe=False) == 4.0 * factor


@pytest.mark.parametrize("seconds", [45.0, 90.0])
def test_a_model_that_reasons_has_more_time(seconds: float) -> None:
    """`first_token_reasoning` bounds the first token of a target with `reasoning=True` that has no record."""
    state, policy = state_of(reasoning=True), Policy(timeouts=Timeouts(first_token_reasoning=seconds))
    assert attempt_timeout(call_to(state), state, policy, 0.0, unary=False, others=True, probe=False) == seconds


@pytest.mark.parametrize("factor", [5.0, 8.0])
def test_a_stall_is_a_multiple_of_the_usual_gap(factor: float) -> None:
    """`stall_factor` times the p95 of a target's longest gaps is a stall."""
    state = state_of()
    for _ in range(8):
        state.gaps.add(2.0)
    assert stall_timeout(state, Policy(timeouts=Timeouts(stall_factor=factor))) == 2.0 * factor


@pytest.mark.parametrize("ratio", [0.1, 0.5])
def test_a_slow_stream_is_a_fraction_of_the_usual_throughput(ratio: float) -> None:
    """`min_throughput_ratio` of a target's median throughput is the least that a stream must have."""
    state = state_of()
    for _ in range(8):
        state.throughput.add(1000.0)
    assert min_throughput(state, Policy(timeouts=Timeouts(min_throughput_ratio=ratio))) == 1000.0 * ratio


@pytest.mark.parametrize("free", [1, 2, 3])
def test_a_call_has_so_many_free_attempts_per_domain(free: int) -> None:
    """`free_attempts_per_domain` attempts of a call inside one domain need no retry token; without tokens it ends there."""
    targets = [ScriptedTarget(name, fail(503), id=f"p/{name}", region="r") for name in "abcde"]
    budget = RetryBudget(tokens_per_call=0, tokens_per_minute=0, free_attempts_per_domain=free)
    pool = scripted_pool(*targets, clock=VirtualClock(), retry_budget=budget)
    with pytest.raises(AllTargetsFailed, match="retry budget") as caught:
        pool.chat("q")
    assert len(caught.value.attempts) == free


@pytest.mark.parametrize(("ratio", "allowed"), [(2.0, False), (4.0, True)])
def test_a_hedge_goes_to_no_target_that_is_too_expensive(ratio: float, allowed: bool) -> None:
    """`max_price_ratio` bounds the price of a hedge's target, relative to the first target's."""
    first = state_of("a", id="p/a", region="r", price=Price(1.0, 1.0))
    other = state_of("b", id="q/b", region="s", price=Price(3.0, 3.0))
    assert may_hedge(first, other, Hedge(max_price_ratio=ratio)) is allowed


@pytest.mark.parametrize("config", [Policy, Breaker, Timeouts, RetryBudget, Hedge])
def test_every_setting_is_named_in_a_test(config: type) -> None:
    """A setting that no test of the core names is a setting that may be ignored without anything turning red."""
    tests = "".join(path.read_text("utf-8") for path in Path(__file__).parent.rglob("*.py"))
    missing = [one.name for one in fields(config) if not re.search(rf"\b{one.name}\s*=|[\"'.]{one.name}\b", tests)]
    assert missing == []
