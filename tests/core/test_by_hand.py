"""An operator's hand on a pool: disable, enable, drain and reset, and what `health` shows of each target."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hotspare import AllTargetsFailed, Kind, Limits, Pool, State
from hotspare.events import TargetReset
from hotspare.testing import ScriptedTarget, VirtualClock, answer, fail, scripted_pool


def test_drain_waits_for_what_is_under_way() -> None:
    """No new call goes there; it returns when the running answer has ended, and not before."""
    clock = VirtualClock(0)
    a, b = ScriptedTarget("a", answer("hello there", delay=5, gap=5), clock=clock), ScriptedTarget("b", clock=clock)
    pool = scripted_pool(a, b, clock=clock)
    drained: list[Any] = []

    def drain() -> None:
        clock.sleep(1)
        drained.append((pool.drain("a", timeout=2), clock()))
        assert pool.chat("q").target == "b"
        drained.append((pool.drain("a"), clock()))

    clock.run_in_threads(lambda: list(pool.stream("q")), drain)
    assert drained == [(False, 3.0), (True, 15.0)]
    assert pool.health()["a"].disabled == "draining"
    pool.enable("a")
    assert pool.chat("q").target == "a"


def test_drain_without_anything_under_way_returns_at_once() -> None:
    """Also for a stream that its caller left in the middle; no thread is left behind."""
    before = set(threading.enumerate())
    pool = scripted_pool("a")
    chunks = pool.stream("q")
    next(chunks)
    assert pool.health()["a"].in_flight == 1
    chunks.close()
    assert pool.health()["a"].in_flight == 0
    assert pool.drain("a", timeout=0)
    with pytest.raises(KeyError):
        pool.drain("z")
    assert set(threading.enumerate()) <= before


@pytest.mark.anyio
async def test_drain_from_an_event_loop() -> None:
    """`adrain` does not block the loop."""
    pool = scripted_pool("a")
    assert (await pool.achat("q")).target == "a"
    assert await pool.adrain("a")


def test_reset_forgets_the_record() -> None:
    """A target that is open for minutes is used again immediately, and its event is emitted; disabled stays disabled."""
    seen: list[Any] = []
    a = ScriptedTarget("a", [fail(Kind.AUTH, "no key"), "ok"])
    pool = scripted_pool(a, "b", listeners=[seen.append])
    assert pool.chat("q").target == "b"
    before = pool.health()["a"]
    assert before.state is State.OPEN and before.available_in and before.available_in > 100
    pool.reset("a")
    after = pool.health()["a"]
    assert (after.state, after.available_in, after.calls, after.last_error) == (State.CLOSED, 0, 0, "")
    assert pool.chat("q").target == "a"
    assert TargetReset("a") in seen
    pool.disable("a", "maintenance")
    pool.reset("a")
    assert pool.health()["a"].disabled == "maintenance"


def test_health_tells_what_an_operator_asks() -> None:
    """State and since when, the latest success and failure with its reason, what is under way, what is left of limits."""
    clock = VirtualClock(0)
    script = ["ok", *[fail(503, "overloaded")] * 20]
    a = ScriptedTarget("a", script, clock=clock, limits=Limits(rpm=60, burst=60))
    pool: Pool = scripted_pool(a, clock=clock, deadline=3, when_all_down="fail")
    fresh = pool.health()["a"]
    assert (fresh.since, fresh.last_success, fresh.last_failure, fresh.last_error) == (None, None, None, "")
    pool.chat("q")
    clock.advance(10)
    for _ in range(3):
        with pytest.raises(AllTargetsFailed):
            pool.chat("q")
        clock.advance(1)
    row = pool.health()["a"]
    assert row.state is State.OPEN and row.since is not None and row.since <= 3
    assert row.last_success is not None and row.last_success >= 13
    assert row.last_failure is not None and row.last_failure < row.last_success
    assert row.last_error == "server 503: overloaded"
    assert 0 < row.limits_left["60 requests a minute"] < 60
    assert pool.health().as_dict()["targets"][0]["target"] == "a"
