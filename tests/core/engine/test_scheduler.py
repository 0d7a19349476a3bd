"""The scheduler: what changes for all calls of a pool, and what is to be done once its lock is free."""

import threading
from collections.abc import Callable
from dataclasses import replace
from math import inf
from typing import Any

import pytest
from hotspare import events
from hotspare._engine.call import Attempt, Call
from hotspare._engine.commands import Wait
from hotspare._engine.decide import GiveUp
from hotspare._engine.fleet import Fleet
from hotspare._engine.scheduler import Scheduler
from hotspare._engine.waiters import Waiter
from hotspare._health.admission import AdmissionWindow
from hotspare._health.breaker import Permit
from hotspare._health.target_state import TargetState
from hotspare._routing.explain import Choice, SkipReason
from hotspare.messages import ChatRequest
from hotspare.outcome import AttemptReason, AttemptRecord, Kind, Outcome
from hotspare.policy import Breaker, Hedge, Policy, RetryBudget

from tests.support.engine import CANCELLED, OK, SERVER, TIMEOUT, FixedRandom, NoBackend, call_of, state_of
from tests.support.fleet_facts import named, unnamed


def scheduler_of(*states: TargetState, **fields: Any) -> Scheduler:
    return Scheduler(states, Policy(**fields), FixedRandom())


def started(scheduler: Scheduler, call: Call, now: float = 0.0) -> Attempt:
    step = scheduler.next_step(call, now)
    assert isinstance(step, Attempt)
    return step


def pending(scheduler: Scheduler, kind: type[Any] = object) -> list[Any]:
    """The pending events of one kind; all are taken."""
    return [event for event in scheduler.take_pending()[0] if isinstance(event, kind)]


def test_a_call_from_start_to_end() -> None:
    """A step is taken, its end is recorded, and both are events."""
    a = state_of()
    scheduler = scheduler_of(a)
    call = call_of(a, started=10.0)
    scheduler.call_started(10.0)
    attempt = started(scheduler, call, 10.0)
    assert scheduler.health(10.0).in_flight == 1
    scheduler.settle(call, attempt, OK, 12.0)
    scheduler.record_call_end(call, 13.0)
    record = AttemptRecord(1, "a", Kind.OK, 2.0, AttemptReason.FIRST, ttft=2.0)
    ended = events.CallEnded("call-1", "a", (record,), 3.0, route="default", streaming=True, ttft=2.0)
    assert scheduler.take_pending() == (
        [events.AttemptStarted("call-1", 1, "a", AttemptReason.FIRST), events.AttemptEnded("call-1", record), ended], [],
    )  # fmt: skip
    assert scheduler.take_pending() == ([], [])
    assert scheduler.health(12.0).in_flight == 0


def test_where_an_answer_came_from() -> None:
    """The latest attempt that is OK; None if the call was not answered."""
    a, b = state_of("a"), state_of("b")
    scheduler = scheduler_of(a, b, retry_same_target="never")
    call = call_of(a, b)
    scheduler.settle(call, started(scheduler, call), TIMEOUT, 1.0)
    scheduler.record_call_end(call, 1.0)
    scheduler.settle(call, started(scheduler, call), OK, 1.0)
    scheduler.record_call_end(call, 1.0)
    answered = call_of(a)
    answered.attempts = [*reversed(call.attempts)]
    scheduler.record_call_end(answered, 1.0)
    assert [event.target for event in pending(scheduler, events.CallEnded)] == [None, "b", "b"]


def test_the_budgets_of_a_pool() -> None:
    """Each call fills the retry budget, at its own time, and the hedge budget."""
    a, b = state_of("a"), state_of("b")
    budget = RetryBudget(tokens_per_minute=6.0, tokens_per_call=0.5)
    scheduler = scheduler_of(a, b, retry_budget=budget, hedge=Hedge(max_extra_calls=1.0, min_delay=0.0))
    scheduler.call_started(100.0)
    assert scheduler.health(100.0).retry_tokens == 6.5
    scheduler.call_started(110.0)
    assert scheduler.health(110.0).retry_tokens == 8.0
    for _ in range(8):
        a.first_token.add(0.0)
    call = call_of(a, b, policy=scheduler._policy)
    started(scheduler, call)
    assert started(scheduler, call, 1.0).reason is AttemptReason.HEDGE


def test_the_client_throttle_of_a_pool() -> None:
    """With `max_rejection` 0 every call may make its attempt of last resort, however many have failed."""
    a = state_of()
    scheduler = scheduler_of(a, max_rejection=0.0, when_all_down="fail")
    a.breaker.rate_limited_until = 1000.0
    for _ in range(9):
        call = call_of(a)
        attempt = started(scheduler, call)
        assert attempt.reason is AttemptReason.LAST_RESORT
        scheduler.settle(call, attempt, TIMEOUT, 0.0)


def test_a_policy_that_is_switched_to() -> None:
    """Its bound of rejections applies to the next calls: the third attempt of last resort is rejected, after two that failed."""
    a = state_of()
    scheduler = scheduler_of(a, max_rejection=0.0)
    a.breaker.rate_limited_until, made = 1000.0, 0
    scheduler.replace([a], Policy())
    while isinstance(attempt := scheduler.next_step(call := call_of(a), 0.0), Attempt):
        scheduler.settle(call, attempt, TIMEOUT, 0.0)
        made += 1
    assert made == 2


def test_chance_and_breakers_of_a_pool() -> None:
    """Jitter is drawn from the pool's own chance; its domains' breakers have the policy's settings."""
    shared = [state_of(name, id="p/m", region="r", account=name) for name in "ab"]
    brief = Breaker(consecutive_failures=2, failure_span=0.0, break_duration=2.0)
    scheduler = scheduler_of(*shared, breaker=brief)
    for state in shared:
        call = call_of(state)
        refused = Outcome(Kind.TRANSPORT, "refused", before_connect=True)
        scheduler.settle(call, started(scheduler, call), refused, 0.0)
    (changed,) = pending(scheduler, events.StateChanged)
    assert (changed.subject, changed.open_for) == ("p/r", 0.75)


def test_waiters() -> None:
    """A call that waits is in the queue until it leaves; those to be woken are handed out once."""
    a = state_of()
    a.breaker.rate_limited_until = 30.0
    scheduler = scheduler_of(a)
    first, second = (scheduler.next_step(call_of(a), 1.0) for _ in range(2))
    assert isinstance(first, Wait) and isinstance(second, Wait)
    assert first.waiter is not None and second.waiter is not None
    assert (scheduler.health(1.0).waiting, scheduler.take_pending()) == (
        2,
        ([events.CallQueued("call-1", 99.0)] * 2, []),
    )
    scheduler.leave_queue(first.waiter)
    assert scheduler.health(1.0).waiting == 0
    assert scheduler.take_pending() == ([], [second.waiter])
    assert scheduler.take_pending() == ([], [])


@pytest.mark.parametrize(("may_continue", "woken"), [(True, 1), (False, 0)])
def test_news_of_the_fleet_wake_one_call(may_continue: bool, woken: int) -> None:
    """It checks for all that wait whether it may continue; the others stay in the queue."""
    a = state_of()
    a.breaker.rate_limited_until = 30.0
    scheduler = scheduler_of(a)
    scheduler.join(lambda tracker: Fleet(tracker, named, unnamed, 0.0, None))
    for _ in range(3):
        scheduler.next_step(call_of(a), 1.0)
    scheduler.fleet_change(lambda fleet: may_continue)
    assert (len(scheduler.take_pending()[1]), scheduler.health(1.0).waiting) == (woken, 3 - woken)


def test_an_unknown_target() -> None:
    """The error of a command names those that there are."""
    scheduler = scheduler_of(state_of("a"), state_of("b"))
    with pytest.raises(KeyError) as caught:
        scheduler.disable("z", "maintenance")
    assert caught.value.args == ("no target of the pool is called 'z'; use one of a, b",)


def test_after_fork() -> None:
    """A child process has a free lock, no waiting calls and no attempts under way, whatever the parent was doing."""
    a, b = state_of(), state_of("b")
    a.breaker.rate_limited_until = 30.0
    scheduler = scheduler_of(a, b)
    b.breaker.open(-100.0, FixedRandom())
    attempt = started(scheduler, call_of(b))
    assert attempt.permit.probe
    scheduler.next_step(call_of(a), 1.0)
    scheduler._lock.acquire()  # pyright: ignore[reportPrivateUsage]
    scheduler.after_fork()
    health = scheduler.health(1.0)
    assert (health.waiting, health.in_flight, b.breaker.in_flight, b.breaker.active) == (0, 0, {}, 0)
    b.breaker.release(attempt.permit)
    assert b.breaker.active == 0
    again = Permit(1.0, b.breaker.epoch)
    b.breaker.probe(again, 1.0)
    assert again.probe, "the parent's probe holds no lease here"


def test_added_targets() -> None:
    """A target that is added is part of the pool's health."""
    scheduler = scheduler_of(state_of("a"))
    scheduler.add([state_of("b")])
    assert [target.target for target in scheduler.health(0.0).targets] == ["a", "b"]


def test_is_available() -> None:
    """From the moment on at which the target admits an attempt."""
    a = state_of()
    a.breaker.rate_limited_until = 5.0
    scheduler = scheduler_of(a)
    assert [scheduler.is_available(a, now) for now in (4.9, 5.0, 5.1)] == [False, True, True]
    a.breaker.admission = AdmissionWindow(5.0, halved_to=1.0)
    a.breaker.active = 1
    assert not scheduler.is_available(a, 6.0), "its slow start admits no further attempt"


def test_has_free_alternative() -> None:
    """Another target that the call has not tried, that can be sent the request, and that is available now."""
    a, b, c, d = (state_of(name) for name in "abcd")
    scheduler = scheduler_of(a, b, c, d)
    call = call_of(a, b, c, d, unsupported={d: ("seed",)})
    c.breaker.rate_limited_until = 5.0
    for name, free in (("a", True), ("b", False)):
        attempt = started(scheduler, call)
        scheduler.settle(call, attempt, TIMEOUT, 0.0)
        assert attempt.state.name == name
        assert scheduler.has_free_alternative(call, 4.9) is free
    assert scheduler.has_free_alternative(call, 5.0)


def test_records_of_streams() -> None:
    """The longest silence and the throughput are samples of the target."""
    a = state_of()
    scheduler = scheduler_of(a)
    call = call_of(a)
    scheduler.record_stream(call, started(scheduler, call), 2.0, 500.0)
    assert (a.gaps.quantile(0.5), a.throughput.quantile(0.5)) == (2.0, 500.0)


def broken(outcome: Outcome = SERVER, *, now: float = 50.0, **fields: Any) -> tuple[Scheduler, Call, Attempt]:
    """A call whose stream broke after its first content."""
    a, b = state_of("a"), state_of("b")
    scheduler = scheduler_of(a, b, completion="stream")
    call = call_of(a, b, policy=scheduler._policy, **fields)
    attempt = started(scheduler, call)
    scheduler.settle(call, attempt, OK, 1.0)
    call.retry_used = call.was_queued = True
    pending(scheduler)
    scheduler.record_stream_break(call, attempt, outcome, "said", now)
    return scheduler, call, attempt


def test_a_break_is_a_second_observation() -> None:
    """The target has failed, the call may continue elsewhere as if it had just begun, and it is an event."""
    scheduler, call, attempt = broken()
    assert attempt.state.breaker.recent == (2, 1)
    assert (attempt.outcome, attempt.ended, attempt.seconds, call.last) == (SERVER, 50.0, inf, attempt)
    assert (call.retry_used, call.was_queued, call.emitted, call.deadline) == (False, False, "said", 150.0)
    assert attempt.record is not None
    assert attempt.record.kind is Kind.OK
    assert scheduler.take_pending()[0] == [events.StreamBroke("call-1", "a", Kind.SERVER, "broken")]
    assert started(scheduler, call, 50.0).state.name == "b"


def test_a_break_never_shortens_a_deadline() -> None:
    """The time of a call is given again, and what is left of a longer one stays."""
    assert broken(now=-20.0)[1].deadline == 100.0
    assert broken(now=20.0, started=-30.0)[1].deadline == 150.0


def test_a_neutral_break_is_no_failure() -> None:
    """An outcome that says nothing about the target is not counted against it."""
    _, _, attempt = broken(CANCELLED)
    assert attempt.state.breaker.recent == (1, 0)


def test_a_break_is_no_rejection_of_the_request() -> None:
    """The target had begun to answer: that is no INVALID in a row, and the call ends as the policy says of this outcome."""
    scheduler, call, attempt = broken(Outcome(Kind.INVALID, "odd"))
    call.policy = replace(call.policy, doubt_invalid_after=1)
    assert attempt.state.invalid_streaks == {}
    assert isinstance(scheduler.next_step(call, 50.0), GiveUp)


def test_a_break_underneath_a_whole_answer() -> None:
    """Nothing was handed out: the record becomes a failure, and the deadline stays."""
    _, call, attempt = broken(streaming=False)
    assert (call.emitted, call.deadline) == (None, 100.0)
    assert attempt.record == AttemptRecord(1, "a", Kind.SERVER, 1.0, message="broken", ttft=1.0)
    scheduler = scheduler_of(attempt.state)
    unsettled = started(scheduler, call_of(attempt.state, streaming=False, completion="stream"))
    scheduler.record_stream_break(call, unsettled, SERVER, "", 3.0)
    assert unsettled.record is None


def test_explain() -> None:
    """The plan of a call: what would be tried first, in order, then the others with the reason; nothing changes."""
    a, b, c, d = state_of("a"), state_of("b"), state_of("c", backend=NoBackend("seed")), state_of("d")
    scheduler = scheduler_of(a, b, c, d)
    a.breaker.rate_limited_until, a.breaker.rate_limits = 5.0, 1
    d.breaker.recover(0.0)
    call = call_of(tiers=((a, b), (c, d)), request=ChatRequest(messages=[], seed=1), unsupported={c: ("seed",)})
    plan = scheduler.explain(call, "batch", 2.0)
    assert plan.route == "batch"
    assert plan.choices == (
        Choice("b", 0, "closed"),
        Choice("d", 1, "recovering"),
        Choice("a", 0, "closed", SkipReason.UNAVAILABLE, "rate limited, retry after 3.0 s", (), 3.0),
        Choice("c", 1, "closed", SkipReason.UNSUPPORTED, "does not support seed", ("seed",), None),
    )
    assert scheduler.take_pending() == ([], [])
    assert d.breaker.state == "recovering"


def test_explain_is_the_same_every_time() -> None:
    """Weighted choices are drawn with a fixed seed, so that a plan is the same whenever it is read."""
    states = [state_of(name, weight=float(weight)) for weight, name in enumerate("abcdef", 1)]
    scheduler = scheduler_of(*states, strategy="weighted")
    for _ in range(3):
        plan = scheduler.explain(call_of(*states, policy=scheduler._policy), "r", 0.0)
        assert [choice.target for choice in plan.choices] == list("fdceba")


class Watched:
    """A lock that counts how often it is taken, and fails if it is taken twice at a time."""

    def __init__(self) -> None:
        self.taken = 0
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self.taken += 1
        assert self._lock.acquire(blocking=False)

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def test_every_method_takes_the_lock() -> None:
    """Once, and gives it back."""
    a = state_of()
    scheduler = scheduler_of(a)
    call = call_of(a)
    attempt = started(scheduler, call)
    uses: list[Callable[[], object]] = [
        lambda: scheduler.add([]),
        lambda: scheduler.call_started(0.0),
        lambda: scheduler.next_step(call, 0.0),
        lambda: scheduler.leave_queue(Waiter(call, 0.0)),
        lambda: scheduler.settle(call, attempt, OK, 0.0),
        lambda: scheduler.has_free_alternative(call, 0.0),
        lambda: scheduler.record_stream(call, attempt, 0.0, 0.0),
        lambda: scheduler.record_stream_break(call, attempt, SERVER, "", 0.0),
        lambda: scheduler.record_call_end(call, 0.0),
        lambda: scheduler.take_pending(),
        lambda: scheduler.is_available(a, 0.0),
        lambda: scheduler.health(0.0),
        lambda: scheduler.explain(call, "r", 0.0),
    ]
    watched = Watched()
    scheduler._lock = watched  # type: ignore[assignment]  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]
    for place, use in enumerate(uses, 1):
        use()
        assert watched.taken == place


def test_a_call_that_gives_up() -> None:
    """The end of a call comes out of the scheduler as it is decided."""
    a = state_of()
    a.breaker.disabled = "gone"
    step = scheduler_of(a).next_step(call_of(a, allow_last_resort=False), 0.0)
    assert isinstance(step, GiveUp)
    assert step.skipped == {"a": "disabled: gone"}
