"""The pool with scripted targets on a clock moved by hand."""

import os
import random
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest
from hotspare import AllTargetsFailed, ConfigError, Kind, Outcome, Pool, PoolClosed, RequestError, RetryBudget, Target
from hotspare._health.breaker import State
from hotspare.events import CallEnded, Event, FailedOver, StateChanged
from hotspare.testing import ManualClock, ScriptedTarget

DOWN = Outcome(Kind.SERVER, "down", 500)
REFUSED = Outcome(Kind.TRANSPORT, "refused", before_connect=True)
SLOW = Outcome(Kind.TIMEOUT, "no first token")


def pool_of(*scripted: ScriptedTarget, clock: ManualClock | None = None, **policy: object) -> Pool:
    """A pool whose waits do not sleep: they move the clock."""
    clock = clock or ManualClock()
    pool = Pool([s.target for s in scripted], clock=clock, rng=random.Random(1), **policy)  # type: ignore[arg-type]
    pool._rest = lambda command: clock.advance(command.seconds)  # type: ignore[method-assign]

    async def arest(command: object) -> None:
        clock.advance(command.seconds)  # type: ignore[attr-defined]

    pool._arest = arest  # type: ignore[method-assign]
    return pool


def test_failover_is_told_and_listed() -> None:
    """The next target answers, and reply and events say why."""
    told: list[Event] = []
    pool = pool_of(ScriptedTarget("a", [REFUSED]), ScriptedTarget("b"))
    pool.subscribe(told.append)
    reply = pool.chat("hello")
    assert (reply.text, reply.target) == ("ok", "b")
    assert [(a.target, a.kind, a.reason) for a in reply.attempts] == [
        ("a", Kind.TRANSPORT, "first"),
        ("b", Kind.OK, "failover"),
    ]
    assert [type(e) for e in told if isinstance(e, FailedOver | CallEnded)] == [FailedOver, CallEnded]


def test_one_fast_500_is_tried_again_at_the_same_target() -> None:
    """A single accident must not move a caller to another model."""
    a = ScriptedTarget("a", [DOWN, "again"])
    b = ScriptedTarget("b")
    reply = pool_of(a, b).chat("hello")
    assert (reply.target, a.calls, b.calls) == ("a", 2, 0)


def test_five_strikes_open_a_target_and_a_probe_closes_it() -> None:
    """After its evidence a dead primary is asked no more until its rest ends; then it ramps back."""
    clock = ManualClock()
    dead = [True]
    a = ScriptedTarget("a", lambda request: REFUSED if dead[0] else "back")
    b = ScriptedTarget("b")
    pool = pool_of(a, b, clock=clock)
    for _ in range(6):
        assert pool.chat("q").target == "b"
        clock.advance(0.3)
    assert pool.health()["a"].state is State.OPEN
    asked = a.calls
    pool.chat("q")
    assert a.calls == asked
    dead[0] = False
    clock.advance(6)
    reply = pool.chat("q")
    assert reply.target == "a" and reply.attempts[0].reason == "probe"
    assert pool.health()["a"].state is State.RECOVERING
    clock.advance(31)
    pool.chat("q")
    assert pool.health()["a"].state is State.CLOSED


def test_an_expired_probe_gives_its_place_back() -> None:
    """A probe that never came back frees the lease after 60 s."""
    clock = ManualClock()
    pool = pool_of(ScriptedTarget("a"), ScriptedTarget("b"), clock=clock)
    member = pool._scheduler.members[0]
    member.breaker.open(clock(), random.Random(0))
    clock.advance(6)
    first = pool._scheduler.next_step(pool._call("q", {}, streaming=False), clock())
    assert first.target_state is member and first.permit.probe  # type: ignore[union-attr]
    second = pool._scheduler.next_step(pool._call("q", {}, streaming=False), clock())
    assert second.target_state is not member  # type: ignore[union-attr]
    clock.advance(61)
    third = pool._scheduler.next_step(pool._call("q", {}, streaming=False), clock())
    assert third.target_state is member  # type: ignore[union-attr]


def test_fifty_concurrent_callers_send_one_probe() -> None:
    """At the moment a rest ends exactly one of fifty calls reaches the dead primary."""
    clock = ManualClock()
    pool = pool_of(ScriptedTarget("a"), ScriptedTarget("b"), clock=clock)
    member = pool._scheduler.members[0]
    member.breaker.open(clock(), random.Random(0))
    clock.advance(6)
    chosen = [pool._scheduler.next_step(pool._call("q", {}, streaming=False), clock()) for _ in range(50)]
    assert sum(step.target_state is member for step in chosen) == 1  # type: ignore[union-attr]


@pytest.mark.parametrize("kind", [Kind.CONTENT_FILTER, Kind.INVALID])
def test_the_requests_own_fault_is_not_asked_elsewhere(kind: Kind) -> None:
    """A refusal or a bad request is raised at once, unless the policy says otherwise."""
    a, b = ScriptedTarget("a", [Outcome(kind, "no")]), ScriptedTarget("b")
    with pytest.raises(AllTargetsFailed, match="no"):
        pool_of(a, b).chat("q")
    assert b.calls == 0
    assert pool_of(a, b, failover_on={kind}).chat("q").target == "b"


def test_too_long_goes_only_to_a_larger_window() -> None:
    """A prompt over one window is tried where the window is larger or unknown."""
    small = ScriptedTarget("small", [Outcome(Kind.CONTEXT_LENGTH, "long")], context_window=1000)
    same = ScriptedTarget("same", context_window=1000)
    big = ScriptedTarget("big", context_window=9000)
    assert pool_of(small, same, big).chat("q").target == "big"
    assert same.calls == 0


def test_a_throttled_target_rests_as_long_as_it_said() -> None:
    """A 429 is no sickness: the target is left alone for its Retry-After, and comes back without a probe."""
    clock = ManualClock()
    a = ScriptedTarget("a", [Outcome(Kind.RATE_LIMITED, "slow", 429, retry_after=7), "ok"])
    pool = pool_of(a, ScriptedTarget("b"), clock=clock)
    assert pool.chat("q").target == "b"
    clock.advance(6.9)
    assert pool.chat("q").target == "b"
    clock.advance(0.2)
    assert pool.chat("q").target == "a"
    assert pool.health()["a"].state is State.CLOSED


def test_a_refused_key_rests_the_account() -> None:
    """Two models on one key: one AUTH keeps both from being asked for five minutes."""
    clock = ManualClock()
    a = ScriptedTarget("a", [Outcome(Kind.AUTH, "key", 401)], id="p/m1", account="x")
    b = ScriptedTarget("b", id="p/m2", account="x")
    c = ScriptedTarget("c", id="q/m")
    pool = pool_of(a, b, c, clock=clock)
    assert pool.chat("q").target == "c"
    assert pool.chat("q").target == "c" and b.calls == 0
    clock.advance(301)
    assert pool.chat("q").attempts[0].target == "a"


def test_a_gone_model_is_disabled() -> None:
    """A model that does not exist is not asked again."""
    a = ScriptedTarget("a", [Outcome(Kind.NOT_FOUND, "no such model", 404)])
    pool = pool_of(a, ScriptedTarget("b"))
    pool.chat("q")
    pool.chat("q")
    assert a.calls == 1
    assert "no such model" in str(pool.explain())


def test_one_500_among_invalid_requests_is_an_outage_of_the_target() -> None:
    """A target that calls everything invalid which others take is counted as failing."""
    clock = ManualClock()
    a = ScriptedTarget("a", [Outcome(Kind.INVALID, "bad", 400)])
    pool = pool_of(a, ScriptedTarget("b"), clock=clock)
    for _ in range(2):
        with pytest.raises(AllTargetsFailed):
            pool.chat("q")
    for _ in range(7):
        assert pool.chat("q").target == "b"
        clock.advance(0.5)
    assert pool.health()["a"].state is State.OPEN


def test_all_down_waits_for_the_recovery() -> None:
    """A short outage of everything becomes latency, not an error."""
    clock = ManualClock()
    back = clock() + 8
    a = ScriptedTarget("a", lambda request: "alive" if clock() >= back else REFUSED)
    b = ScriptedTarget("b", lambda request: "alive" if clock() >= back else REFUSED)
    pool = pool_of(a, b, clock=clock, deadline=60)
    reply = pool.chat("q")
    assert reply.text == "alive" and clock() >= back
    assert len(reply.attempts) <= 6


def test_all_down_and_fail_says_everything() -> None:
    """With `fail` the error lists each attempt with the provider's words."""
    a, b = ScriptedTarget("a", [REFUSED]), ScriptedTarget("b", [DOWN])
    with pytest.raises(AllTargetsFailed) as caught:
        pool_of(a, b, when_all_down="fail", retry_same_target="never").chat("q")
    assert {r.target for r in caught.value.attempts} == {"a", "b"}
    assert "refused" in str(caught.value) and "500" in str(caught.value)


def test_tenacity_stops_the_call() -> None:
    """tenacity's own stop objects are asked on the pool's clock."""
    from tenacity import stop_after_attempt

    scripted = [ScriptedTarget(name, [REFUSED]) for name in "abcd"]
    with pytest.raises(AllTargetsFailed, match="stop condition"):
        pool_of(*scripted, stop=stop_after_attempt(2), retry_same_target="never").chat("q")
    assert [s.calls for s in scripted] == [1, 1, 0, 0]


def test_routes_and_aliases() -> None:
    """A model's own targets come first, then the backups; an unknown name is an error before any call."""
    a, b, c = (ScriptedTarget(n, id=f"p/{m}") for n, m in (("a", "x"), ("b", "y"), ("c", "z")))
    pool = pool_of(a, b, c)
    assert [row.target for row in pool.explain(model="y").choices] == ["b", "a", "c"]
    assert pool.chat("q", model="c").target == "c"
    with pytest.raises(RequestError, match="known"):
        pool.chat("q", model="nothing")


def test_bad_input_is_named() -> None:
    """Unknown fields, a used-up pool and a closed one are clear errors."""
    with pytest.raises(ConfigError, match="retries"):
        Pool([ScriptedTarget("a").target], retries=3)
    with pytest.raises(ConfigError, match="at least one"):
        Pool([])
    with pytest.raises(ConfigError, match="name"):
        Pool([ScriptedTarget("a").target, ScriptedTarget("a").target])
    with pytest.raises(ConfigError):
        Pool([Target("opnai/gpt-4.1")])
    pool = pool_of(ScriptedTarget("a"))
    with pytest.raises(RequestError, match="deadline"):
        pool.chat("q", deadline=-1)
    pool.close()
    with pytest.raises(PoolClosed):
        pool.chat("q")


def test_listeners_hear_states() -> None:
    """A region rests when its targets cannot be connected to, and says so."""
    told: list[Event] = []
    clock = ManualClock()
    a = ScriptedTarget("a", [REFUSED], id="p/m1", region="us")
    b = ScriptedTarget("b", [REFUSED], id="p/m2", region="us")
    pool = pool_of(a, b, ScriptedTarget("c", id="q/m"), clock=clock)
    pool.subscribe(told.append)
    for _ in range(5):
        assert pool.chat("q").target == "c"
        clock.advance(0.4)
    assert "p/us" in {e.subject for e in told if isinstance(e, StateChanged)}


@pytest.mark.anyio
async def test_a_caller_who_leaves_gives_everything_back() -> None:
    """A cancelled call settles its permit as abandoned: no failure, no lost place."""
    import anyio

    class Slow(ScriptedTarget):
        async def asend(self, request: object, *, timeout: float) -> object:  # type: ignore[override]
            await anyio.sleep_forever()

    pool = Pool([Slow("a").target])
    with anyio.move_on_after(0.01):
        await pool.achat("q")
    health = pool.health()
    assert health.attempts == 0 and health["a"].failures == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_process_is_not_locked_out() -> None:
    """A fork while another thread held the pool's lock leaves the child a lock of its own."""
    pool = Pool([ScriptedTarget("a").target])
    with pool._scheduler._lock:
        child = os.fork()
        if not child:
            signal.alarm(10)  # a deadlock ends the child
            os._exit(pool.chat("q").text != "ok")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert pool.chat("q").text == "ok"


def test_many_threads_share_one_picture() -> None:
    """Every call of sixteen threads is counted, every permit comes back, whatever fails meanwhile."""
    rng = random.Random(5)
    scripted = [ScriptedTarget(name, lambda request: rng.choices(["ok", SLOW], [19, 1])[0]) for name in "abc"]
    told: list[CallEnded] = []
    pool = Pool(
        [s.target for s in scripted], listeners=[lambda e: told.append(e) if isinstance(e, CallEnded) else None]
    )

    def ask(number: int) -> str:
        try:
            return (
                pool.chat("q", deadline=1.5).text
                if number % 2
                else "".join(c.text for c in pool.stream("q", deadline=1.5))
            )
        except AllTargetsFailed as error:
            return str(error)

    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(ask, range(800)))
    assert answers.count("ok") > 700
    assert len({event.call for event in told}) == len(told) == 800
    assert sum(len(event.attempts) for event in told) > 800
    health = pool.health()
    assert (health.attempts, health.waiting) == (0, 0)


def test_an_exhausted_budget_ends_a_call_at_once() -> None:
    """A fourth target of one region would cost a retry that the budget does not have: no waiting, no hammering."""
    clock = ManualClock()
    sick = [ScriptedTarget(name, [DOWN], id="p/m", region="r", account="x", clock=clock, seconds=0.1) for name in "abc"]
    well = ScriptedTarget("d", id="p/m", region="r", account="x", clock=clock)
    pool = pool_of(
        *sick, well, clock=clock, retry_budget=RetryBudget(tokens_per_call=0, tokens_per_minute=0, max_tokens=0)
    )
    with pytest.raises(AllTargetsFailed, match="retry budget is exhausted") as caught:
        pool.chat("q")
    assert [attempt.target for attempt in caught.value.attempts] == ["a", "b", "c"]
    assert clock() == pytest.approx(1000.3)


def test_who_waits_is_told_before_the_answer_is_read() -> None:
    """A stream that has just begun calls the waiting back at once, however long it takes to be read."""
    pool = pool_of(ScriptedTarget("a", ["one two three"]))
    rung: list[str] = []
    ticket = pool._scheduler.waiting.enter(pool._call("w", {}, streaming=True), 2000.0)
    ticket.wake = lambda: rung.append("woken")
    chunks = pool.stream("q")
    assert next(chunks).text == "one"
    assert rung == ["woken"]
    chunks.close()


def test_a_failed_probe_tells_its_own_reason() -> None:
    """What keeps a target away now is what its probe met, not what once opened it."""
    clock = ManualClock()
    sick = ScriptedTarget("a", lambda request: SLOW if clock() > 1100 else DOWN, clock=clock, seconds=0.5)
    pool = pool_of(sick, clock=clock, when_all_down="fail")
    for _ in range(3):
        with pytest.raises(AllTargetsFailed):
            pool.chat("q")
    assert "failures in a row" in pool.health()["a"].reason
    clock.advance(200)
    with pytest.raises(AllTargetsFailed):
        pool.chat("q")
    assert pool.health()["a"].reason == "timeout: no first token"
