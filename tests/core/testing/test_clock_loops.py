"""The virtual clock in event loops: tasks, timeouts, several loops together."""

import asyncio
import threading
import time
from math import inf

import anyio
import anyio.lowlevel
import pytest
from hotspare.testing import VirtualClock
from hotspare.testing._loops import LoopPart


@pytest.mark.anyio
async def test_a_lone_task_s_sleeps_pass_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred hours, to the second, without one real wait."""
    turn, pauses = LoopPart._turn, list[float | None]()

    def recorded(part: LoopPart, waiting: bool) -> float | None:
        pauses.append(turn(part, waiting))
        return pauses[-1]

    monkeypatch.setattr(LoopPart, "_turn", recorded)
    clock = VirtualClock(0)
    for _ in range(100):
        await clock.asleep(3600)
    assert clock() == 360_000
    await clock.asleep(0)
    await clock.asleep(-1)
    assert clock() == 360_000
    assert pauses and not any(pauses)


@pytest.mark.anyio
async def test_move_on_after_ends_what_never_would() -> None:
    """Although nothing else uses the clock: the scope itself makes it jump."""
    clock = VirtualClock(0)
    with clock.move_on_after(120) as scope:
        await anyio.Event().wait()
    assert scope.cancelled_caught
    assert clock() == 120
    with clock.move_on_after(30) as scope:
        await clock.asleep(inf)
    assert scope.cancelled_caught
    assert clock() == 150


@pytest.mark.anyio
async def test_move_on_after_leaves_alone_what_ends_in_time() -> None:
    """A scope that was left does not move the clock, and an unbounded one never does."""
    clock = VirtualClock(0)
    with clock.move_on_after(120) as scope:
        await clock.asleep(119)
    assert not scope.cancelled_caught
    with clock.move_on_after(None) as scope:
        await clock.asleep(1000)
    assert not scope.cancelled_caught
    assert clock() == 1119
    await clock.asleep(1)
    assert clock() == 1120


@pytest.mark.anyio
async def test_a_bound_of_nothing_is_over_at_once() -> None:
    """As anyio's: the first checkpoint inside is cancelled."""
    clock, passed = VirtualClock(0), False
    with clock.move_on_after(0) as scope:
        await anyio.lowlevel.checkpoint()
        passed = True
    assert scope.cancelled_caught
    assert not passed
    assert clock() == 0


@pytest.mark.anyio
async def test_the_nearest_bound_ends_first() -> None:
    """Nested scopes: the inner and later one is never reached."""
    clock = VirtualClock(0)
    with clock.move_on_after(10) as outer, clock.move_on_after(20) as inner:
        await anyio.sleep_forever()
    assert outer.cancelled_caught
    assert not inner.cancelled_caught
    assert clock() == 10


@pytest.mark.anyio
async def test_tasks_wake_in_the_order_of_their_times() -> None:
    """Sleeps and scopes of several tasks, at their own moments; equal ones in the order in which they began."""
    clock, log = VirtualClock(0), list[tuple[str, float]]()

    async def task(name: str, pause: float, bound: float) -> None:
        with clock.move_on_after(bound) as scope:
            while True:
                await clock.asleep(pause)
                log.append((name, clock()))
        log.append((f"{name} cancelled" if scope.cancelled_caught else name, clock()))

    async with anyio.create_task_group() as group:
        group.start_soon(task, "a", 4, 9)
        group.start_soon(task, "b", 2, 5)
        group.start_soon(task, "c", 3, 3)
    assert sorted(log, key=lambda one: one[1]) == log
    assert log == [
        ("b", 2), ("c cancelled", 3), ("a", 4), ("b", 4), ("b cancelled", 5), ("a", 8), ("a cancelled", 9),
    ]  # fmt: skip


@pytest.mark.anyio
async def test_what_one_wakes_up_goes_on_before_time_does() -> None:
    """A task that is woken by another, and takes many turns of the loop, is not overtaken by the clock."""
    clock, ready, log = VirtualClock(0), anyio.Event(), list[float]()

    async def waiter() -> None:
        with clock.move_on_after(10) as scope:
            await ready.wait()
            for _ in range(100):
                await anyio.lowlevel.checkpoint()
            log.append(clock())
        assert not scope.cancelled_caught

    async with anyio.create_task_group() as group:
        group.start_soon(waiter)
        await clock.asleep(10 - 1e-9)
        ready.set()
    assert log == [10 - 1e-9]


@pytest.mark.anyio
async def test_threads_and_tasks_share_a_clock() -> None:
    """A worker thread's sleep and a task's end at their own moments."""
    clock, log = VirtualClock(0), list[tuple[str, float]]()

    def blocking() -> None:
        clock.sleep(5)
        log.append(("thread", clock()))

    async def task() -> None:
        for _ in range(2):
            await clock.asleep(4)
            log.append(("task", clock()))

    thread = threading.Thread(
        target=blocking
    )  # a thread of a pool may be older than the clock, which then does not see it
    thread.start()
    await task()
    thread.join()
    assert log == [("task", 4), ("thread", 5), ("task", 8)]


@pytest.mark.anyio
async def test_a_blocking_wait_inside_a_task_does_not_hang() -> None:
    """Sync code that is called in the loop's own thread passes what the loop itself waits for."""
    clock = VirtualClock(0)
    with clock.move_on_after(2) as scope:
        clock.sleep(5)
        await anyio.lowlevel.checkpoint()
        await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert clock() == 5


def test_two_loops_in_two_threads_share_a_clock() -> None:
    """Neither overtakes the other."""
    clock, log = VirtualClock(0), list[tuple[str, float]]()

    async def main(name: str, pause: float) -> None:
        for _ in range(3):
            await clock.asleep(pause)
            log.append((name, clock()))

    clock.run_in_threads(
        lambda: anyio.run(main, "asyncio", 2, backend="asyncio"), lambda: anyio.run(main, "trio", 3, backend="trio")
    )
    assert sorted(log) == [
        ("asyncio", 2), ("asyncio", 4), ("asyncio", 6), ("trio", 3), ("trio", 6), ("trio", 9),
    ]  # fmt: skip


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_loop_that_works_is_waited_for(backend: str) -> None:
    """Another thread's wait does not end while tasks run."""
    clock, ready = VirtualClock(0), threading.Event()

    async def work() -> None:
        with clock.move_on_after(1000):
            begun = time.monotonic()
            while time.monotonic() - begun < 0.2:
                await anyio.lowlevel.checkpoint()
            ready.set()

    clock.run_in_threads(lambda: anyio.run(work, backend=backend), lambda: clock.wait(ready, 10))
    assert clock() == 0


@pytest.mark.anyio
async def test_two_clocks_in_one_loop_do_not_wait_for_each_other() -> None:
    """Each has its own time."""
    fast, slow = VirtualClock(0), VirtualClock(0)

    async def tick(clock: VirtualClock, pause: float) -> None:
        for _ in range(10):
            await clock.asleep(pause)

    async with anyio.create_task_group() as group:
        group.start_soon(tick, fast, 1)
        group.start_soon(tick, slow, 100)
    assert (fast(), slow()) == (10, 1000)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_clock_outlives_its_loops(backend: str) -> None:
    """One loop after the other, also when one ends with a task still waiting."""
    clock = VirtualClock(0)

    async def leaves_a_waiter() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(clock.asleep, 1000)
            await clock.asleep(1)
            group.cancel_scope.cancel()

    async def sleeps() -> None:
        await clock.asleep(5)

    for _ in range(3):
        anyio.run(leaves_a_waiter, backend=backend)
        anyio.run(sleeps, backend=backend)
    clock.sleep(2)
    assert clock() == 3 * 6 + 2


def test_a_loop_that_was_closed_holds_nothing_up() -> None:
    """A loop that ends without ending its tasks, as careless code leaves it, is forgotten."""
    clock = VirtualClock(0)
    loop = asyncio.new_event_loop()
    task = loop.create_task(clock.asleep(10))
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    clock.sleep(20)
    assert clock() == 20
    task._log_destroy_pending = False  # type: ignore[attr-defined]


@pytest.mark.anyio
async def test_without_autojump_a_loop_waits_for_advance() -> None:
    """Sleeps and bounds end when the time has been moved past them, and not before."""
    clock, log, woken = VirtualClock(0, autojump=False), list[float](), anyio.Event()

    async def sleeper() -> None:
        with clock.move_on_after(60) as scope:
            await clock.asleep(5)
            log.append(clock())
            woken.set()
            await anyio.sleep_forever()
        assert scope.cancelled_caught
        log.append(clock())

    async with anyio.create_task_group() as group:
        group.start_soon(sleeper)
        group.start_soon(clock.asleep, 4)
        await anyio.wait_all_tasks_blocked()
        assert log == []
        clock.advance(8)
        await woken.wait()
        clock.advance(100)
    assert log == [8, 108]
