"""Background checks: the pool itself tries a target whose break is over, so that no caller's call has to."""

import gc
import os
import threading
import weakref
from contextlib import suppress
from typing import Any

import anyio.lowlevel
import pytest
from hotspare import AllTargetsFailed, Pool
from hotspare._health.breaker import State
from hotspare.drill.provider import Provider
from hotspare.events import CallEnded, CallStarted, Event, TargetChecked
from hotspare.testing import ScriptedTarget, VirtualClock, fail, hang, scripted_pool

from tests.support.eventually import aeventually, eventually
from tests.support.methods import run, target


def threads() -> list[str]:
    """The names of the threads that checks use."""
    return [one.name for one in threading.enumerate() if one.name.startswith("hotspare-check")]


def opened(first: ScriptedTarget, clock: VirtualClock, **options: Any) -> tuple[Pool, list[Event]]:
    """A pool whose target `a` has failed until its breaker is open; `b` answers."""
    seen: list[Event] = []
    pool = scripted_pool(first, "b", clock=clock, retry_same_target="never", listeners=[seen.append], **options)
    while pool.health()["a"].state is not State.OPEN:
        pool.chat("q")
        clock.advance(0.1)
    return pool, seen


def test_a_recovery_is_noticed_without_calls() -> None:
    """Nothing is called for a minute, and the target is back: after its checks failed twice, each in its turn. They are counted, and
    are no calls: callers' figures do not move."""
    clock = VirtualClock(0)
    a = ScriptedTarget("a", lambda request: fail(503) if clock() < 5 else "ok", check=True)
    pool, seen = opened(a, clock)
    calls, before = a.calls, len(seen)
    clock.sleep(60)
    checks = [event for event in seen if isinstance(event, TargetChecked)]
    assert [str(event.kind) for event in checks] == ["server"] * (len(checks) - 1) + ["ok"] and len(checks) > 1
    assert not [event for event in seen[before:] if isinstance(event, CallStarted | CallEnded)]
    assert pool.health()["a"].state is not State.OPEN
    assert pool.health()["a"].checks == len(checks) == a.calls - calls
    assert {one.max_tokens for one in a.requests[calls:]} == {16}
    assert pool.health()["a"].completion_p50 is None
    eventually(lambda: not threads(), threads)


def test_without_it_nothing_is_sent_and_no_thread_runs() -> None:
    """It is opt-in."""
    clock = VirtualClock(0)
    a = ScriptedTarget("a", [*[fail(503)] * 5, "ok"])
    pool, _ = opened(a, clock)
    calls = a.calls
    clock.sleep(60)
    assert a.calls == calls and not threads()
    assert pool.health()["a"].state is State.OPEN


def test_a_check_is_the_only_probe() -> None:
    """While a check is out, no call goes there; one that hangs ends after the time of a first token, and delays no other check."""
    clock = VirtualClock(0)
    a = ScriptedTarget("a", [*[fail(503)] * 5, hang()], check=True)
    c = ScriptedTarget("c", [fail(429, retry_after=3), "ok"], check=True, tier=1)
    seen: list[Event] = []
    pool = scripted_pool(
        a,
        c,
        ScriptedTarget("d", tier=1),
        clock=clock,
        retry_same_target="never",
        listeners=[seen.append],
        check_jitter=0,
    )
    while pool.health()["a"].state is not State.OPEN:
        pool.chat("q")
        clock.advance(0.1)
    clock.sleep(2.0)
    assert pool.health()["a"].state is State.HALF_OPEN
    assert pool.chat("q").target != "a" and a.calls == 6
    clock.sleep(15)
    ended = {event.target: event for event in seen if isinstance(event, TargetChecked)}
    assert (ended["a"].kind, round(ended["a"].seconds), ended["c"].kind) == ("timeout", 10, "ok")
    assert c.received[1].time is not None and c.received[1].time < 5
    pool.close()
    clock.sleep(15)  # a check may be out: it ends as the clock moves
    eventually(lambda: not threads(), threads)


@pytest.mark.parametrize("word", ["disabled", "closed", "dropped"])
def test_what_ends_them(word: str) -> None:
    """A disabled target is not checked, nor are those of a pool that is closed or that nothing refers to any more."""
    clock = VirtualClock(0)
    a = ScriptedTarget("a", [*[fail(503)] * 5, "ok"], check=True)
    pool, _ = opened(a, clock)
    calls, alive = a.calls, weakref.ref(pool)
    if word == "disabled":
        pool.disable("a")
    elif word == "closed":
        pool.close()
    else:
        del pool
        gc.collect()
        assert alive() is None
    clock.sleep(60)
    assert a.calls == calls
    eventually(lambda: not threads(), threads)


@pytest.mark.parametrize("method", ["chat", "asyncio achat", "trio achat"])
def test_over_real_http(method: str, provider: Provider) -> None:
    """Threads, asyncio and trio alike, also with a key that an async function gives: a target is back as soon as its break is over."""

    async def key() -> str:
        await anyio.lowlevel.checkpoint()
        return "test-1"

    provider.fault("a", "rate_limited", retry_after=0.3)
    pool = Pool([target(provider, "a", check=True, api_key=key), target(provider, "b")], check_jitter=0.0)

    async def use(pool: Pool, name: str) -> None:
        reply: Any = pool.chat("hi") if name == "chat" else await pool.achat("hi")
        assert reply.target == "b"
        provider.clear("a")
        await aeventually(lambda: pool.health()["a"].checks > 0)
        assert pool.health()["a"].last_success is not None

    run(method, pool, use)
    last = provider.recorded_requests("a")[-1]["body"]
    assert last["messages"] == [{"role": "user", "content": "Say ok."}]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_child_checks_for_itself(provider: Provider) -> None:
    """After a fork while a target is open, the child's own thread checks it, once something happens there."""
    provider.fault("a", "rate_limited", retry_after=0.5)
    with Pool([target(provider, "a", check=True), target(provider, "b")], check_jitter=0.0) as pool:
        assert pool.chat("hi").target == "b"
        child = os.fork()
        if not child:
            code = 1
            try:
                provider.clear("a")
                pool.chat("hi")
                eventually(lambda: pool.health()["a"].checks > 0)
                code = 0
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0


def test_no_check_leaves_the_allowed_regions() -> None:
    """Residency holds for checks too: a provider that is down opens a target in another region, which is never called."""
    clock = VirtualClock(0)
    inside = [ScriptedTarget(name, fail(503), id="p/m", region=name, check=True) for name in ("eu-1", "eu-2")]
    outside = ScriptedTarget("us", id="p/m", region="us", check=True)
    pool = scripted_pool(
        *inside, outside, clock=clock, regions={"eu-1", "eu-2"}, retry_same_target="never", when_all_down="fail"
    )
    for _ in range(12):
        with suppress(AllTargetsFailed):
            pool.chat("q")
        clock.advance(0.3)
    assert {one.domain: one.state for one in pool.health().domains}["p"] is not State.CLOSED
    clock.sleep(60)
    inside_checks = [pool.health()[one.name].checks for one in inside]
    assert sum(inside_checks) > 1 and not outside.calls  # one at a time for both: which one is chance
    pool.close()
