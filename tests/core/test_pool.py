"""The pool with scripted targets, in virtual time."""

import gc
import os
import random
import signal
import weakref
from typing import Any

import pytest
from hotspare import AllTargetsFailed, ConfigError, Kind, Outcome, Pool, PoolClosed, RequestError, RetryBudget, Target
from hotspare._health.breaker import State
from hotspare.events import CallEnded, Event, FailedOver, StateChanged
from hotspare.testing import ScriptedTarget, VirtualClock, answer, fail, hang, scripted_pool

from tests.support.calls import EACH_FACE, Ask, run_calls, run_concurrently

DOWN = Outcome(Kind.SERVER, "down", 500)
REFUSED = Outcome(Kind.TRANSPORT, "refused", before_connect=True)
LATE = Outcome(Kind.TIMEOUT, "no first token")


def targets_of(pool: Pool, asks: int) -> list[str]:
    """The target that each of so many calls is given, where none of them ends meanwhile."""
    steps: list[Any] = []
    for _ in range(asks):
        call = pool._call("q", {}, streaming=False)
        steps.append(pool._scheduler.next_step(call, pool._clock()))
    return [step.target.name for step in steps]


def test_a_failover_is_an_event_and_is_listed() -> None:
    """The next target answers, and reply and events say why."""
    events: list[Event] = []
    pool = scripted_pool(ScriptedTarget("a", REFUSED), "b")
    pool.subscribe(events.append)
    reply = pool.chat("hello")
    assert (reply.text, reply.target) == ("ok", "b")
    assert [(a.target, a.kind, a.reason) for a in reply.attempts] == [
        ("a", Kind.TRANSPORT, "first"),
        ("b", Kind.OK, "failover"),
    ]
    assert [type(e) for e in events if isinstance(e, FailedOver | CallEnded)] == [FailedOver, CallEnded]


def test_one_fast_500_is_retried_at_the_same_target() -> None:
    """A single failure must not move a caller to another model."""
    a, b = ScriptedTarget("a", [DOWN, "again"]), ScriptedTarget("b")
    reply = scripted_pool(a, b).chat("hello")
    assert (reply.target, a.calls, b.calls) == ("a", 2, 0)


def test_five_failures_open_a_breaker_and_a_probe_closes_it() -> None:
    """A target that is down is not called until its break is over; then its share of the traffic grows again."""
    clock = VirtualClock()
    dead = [True]
    a = ScriptedTarget("a", lambda request: REFUSED if dead[0] else "back")
    pool = scripted_pool(a, "b", clock=clock)
    for _ in range(6):
        assert pool.chat("q").target == "b"
        clock.advance(0.3)
    assert pool.health()["a"].state is State.OPEN
    clock.advance(1)
    pool.chat("q")  # a probe, that fails
    calls = a.calls
    pool.chat("q")
    assert a.calls == calls
    dead[0] = False
    clock.advance(6)
    reply = pool.chat("q")
    assert reply.target == "a" and reply.attempts[0].reason == "probe"
    assert pool.health()["a"].state is State.RECOVERING
    clock.advance(31)
    pool.chat("q")
    assert pool.health()["a"].state is State.CLOSED


def test_one_probe_at_a_time_and_an_expired_one_frees_its_place() -> None:
    """When a break ends exactly one of fifty calls gets the target; after 60 s without a result another one does."""
    clock = VirtualClock()
    pool = scripted_pool(ScriptedTarget("a", fail(REFUSED, delay=0.3)), "b", clock=clock)
    run_calls("sync", pool, clock, [Ask()] * 6)
    assert pool.health()["a"].state is State.OPEN
    clock.advance(6)
    assert targets_of(pool, 50).count("a") == 1
    clock.advance(59)
    assert targets_of(pool, 1) == ["b"]
    clock.advance(2)
    assert targets_of(pool, 50).count("a") == 1


@pytest.mark.parametrize("kind", [Kind.CONTENT_FILTER, Kind.INVALID])
def test_the_requests_own_fault_does_not_fail_over(kind: Kind) -> None:
    """A refusal or an invalid request is raised without a failover, unless the policy allows one."""
    a, b = ScriptedTarget("a", Outcome(kind, "no")), ScriptedTarget("b")
    with pytest.raises(AllTargetsFailed, match="no"):
        scripted_pool(a, b).chat("q")
    assert b.calls == 0
    assert scripted_pool(a, b, failover_on={kind}).chat("q").target == "b"


def test_a_prompt_that_is_too_long_goes_only_to_a_larger_window() -> None:
    """It is tried where the context window is larger or unknown."""
    small = ScriptedTarget("small", Outcome(Kind.CONTEXT_LENGTH, "long"), context_window=1000)
    same = ScriptedTarget("same", context_window=1000)
    big = ScriptedTarget("big", context_window=9000)
    assert scripted_pool(small, same, big).chat("q").target == "big"
    assert same.calls == 0


def test_a_rate_limited_target_is_avoided_for_its_retry_after() -> None:
    """A 429 is no failure: the target comes back after its Retry-After, without a probe."""
    clock = VirtualClock()
    a = ScriptedTarget("a", [fail(429, "slow down", retry_after=7), "ok"])
    pool = scripted_pool(a, "b", clock=clock)
    assert pool.chat("q").target == "b"
    clock.advance(6.9)
    assert pool.chat("q").target == "b"
    clock.advance(0.2)
    assert pool.chat("q").target == "a"
    assert pool.health()["a"].state is State.CLOSED


def test_a_rejected_key_opens_the_account() -> None:
    """Two models on one key: after one 401 neither is called for five minutes."""
    clock = VirtualClock()
    a = ScriptedTarget("a", Outcome(Kind.AUTH, "key", 401), id="p/m1", account="x")
    b = ScriptedTarget("b", id="p/m2", account="x")
    pool = scripted_pool(a, b, ScriptedTarget("c", id="q/m"), clock=clock)
    assert pool.chat("q").target == "c"
    assert pool.chat("q").target == "c" and b.calls == 0
    clock.advance(301)
    assert pool.chat("q").attempts[0].target == "a"


def test_a_model_that_does_not_exist_is_disabled() -> None:
    """It is not called again, and `explain` says why."""
    a = ScriptedTarget("a", Outcome(Kind.NOT_FOUND, "no such model", 404))
    pool = scripted_pool(a, "b")
    pool.chat("q")
    pool.chat("q")
    assert a.calls == 1
    assert "no such model" in str(pool.explain())


def test_an_explanation_takes_no_number_of_a_call() -> None:
    """Calls are numbered as they are made: an adapter asks `explain` for what a route can do before its first call."""
    events: list[Event] = []
    pool = scripted_pool("a")
    pool.subscribe(events.append)
    pool.explain()
    pool.chat("hello")
    assert [event.call for event in events if isinstance(event, CallEnded)] == ["call-1"]


def test_a_target_that_calls_good_requests_invalid_is_failing() -> None:
    """What it rejects is answered by another target: that counts as its failure."""
    clock = VirtualClock()
    pool = scripted_pool(ScriptedTarget("a", Outcome(Kind.INVALID, "bad", 400)), "b", clock=clock)
    for _ in range(2):
        with pytest.raises(AllTargetsFailed):
            pool.chat("q")
    for _ in range(7):
        assert pool.chat("q").target == "b"
        clock.advance(0.5)
    assert pool.health()["a"].state is State.OPEN


@EACH_FACE
def test_when_all_are_down_a_call_waits_for_the_recovery(face: str) -> None:
    """A short outage of everything becomes latency, not an error."""
    clock = VirtualClock(0)
    targets = [ScriptedTarget(name, lambda request: "alive" if clock() >= 8 else REFUSED) for name in "ab"]
    pool = scripted_pool(*targets, clock=clock, deadline=60)
    (seen,) = run_calls(face, pool, clock, [Ask(streaming=False)])
    assert seen.text == "alive" and 8 <= seen.ended <= 8 + 5
    looked = [one for one in seen.records if one.reason in ("early_probe", "after_wait")]
    assert len(seen.records) - len(looked) <= 6
    assert len(looked) <= 2 + 5 * 8, "what looks for a recovery does so five times a second at most"


def test_when_all_are_down_fail_says_everything() -> None:
    """With `fail` the error lists each attempt with the provider's message."""
    a, b = ScriptedTarget("a", REFUSED), ScriptedTarget("b", DOWN)
    with pytest.raises(AllTargetsFailed) as caught:
        scripted_pool(a, b, when_all_down="fail", retry_same_target="never").chat("q")
    assert {r.target for r in caught.value.attempts} == {"a", "b"}
    assert "refused" in str(caught.value) and "500" in str(caught.value)


def test_tenacity_stops_the_call() -> None:
    """tenacity's own stop objects are asked on the pool's clock."""
    from tenacity import stop_after_attempt

    scripted = [ScriptedTarget(name, REFUSED) for name in "abcd"]
    with pytest.raises(AllTargetsFailed, match="stop condition"):
        scripted_pool(*scripted, stop=stop_after_attempt(2), retry_same_target="never").chat("q")
    assert [s.calls for s in scripted] == [1, 1, 0, 0]


def test_routes_and_aliases() -> None:
    """A model's own targets come first, then the backups; an unknown name is an error before any call."""
    pool = scripted_pool(*(ScriptedTarget(n, id=f"p/{m}") for n, m in (("a", "x"), ("b", "y"), ("c", "z"))))
    assert [row.target for row in pool.explain(model="y").choices] == ["b", "a", "c"]
    assert pool.chat("q", model="c").target == "c"
    with pytest.raises(RequestError, match="known"):
        pool.chat("q", model="nothing")


def test_bad_input_is_named() -> None:
    """Unknown fields, two targets of one name, an unknown provider and a closed pool are clear errors."""
    with pytest.raises(ConfigError, match="retries"):
        Pool([ScriptedTarget("a").target], retries=3)  # type: ignore[call-arg]
    with pytest.raises(ConfigError, match="at least one"):
        Pool([])
    with pytest.raises(ConfigError, match="name"):
        Pool([ScriptedTarget("a").target, ScriptedTarget("a").target])
    with pytest.raises(ConfigError):
        Pool([Target("opnai/gpt-4.1")])
    pool = scripted_pool("a")
    with pytest.raises(RequestError, match="deadline"):
        pool.chat("q", deadline=-1)
    pool.close()
    with pytest.raises(PoolClosed):
        pool.chat("q")


def test_listeners_are_sent_the_states_of_domains() -> None:
    """A region opens when connections to its targets fail, and that is an event."""
    events: list[Event] = []
    clock = VirtualClock()
    a = ScriptedTarget("a", REFUSED, id="p/m1", region="us")
    b = ScriptedTarget("b", REFUSED, id="p/m2", region="us")
    pool = scripted_pool(a, b, ScriptedTarget("c", id="q/m"), clock=clock)
    pool.subscribe(events.append)
    for _ in range(5):
        assert pool.chat("q").target == "c"
        clock.advance(0.4)
    assert "p/us" in {e.subject for e in events if isinstance(e, StateChanged)}


@pytest.mark.anyio
async def test_a_cancelled_call_gives_everything_back() -> None:
    """Its permit is settled as cancelled: no failure, nothing in flight."""
    clock = VirtualClock()
    pool = scripted_pool(ScriptedTarget("a", hang()), clock=clock)
    with clock.move_on_after(5) as scope:
        await pool.achat("q")
    assert scope.cancelled_caught
    health = pool.health()
    assert health.in_flight == 0 and health["a"].failures == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_process_gets_a_lock_of_its_own() -> None:
    """A fork while another thread holds the pool's lock does not block the child."""
    pool = Pool([ScriptedTarget("a").target])
    with pool._scheduler._lock:
        child = os.fork()
        if not child:
            signal.alarm(60)  # a deadlock ends the child
            os._exit(pool.chat("q").text != "ok")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert pool.chat("q").text == "ok"


def test_an_exhausted_budget_ends_a_call_at_once() -> None:
    """A fourth target of one region would cost a retry that the budget does not have: no waiting, no further attempt."""
    clock = VirtualClock(0)
    shared = {"id": "p/m", "region": "r", "account": "x"}
    failing = [ScriptedTarget(name, fail(DOWN, delay=0.1), **shared) for name in "abc"]
    budget = RetryBudget(tokens_per_call=0, tokens_per_minute=0, max_tokens=0)
    pool = scripted_pool(*failing, ScriptedTarget("d", **shared), clock=clock, retry_budget=budget)
    with pytest.raises(AllTargetsFailed, match="retry budget is exhausted") as caught:
        pool.chat("q")
    assert [attempt.target for attempt in caught.value.attempts] == ["a", "b", "c"]
    assert clock() == pytest.approx(0.3)


@EACH_FACE
def test_waiting_calls_go_on_before_the_answer_is_read(face: str) -> None:
    """The first content of a stream wakes the calls that wait, however long the rest of it takes."""
    clock = VirtualClock(0)

    def script(request: object) -> Any:
        return answer(["one ", "two"], delay=1, gap=20) if clock() >= 10 else fail(REFUSED, delay=0.3)

    pool = scripted_pool(ScriptedTarget("a", script), clock=clock, deadline=100)
    first, second = run_concurrently(face, pool, clock, [Ask(), Ask()])
    assert first.text == second.text == "one two"
    begins = sorted((first.chunks[0][0], second.chunks[0][0]))
    assert begins[1] - begins[0] < 1.5, "the second call waited until the first one's stream was over"


def test_a_failed_probe_gives_its_own_reason() -> None:
    """What keeps a target away now is the failure of its probe, not what first opened the breaker."""
    clock = VirtualClock()
    a = ScriptedTarget("a", lambda request: fail(LATE if clock() > 1100 else DOWN, delay=0.5))
    pool = scripted_pool(a, clock=clock, when_all_down="fail")
    for _ in range(3):
        with pytest.raises(AllTargetsFailed):
            pool.chat("q")
    assert "consecutive failures" in pool.health()["a"].reason
    clock.advance(200)
    with pytest.raises(AllTargetsFailed):
        pool.chat("q")
    assert pool.health()["a"].reason == "timeout: no first token"


def test_a_slow_start_that_is_over_is_an_event() -> None:
    """From recovering to closed: a change of state like every other, also where nothing but time has passed."""
    clock = VirtualClock()
    events: list[StateChanged] = []
    pool = scripted_pool(ScriptedTarget("a", [fail(REFUSED, delay=0.3)] * 5 + ["back"]), "b", clock=clock)
    pool.subscribe(lambda event: events.append(event) if isinstance(event, StateChanged) else None, inline=True)
    run_calls("sync", pool, clock, [*[Ask()] * 5, Ask(pause=6), Ask(pause=31)])
    assert [(event.before, event.after) for event in events if event.subject == "a"] == [
        (State.CLOSED, State.OPEN),
        (State.OPEN, State.HALF_OPEN),
        (State.HALF_OPEN, State.RECOVERING),
        (State.RECOVERING, State.CLOSED),
    ]


def test_reading_the_health_changes_nothing() -> None:
    """`health` and `explain` show a slow start as over; the transition itself waits for the next call."""
    clock = VirtualClock()
    events: list[Event] = []
    pool = scripted_pool(ScriptedTarget("a", [fail(REFUSED, delay=0.3)] * 5 + ["back"]), "b", clock=clock)
    run_calls("sync", pool, clock, [*[Ask()] * 5, Ask(pause=6)])
    clock.advance(31)
    pool.subscribe(events.append)
    generator = pool._scheduler._shared.rng.getstate()
    for _ in range(3):
        assert pool.health()["a"].state is State.CLOSED
        assert pool.explain().choices[0].state == "closed"
    assert not events
    assert generator == pool._scheduler._shared.rng.getstate(), "a look at the plan drew a random number"
    pool.chat("q")
    assert any(isinstance(event, StateChanged) and event.after is State.CLOSED for event in events)


def test_jitter_comes_from_the_given_generator() -> None:
    """Two pools with the same seed do the same at the same times."""
    ends: list[float] = []
    for _ in range(2):
        clock = VirtualClock(0)
        targets = [ScriptedTarget(name, lambda request, clock=clock: REFUSED if clock() < 9 else "ok") for name in "ab"]  # type: ignore[misc]
        pool = scripted_pool(*targets, clock=clock, rng=random.Random(4))
        pool.chat("q")
        ends.append(clock())
    assert ends[0] == ends[1] >= 9


@pytest.mark.anyio
async def test_an_async_stream_holds_its_pool() -> None:
    """As in sync code."""
    pool = scripted_pool("a")
    alive, stream = weakref.ref(pool), pool.astream("hello")
    del pool
    gc.collect()
    assert (await anext(stream)).text and alive() is not None
    await stream.aclose()
    del stream
    gc.collect()
    assert alive() is None


def test_a_stream_holds_its_pool() -> None:
    """A pool that nothing else refers to is not collected, with its fleet and its checks, while a stream of it is read."""
    pool = scripted_pool("a")
    alive, stream = weakref.ref(pool), pool.stream("hello")
    del pool
    gc.collect()
    assert next(stream).text and alive() is not None
    stream.close()
    del stream
    gc.collect()
    assert alive() is None
