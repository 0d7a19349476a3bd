"""How the rules treat limits: a limited target is not called, calls wait their turn, and what was reserved is settled once."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest
from hotspare import ChatChunk, ChatReply, ConfigError, Kind, Limits, Outcome, Target, Usage
from hotspare._engine import limiting
from hotspare._engine.call import Call, OpenStream
from hotspare._engine.commands import Wait
from hotspare._engine.decide import GiveUp
from hotspare._health.breaker import State
from hotspare._routing.limits import RELEASED_AFTER
from hotspare.events import LimitLearnt, LimitReached, LimitReleased
from hotspare.messages import ChatRequest
from hotspare.outcome import AttemptReason, RateLimit

from tests.support.engine import OK, SERVER, Engine, state_of
from tests.support.fleet_facts import fleet_of

ONE = Limits(rpm=60, burst=1)
"""One request a second."""


def engine(*limits: Any, **policy: Any) -> Engine:
    """Targets a, b, c… with these limits; None: none."""
    states = [
        state_of(name, position=place, limits=one or frozenset())
        for place, (name, one) in enumerate(zip("abc", limits, strict=False))
    ]
    return Engine(states, **policy)


def waiting(step: object) -> Wait:
    assert isinstance(step, Wait) and step.seconds is not None and step.waiter is not None, step
    return step


def test_a_limited_target_is_not_called() -> None:
    """The call goes to the next target, also where that is the second attempt; an event reports the limit once, and its end once."""
    pool = engine(ONE, None)
    first, second = pool.call(), pool.call()
    assert pool.attempt(first, 0.0).state is pool["a"]
    assert pool.attempt(second, 0.1).state is pool["b"]
    assert pool.attempt(pool.call(), 0.2).state is pool["b"]
    (reached,) = [one for one in pool.events if isinstance(one, LimitReached)]
    assert (reached.target, round(reached.seconds, 3)) == ("a", 0.9) and "60 requests a minute" in reached.reason
    assert pool.attempt(pool.call(), 2.0).state is pool["a"]
    assert not pool.events
    assert pool.attempt(pool.call(), 9.0).state is pool["a"]
    assert LimitReleased("a") in pool.events


def test_calls_wait_their_turn_in_order() -> None:
    """Each knows its time; a call that comes later, also when the time has come, does not overtake those that wait."""
    pool = engine(ONE)
    pool.attempt(pool.call(), 0.0)
    calls = [pool.call() for _ in range(3)]
    waits = [waiting(pool.step(call, 0.0)) for call in calls]
    assert waits[0].seconds == pytest.approx(1.0)
    assert [round(call.ticket.at, 3) for call in calls if call.ticket] == [1.0, 2.0, 3.0]
    times = [limiting.ready_at(call, pool["a"], 0.0) for call in (*calls, pool.call())]
    assert times == pytest.approx([1.0, 2.0, 3.0, 4.0]), "each by its place, a new call behind them"
    late = pool.call(started=1.0, deadline=101.0)
    waiting(pool.step(late, 1.0))
    assert late.ticket is not None and late.ticket.at == pytest.approx(4.0)
    assert pool.attempt(calls[0], 1.0).reason is AttemptReason.FIRST
    assert waits[1].waiter in pool.shared.queue.to_wake  # it is the next one
    assert waiting(pool.step(calls[1], 1.0)).seconds == pytest.approx(1.0)


def test_a_call_that_leaves_makes_room() -> None:
    """Cancelled while it waits: those behind it come earlier."""
    pool = engine(ONE)
    pool.attempt(pool.call(), 0.0)
    first, second = pool.call(), pool.call()
    pool.step(first, 0.0)
    waits = waiting(pool.step(second, 0.0))
    limiting.leave(first, pool.shared.queue)
    assert waits.waiter in pool.shared.queue.to_wake
    assert waiting(pool.step(second, 0.1)).seconds == pytest.approx(0.9)
    limits = pool["a"].limits
    assert limits is not None and list(limits.tickets) == [second.ticket]
    limiting.leave(second, pool.shared.queue)
    assert not limits.tickets and pool.attempt(pool.call(), 1.0)


def test_a_call_that_cannot_be_in_time_fails_at_once() -> None:
    """Its turn would come after its deadline: it fails now, and says when; no attempt of last resort is made."""
    pool = engine(ONE)
    pool.attempt(pool.call(), 0.0)
    for _ in range(8):
        pool.step(pool.call(), 0.0)
    step = pool.step(pool.call(deadline=8.0), 0.0)
    assert isinstance(step, GiveUp) and step.is_limited and step.retry_after == pytest.approx(9.0)
    assert "its limit is reached" in step.skipped["a"]
    assert isinstance(pool.step(pool.call(deadline=20.0), 0.0), Wait)


def test_nothing_waits_where_the_policy_says_fail() -> None:
    """`when_all_down="fail"` holds for limits too."""
    pool = engine(ONE, when_all_down="fail")
    pool.attempt(pool.call(), 0.0)
    step = pool.step(pool.call(), 0.0)
    assert isinstance(step, GiveUp) and step.is_limited and step.retry_after == pytest.approx(1.0)


def test_tokens_are_reserved_and_settled() -> None:
    """The prompt's estimate and `max_tokens` are taken; what the answer did not use is given back at its end."""
    pool = engine(Limits(tpm=6000, burst=60), None)
    limits = pool["a"].limits
    assert limits is not None
    request = ChatRequest(messages=[{"role": "user", "content": "x" * 4000}], max_tokens=3000)
    call = pool.call(request=request)
    attempt = pool.attempt(call, 0.0)
    assert limits.left(0.0) == {"6000 tokens a minute": pytest.approx(6000 - 1004 - 3000)}
    assert pool.attempt(pool.call(request=request), 0.0).state is pool["b"]
    attempt.result, attempt.unary = ChatReply(text="x", usage=Usage(1000, 200)), True
    pool.settle(call, attempt, OK, 0.0)
    assert limits.left(0.0) == {"6000 tokens a minute": pytest.approx(4800)}
    assert pool.attempt(pool.call(request=request), 0.0).state is pool["a"]


@pytest.mark.parametrize(
    ("outcome", "left"),
    [
        (Outcome(Kind.TRANSPORT, "refused", before_connect=True), (10, 600)),
        (Outcome(Kind.INVALID, "no"), (9, 600)),
        (SERVER, (9, 100 - 4)),
        (Outcome(Kind.CANCELLED), (9, 100 - 4)),
    ],
)
def test_what_a_failed_attempt_used(outcome: Outcome, left: tuple[float, float]) -> None:
    """Nothing without a connection, no tokens where it was rejected, all that was reserved where it may have been worked on."""
    pool = engine(Limits(rpm=10, tpm=600, burst=60))
    limits = pool["a"].limits
    call = pool.call(request=ChatRequest(messages=[{"role": "user", "content": ""}], max_tokens=500))
    attempt = pool.attempt(call, 0.0)
    pool.settle(call, attempt, outcome, 0.0)
    assert limits is not None and list(limits.left(0.0).values()) == [pytest.approx(one) for one in left]


def stream_of(pool: Engine, call: Call) -> Any:
    """A stream that has begun."""
    attempt = pool.attempt(call, 0.0)
    attempt.result = OpenStream(ChatChunk(text="a"), None)
    pool.settle(call, attempt, OK, 0.0)
    return attempt


def test_a_stream_holds_its_slot_to_its_end() -> None:
    """One concurrent attempt: the next call continues when the stream has ended, and is woken then."""
    pool = engine(Limits(concurrency=1))
    attempt = stream_of(pool, pool.call())
    second = pool.call()
    wait = waiting(pool.step(second, 0.0))
    limiting.settle(attempt, OK, Usage(1, 1), pool.shared, 1.0)
    assert wait.waiter in pool.shared.queue.to_wake
    assert pool.attempt(second, 1.0).state is pool["a"]
    limiting.settle(attempt, OK, None, pool.shared, 1.0)  # a second time changes nothing
    assert isinstance(pool.step(pool.call(), 1.0), Wait)


def test_limits_of_an_account_and_of_a_model_are_shared() -> None:
    """Two targets on one account count together, those of another model on it only for the account."""
    both = [Limits(rpm=60, burst=1, per="account"), Limits(concurrency=1, per="model")]
    states = [
        state_of(name, id=f"p/{model}", account="x", limits=both)
        for name, model in (("a", "m"), ("b", "m"), ("c", "n"))
    ]
    pool = Engine(states)
    pool.attempt(pool.call(), 0.0)
    assert isinstance(pool.step(pool.call(), 0.0), Wait)  # the account
    assert pool.attempt(pool.call(), 1.0).state is pool["c"]  # the model


def test_contradicting_limits_of_one_account() -> None:
    """An error that names the target and both limits."""
    states = [state_of(name, id="p/m", account="x", limits=Limits(rpm=rpm, per="account")) for name, rpm in
              (("a", 60), ("b", 30))]  # fmt: skip
    with pytest.raises(ConfigError, match=r"target 'b': limits: .*rpm=30.* differs .*rpm=60"):
        Engine(states)
    with pytest.raises(ConfigError, match=r"limits\.rpm: 0\.0 must be above 0"):
        Limits(rpm=0)
    with pytest.raises(ConfigError, match=r"target\.limits.*rpmm: unknown field"):
        Target("openai/m", limits={"rpmm": 3})  # type: ignore[arg-type] - of untyped code


def test_limits_are_learnt_from_answers() -> None:
    """A 200 that says that one request remains holds the next calls back, and the size of the limit is an event."""
    pool = engine(None, None)
    call = pool.call()
    attempt = pool.attempt(call, 0.0)
    attempt.unary = True
    attempt.result = ChatReply(text="x", limits=(RateLimit("requests", 60, 0, 20.0),))
    pool.settle(call, attempt, OK, 0.5)
    learnt = [one for one in pool.events if isinstance(one, LimitLearnt)]
    assert learnt == [LimitLearnt("a", "60 requests, stated by the provider")]
    assert pool.attempt(pool.call(), 1.0).state is pool["b"]
    assert pool.attempt(pool.call(), 20.6).state is pool["a"]


def test_what_an_answer_could_not_know() -> None:
    """It states what remained when its request came in: only attempts that began later are subtracted from that."""
    pool = engine(None)
    for remaining, others in ((10, 0), (9, 1)):
        call = pool.call()
        attempt = pool.start(call)
        for _ in range(others):
            pool.start(pool.call())
        attempt.unary, attempt.result = True, ChatReply(text="x", limits=(RateLimit("requests", 60, remaining, 20.0),))
        pool.settle(call, attempt, OK, 0.0)
    limits = pool["a"].limits
    assert limits is not None and limits.left(0.0) == {"60 requests, stated by the provider": 8.0}


def test_nothing_is_learnt_where_the_policy_says_so() -> None:
    """`learn_limits=False`: what answers state is not kept."""
    pool = engine(None, learn_limits=False)
    call = pool.call()
    attempt = pool.attempt(call, 0.0)
    attempt.unary, attempt.result = True, ChatReply(text="x", limits=(RateLimit("requests", 60, 0, 20.0),))
    pool.settle(call, attempt, OK, 0.5)
    assert pool["a"].limits is None and pool.attempt(pool.call(), 1.0)


def test_a_child_process_inherits_no_waiting_call() -> None:
    """After a fork the slots and the places are free."""
    pool = engine(Limits(concurrency=1))
    stream_of(pool, pool.call())
    pool.step(pool.call(), 0.0)
    pool.tracker.forget_attempts()
    assert pool.attempt(pool.call(), 0.0).state is pool["a"]


def test_the_estimate_needs_no_tokenizer_and_no_shared_state() -> None:
    """A pool without limits estimates nothing."""
    pool = engine(None)
    call = pool.call()
    pool.attempt(call, 0.0)
    assert getattr(call, "_need") is None  # noqa: B009 - private, and the test is about it and isinstance(pool.shared, SharedState)


@pytest.mark.parametrize(
    ("limits", "active", "free"),
    [
        (None, 0, 10),
        (None, 4, 6),
        (Limits(rpm=60, burst=3), 0, 3.0),
        (Limits(concurrency=3), 0, 3.0),
        (Limits(concurrency=30), 8, 2),
    ],
)
def test_how_many_calls_an_answer_wakes(limits: Any, active: int, free: float) -> None:
    """As many as the window and the limits admit."""
    state = engine(limits)["a"]
    state.breaker.recover(5.0)
    state.breaker.active = active
    assert limiting.free(state, 5.0) == free


def test_an_answer_wakes_no_call_where_a_limit_is_reached() -> None:
    """Its target admits none."""
    pool = engine(ONE)
    call = pool.call()
    attempt = pool.attempt(call, 0.0)
    pool.shared.queue.enter(pool.call(), 50.0)
    pool.settle(call, attempt, OK, 0.0)
    assert limiting.free(pool["a"], 0.0) == 0.0 and pool.shared.queue.to_wake == []


def test_how_soon_another_target_is_available() -> None:
    """In how many seconds; a target whose calls all wait too long is opened first, and is not available before its break is over."""
    pool = engine(None, None)
    pool["b"].breaker.rate_limited_until = 15.0
    assert limiting.others_in(pool.call(), pool["a"], (), pool.shared, 10.0) == 5.0
    pool = engine(None, None)
    for start in (0.0, 0.1, 0.2):
        pool.start(pool.call(), "b", start)
    assert limiting.others_in(pool.call(), pool["a"], (), pool.shared, 10.3) > 0.0
    assert pool["b"].breaker.state is State.OPEN


def fetching(rpm: float = 60) -> tuple[Engine, Any]:
    """A pool whose only limit is the fleet's, and its store has not answered yet."""
    pool = engine(Limits(rpm=rpm, burst=1))
    fleet_of(pool, members=1)
    return pool, pool["a"].limits


def test_a_call_waits_for_the_answer_of_the_store() -> None:
    """At most 50 ms, and only if nothing else blocks it."""
    pool, limits = fetching()
    call = pool.call()
    assert limiting.is_limited(call, pool["a"], pool.shared, 5.0) and pool.tracker.has_news
    assert pool.events == [], "this is no limit that is reached"
    wait = waiting(limiting.await_grant(call, pool["a"], pool.shared, 5.01))
    assert wait.seconds == pytest.approx(0.04)
    assert wait.waiter is not None and (wait.waiter.call, wait.waiter.latest) == (call, pytest.approx(5.06))
    behind = waiting(limiting.await_grant(pool.call(), pool["a"], pool.shared, 5.01))
    assert behind.seconds == pytest.approx(0.05) and next(iter(limits.tickets)) is call.ticket
    pool["a"].breaker.rate_limited_until = 9.0
    assert limiting.await_grant(call, pool["a"], pool.shared, 5.02) is None
    pool["a"].breaker.rate_limited_until = 5.02
    pool["a"].breaker.recover(5.0)  # a slow start that admits it
    assert limiting.await_grant(call, pool["a"], pool.shared, 5.02) is not None
    assert limiting.await_grant(call, pool["a"], pool.shared, 5.06) is None, "the process decides alone"


@pytest.mark.parametrize(("units", "wait"), [(1.0, 2.0), (0.0, 3.0)])
def test_a_call_whose_turn_the_store_has_put_off_does_not_wait_for_it(units: float, wait: float) -> None:
    """The store has granted its unit for later, or none: its limit is reached, also if those behind the call have to ask the store."""
    pool, limits = fetching()
    first = pool.call()
    assert limiting.is_limited(first, pool["a"], pool.shared, 5.0)
    for call in (first, pool.call()):
        assert limiting.await_grant(call, pool["a"], pool.shared, 5.0) is not None
    ((rate,),) = (group.shared for group in limits.groups)
    assert rate.request(5.0) is not None
    rate.granted(units, wait, 5.01)
    assert limiting.await_grant(first, pool["a"], pool.shared, 5.02) is None
    assert limiting.is_limited(first, pool["a"], pool.shared, 5.02)
    assert [type(one) for one in pool.events] == [LimitReached]


def test_a_limit_of_one_process_waits_for_no_store() -> None:
    """Without limits, and with limits that are not shared."""
    for limits in (None, ONE):
        pool = engine(limits)
        pool.attempt(pool.call(), 0.0)
        assert limiting.await_grant(pool.call(), pool["a"], pool.shared, 0.0) is None


def test_a_place_in_another_queue_is_left() -> None:
    """A call that turns to another target waits there only."""
    pool = engine(ONE, ONE)
    for name in "ab":
        limits = pool[name].limits
        assert limits is not None
        limits.take(pool.call().need, 0.0)
    call, other = pool.call(), pool.call()
    waiter = pool.shared.queue.enter(call, 9.0)
    assert limiting.wait_turn(call, pool["a"], waiter, 0.0) == 1.0
    first = call.ticket
    assert limiting.wait_turn(call, pool["a"], waiter, 0.5) == 1.0 and call.ticket is first
    assert limiting.wait_turn(other, pool["a"], waiter, 0.5) == inf, "it is woken when it is first"
    assert limiting.wait_turn(call, pool["b"], waiter, 0.5) == 1.0 and call.ticket is not first
    assert pool["a"].limits is not None and list(pool["a"].limits.tickets) == [other.ticket]
    assert limiting.wait_turn(call, pool["b"], waiter, 1.0) == inf, "it is admitted"


def test_the_end_of_a_limit_is_reported_after_a_while() -> None:
    """Not with each call that is admitted, and then once."""
    pool = engine(ONE)
    limits = pool["a"].limits
    assert limits is not None
    limits.is_reached, limits.held_at = True, 100.0
    for now, count in ((100.0 + RELEASED_AFTER - 0.1, 0), (200.0 + RELEASED_AFTER, 1), (300.0, 0)):
        limits.is_reached = limits.is_reached if count == 0 else True
        pool.start(pool.call(), "a", now)
        assert pool.events == [LimitReleased("a")] * count
    assert not limits.is_reached
    limits.is_reached, limits.held_at = True, 400.0
    pool.start(pool.call(), "a", 400.0 + RELEASED_AFTER)
    assert pool.events == [LimitReleased("a")]


def test_a_stock_that_runs_low_is_news() -> None:
    """The next units are requested before they are needed."""
    pool, limits = fetching(6000)
    limiting.is_limited(pool.call(), pool["a"], pool.shared, 5.0)
    for group in limits.groups:
        for rate in group.shared:
            rate.request(5.0)
            rate.granted(2.0, 0.0, 5.0)
    pool.tracker.has_news = False
    for place in range(20):
        pool.start(pool.call(), "a", 5.0 + place / 100)
    assert pool.tracker.has_news
