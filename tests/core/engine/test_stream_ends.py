"""How a stream ends for what calls share: attempts in flight, samples, limits; and what the scheduler does for calls in a queue or a plan."""

from typing import Any

import pytest
from hotspare import ChatChunk, ChatReply, Limits, Usage, events
from hotspare._engine.call import Attempt, Call, OpenStream
from hotspare._engine.commands import Wait
from hotspare._engine.scheduler import Scheduler
from hotspare._health.target_state import TargetState
from hotspare._routing.explain import Choice, Exclusion, SkipReason
from hotspare.policy import Policy

from tests.support.engine import OK, SERVER, FixedRandom, call_of, state_of

TPM = "6000 tokens a minute"


def scheduler_of(*states: TargetState, **fields: Any) -> Scheduler:
    found = Scheduler(states, Policy(**fields), FixedRandom())
    found.observe(True)
    return found


def opened(scheduler: Scheduler, *states: TargetState, now: float = 1.0, **fields: Any) -> tuple[Call, Attempt]:
    """A call whose first attempt has begun to stream."""
    call = call_of(*states, started=now, policy=Policy(retry_same_target="never"), **fields)
    attempt = scheduler.next_step(call, now)
    assert isinstance(attempt, Attempt)
    attempt.result = OpenStream(ChatChunk(text="a"), None)
    scheduler.settle(call, attempt, OK, now + 1)
    return call, attempt


def limited() -> TargetState:
    """A target with 6000 tokens a minute, all at once; each attempt takes more than it will use."""
    return state_of(limits=Limits(tpm=6000, burst=60, concurrency=5))


def left(state: TargetState, now: float = 1.0) -> float:
    assert state.limits is not None
    return state.limits.left(now)[TPM]


def test_a_stream_is_in_flight_to_its_end() -> None:
    """Each one counts; its end is recorded once, as a success of the target, with what it used."""
    a = limited()
    scheduler = scheduler_of(a)
    (call, first), (other, second) = opened(scheduler, a), opened(scheduler, a)
    assert scheduler.in_flight_at("a") == 2 and a.breaker.recent == (0, 0)
    reserved = 6000 - left(a)
    scheduler.record_stream_end(call, first, 1.0, Usage(100, 50))
    assert scheduler.in_flight_at("a") == 1 and a.breaker.recent == (1, 0)
    assert 6000 - left(a) == pytest.approx(reserved / 2 + 150)
    scheduler.record_stream_end(call, first, 1.0, Usage(100, 50))
    assert scheduler.in_flight_at("a") == 1
    assert 6000 - left(a) == pytest.approx(reserved / 2 + 150), "its reservation was settled once"
    scheduler.record_stream_end(other, second, 1.0)
    assert scheduler.in_flight_at("a") == 0


def test_after_a_fork_the_parents_streams_do_not_count() -> None:
    """Their ends do not make the number negative."""
    a = state_of()
    scheduler = scheduler_of(a)
    call, attempt = opened(scheduler, a)
    a.breaker.streams = 0
    scheduler.record_stream_end(call, attempt, 5.0)
    assert scheduler.in_flight_at("a") == 0


@pytest.mark.parametrize(("whole", "seconds"), [(True, 4.0), (False, None)])
def test_the_duration_of_a_whole_answer_that_was_streamed(whole: bool, seconds: float | None) -> None:
    """It is a sample of completion time, of the target and of the pool; that of a stream is none."""
    a = state_of()
    scheduler = scheduler_of(a)
    call, attempt = opened(scheduler, a)
    scheduler.record_stream_end(call, attempt, 5.0, whole=whole)
    shared = scheduler._shared  # pyright: ignore[reportPrivateUsage]
    assert (a.completion.quantile(0.5), shared.completion.quantile(0.5)) == (seconds, seconds)


def test_a_whole_answer_instead_of_a_stream_has_ended_already() -> None:
    """Nothing is recorded a second time."""
    a = state_of()
    scheduler = scheduler_of(a)
    call = call_of(a, started=1.0)
    attempt = scheduler.next_step(call, 1.0)
    assert isinstance(attempt, Attempt)
    attempt.result = ChatReply(text="x")
    scheduler.settle(call, attempt, OK, 2.0)
    scheduler.record_stream_end(call, attempt, 5.0, whole=True)
    assert a.breaker.recent == (1, 0) and len(a.completion) == 0 and scheduler.in_flight_at("a") == 0


def test_a_stream_that_breaks() -> None:
    """It is no longer in flight, and all that was reserved may have been used; what was postponed is reported first."""
    a = limited()
    scheduler = scheduler_of(a, state_of("b"))
    scheduler.observe(True, late=True)
    call = call_of(a, started=1.0)
    scheduler.call_started(1.0, call)
    attempt = scheduler.next_step(call, 1.0)
    assert isinstance(attempt, Attempt)
    attempt.result = OpenStream(ChatChunk(text="a"), None)
    scheduler.settle(call, attempt, OK, 1.0)
    before = left(a)
    assert scheduler.take_pending()[0] == []
    scheduler.record_stream_break(call, attempt, SERVER, "said", 1.0)
    assert scheduler.in_flight_at("a") == 0 and left(a) == before
    assert [type(one).__name__ for one in scheduler.take_pending()[0]] == [
        "CallStarted", "AttemptStarted", "AttemptEnded", "StreamBroke",
    ]  # fmt: skip
    assert attempt.reserved is None


def test_a_stream_that_its_caller_leaves() -> None:
    """The end of the call ends it, without an outcome for the target; the others are not touched."""
    a = limited()
    scheduler = scheduler_of(a)
    call, attempt = opened(scheduler, a)
    scheduler.record_call_end(call, 5.0, GeneratorExit())
    assert scheduler.in_flight_at("a") == 0 and a.breaker.recent == (0, 0)
    assert attempt.reserved is None and not attempt.is_streaming


def test_listeners_decide_what_is_kept() -> None:
    """Without listeners nothing is pending, a failure excepted; listeners that want events at once get them at once."""
    a = state_of()
    scheduler = scheduler_of(a)
    for observed, count in ((False, 0), (True, 1)):
        scheduler.observe(observed)
        call = call_of(a)
        scheduler.call_started(0.0, call)
        assert len(scheduler.take_pending()[0]) == count and not call.is_reported_late
        attempt = scheduler.next_step(call, 0.0)
        assert isinstance(attempt, Attempt)
        scheduler.settle(call, attempt, OK, 1.0)
        scheduler.record_call_end(call, 2.0)
        assert [type(one) for one in scheduler.take_pending()[0]] == [
            events.AttemptStarted, events.AttemptEnded, events.CallEnded,
        ][: 3 * count]  # fmt: skip
    scheduler.observe(False)
    scheduler.record_call_end(call_of(a), 2.0, ValueError("x"))
    (ended,) = scheduler.take_pending()[0]
    assert isinstance(ended, events.CallEnded) and (ended.result, ended.error) == ("failed", "ValueError")


def test_a_check_is_no_call_for_listeners() -> None:
    """None of its steps is reported."""
    a = state_of()
    scheduler = scheduler_of(a)
    call = call_of(a, is_check=True)
    scheduler.call_started(0.0, call)
    attempt = scheduler.next_step(call, 0.0)
    assert isinstance(attempt, Attempt) and scheduler.take_pending()[0] == []
    scheduler.settle(call, attempt, OK, 1.0)
    assert a.checks == 1 and scheduler.take_pending()[0] == []


def test_the_queue_is_reported_once() -> None:
    """When the call begins to wait, not at each step."""
    a = state_of()
    a.breaker.rate_limited_until = 50.0
    scheduler = scheduler_of(a)
    call = call_of(a)
    for count in (1, 0):
        step = scheduler.next_step(call, 1.0)
        assert isinstance(step, Wait) and step.waiter is not None
        assert [type(one) for one in scheduler.take_pending()[0]] == [events.CallQueued] * count
        scheduler.leave_queue(step.waiter)


@pytest.mark.parametrize("for_good", [False, True])
def test_a_call_that_leaves_the_queue(for_good: bool) -> None:
    """It keeps its place in the queue of a limit unless it has ended; the next one is woken."""
    a = state_of(limits=Limits(rpm=60, burst=1))
    scheduler = scheduler_of(a)
    assert isinstance(scheduler.next_step(call_of(a), 0.0), Attempt)
    first, second = call_of(a), call_of(a)
    step, behind = scheduler.next_step(first, 0.0), scheduler.next_step(second, 0.0)
    assert isinstance(step, Wait) and isinstance(behind, Wait) and step.waiter is not None
    scheduler.take_pending()
    if for_good:
        scheduler.leave_queue(step.waiter, for_good=True)
    else:
        scheduler.leave_queue(step.waiter)
    assert a.limits is not None and (first.ticket is None) is for_good
    assert list(a.limits.tickets) == ([second.ticket] if for_good else [first.ticket, second.ticket])
    assert behind.waiter in scheduler.take_pending()[1]


@pytest.mark.parametrize(("now", "is_free"), [(0.5, False), (1.0, True)])
def test_an_alternative_must_be_within_its_limits(now: float, is_free: bool) -> None:
    """A target that was not tried, and whose limits admit this call now."""
    a, b = state_of("a"), state_of("b", limits=Limits(rpm=60, burst=1))
    scheduler = scheduler_of(a, b)
    assert isinstance(scheduler.next_step(call_of(b), 0.0), Attempt)
    call, _ = opened(scheduler, a, b, now=0.0)
    assert scheduler.has_free_alternative(call, now) is is_free


def test_a_plan_with_a_conversation_and_scores() -> None:
    """The target of the conversation is first, and each has the value that the strategy compares."""
    states = [
        state_of(name, weight=weight, position=place)
        for place, (name, weight) in enumerate(zip("abc", (1e9, 2.0, 1.0), strict=True))
    ]
    scheduler = scheduler_of(*states, strategy="weighted", sticky_seconds=60.0)
    policy = Policy(strategy="weighted", sticky_seconds=60.0)
    shared = scheduler._shared  # pyright: ignore[reportPrivateUsage]
    shared.sessions.record("s", states[2], 0.0)
    call = call_of(*states, policy=policy, session="s")
    choices = scheduler.explain(call, "r", 1.0).choices
    assert [(one.target, one.score) for one in choices] == [("c", 1.0), ("a", 1e9), ("b", 2.0)]
    assert scheduler.explain(call, "r", 61.0).choices[0].target == "a", "it is over"


def test_a_plan_says_what_was_moved_back() -> None:
    """With the reason, and last; an excluded target that is in no tier is in the plan with its own."""
    a, b = (state_of(name, id="p/m", region=name, account=name) for name in "ab")
    guest = state_of("guest", tier=3)
    scheduler = scheduler_of(a, b)
    a.breaker.recover(1.0)
    guest.breaker.recover(1.0)
    call = call_of(a, b, policy=Policy(), excluded={guest: Exclusion(SkipReason.OVER_BUDGET, "too expensive")})
    first, last, excluded = scheduler.explain(call, "r", 1.0).choices
    assert (first.target, first.note) == ("b", "")
    assert (last.target, last.note) == ("a", "slow start after its recovery")
    assert excluded == Choice("guest", 3, "recovering", SkipReason.OVER_BUDGET, "too expensive", (), None)
