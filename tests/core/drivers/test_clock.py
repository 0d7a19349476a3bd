"""The real clock's timeout under asyncio and trio: it cancels its block and nothing else; a busy event loop causes no timeouts."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, TypeVarTuple

import anyio
import anyio.lowlevel
import pytest
import trio
import trio.testing
from hotspare._drivers.clock import RealClock

clock = RealClock(time.monotonic)
Args = TypeVarTuple("Args")


class JumpingLoop(asyncio.SelectorEventLoop):
    """A loop whose time can jump, as it does when something blocks it or the machine was suspended."""

    ahead = 0.0
    timers = 0

    def time(self) -> float:
        return super().time() + self.ahead

    def call_at(
        self,
        when: float,
        callback: Callable[[*Args], object],
        *args: *Args,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        self.timers += 1
        return super().call_at(when, callback, *args, context=context)


def run(main: Callable[[JumpingLoop], Coroutine[Any, Any, Any]]) -> Any:
    """Run in a loop whose time can jump."""
    loop = JumpingLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(main(loop))


@pytest.mark.anyio
async def test_the_block_ends_when_the_time_is_over() -> None:
    """It reports the timeout, and the task continues; without a limit, or in time, it does nothing."""
    with clock.move_on_after(0) as scope:
        await anyio.sleep_forever()
    assert scope.cancelled_caught
    await anyio.lowlevel.checkpoint()
    for seconds in (None, 60):
        with clock.move_on_after(seconds) as scope:
            await anyio.lowlevel.checkpoint()
        assert not scope.cancelled_caught


@pytest.mark.anyio
async def test_errors_pass() -> None:
    """An error inside the block is not taken for the end of the time."""
    with pytest.raises(ValueError, match="mine"), clock.move_on_after(60):
        raise ValueError("mine")


@pytest.mark.anyio
async def test_a_cancellation_from_outside_is_not_swallowed() -> None:
    """Neither alone nor when the time is over at the same moment."""
    for seconds in (60, 0):
        reached: list[str] = []
        with anyio.CancelScope() as outer:
            outer.cancel()
            with clock.move_on_after(seconds):
                await anyio.sleep_forever()
            reached.append("behind the block")
            await anyio.lowlevel.checkpoint()
            reached.append("behind a checkpoint")
        assert outer.cancelled_caught
        assert "behind a checkpoint" not in reached


def test_nested_timeouts() -> None:
    """The outer one ends both blocks, the inner one only its own."""

    async def main(loop: JumpingLoop) -> tuple[bool, bool, bool]:
        with clock.move_on_after(0) as outer, clock.move_on_after(60) as inner:
            await asyncio.Event().wait()
        with clock.move_on_after(60) as second, clock.move_on_after(0):
            await asyncio.Event().wait()
        return outer.cancelled_caught, inner.cancelled_caught, second.cancelled_caught

    assert run(main) == (True, False, False)


def test_blocks_that_end_one_after_the_other() -> None:
    """One timer serves all blocks of a loop: it is set again for the next one, and for one that ends before it fires."""

    async def main(loop: JumpingLoop) -> list[list[int]]:
        async def block(seconds: int) -> None:
            with clock.move_on_after(seconds) as scope:
                await asyncio.Event().wait()
            assert scope.cancelled_caught

        running = {seconds: asyncio.create_task(block(seconds)) for seconds in (20, 30, 10)}
        await asyncio.sleep(0)
        left: list[list[int]] = []
        for seconds in (10, 20, 30):
            loop.ahead += 10.02
            await running[seconds]
            left.append([one for one, task in running.items() if not task.done()])
        return left

    assert run(main) == [[20, 30], [30], []]


def test_blocks_that_end_in_time_need_no_timers() -> None:
    """A hundred of them at once, and one after the other, set one timer."""

    async def main(loop: JumpingLoop) -> int:
        async def block(seconds: int) -> None:
            for _ in range(3):
                with clock.move_on_after(seconds):
                    await asyncio.sleep(0)

        async with asyncio.TaskGroup() as tasks:
            for seconds in range(60, 160):
                tasks.create_task(block(seconds))
        return loop.timers

    assert run(main) == 1


def test_a_late_timer_lets_what_has_come_come_first() -> None:
    """The loop was busy for an hour; what had arrived meanwhile is not too late. A second lateness is."""

    async def main(loop: JumpingLoop) -> tuple[bool, bool]:
        event = asyncio.Event()

        def busy() -> None:
            loop.ahead += 3600
            loop.call_soon(lambda: loop.call_soon(event.set))

        loop.call_soon(busy)
        with clock.move_on_after(10) as first:
            await event.wait()

        def busy_again() -> None:
            loop.ahead += 3600
            loop.call_soon(lambda: loop.call_soon(lambda: setattr(loop, "ahead", loop.ahead + 3600)))

        loop.call_soon(busy_again)
        with clock.move_on_after(10) as second:
            await asyncio.Event().wait()
        return first.cancelled_caught, second.cancelled_caught

    assert run(main) == (False, True)


def test_a_late_timer_under_trio() -> None:
    """The same: an hour of a busy loop is not the time of what has come meanwhile, and nothing waits for ever."""
    time_of_trio = trio.testing.MockClock(autojump_threshold=0)

    async def main() -> tuple[bool, bool]:
        came = trio.Event()

        async def busy() -> None:
            time_of_trio.jump(3600)
            for _ in range(3):
                await trio.lowlevel.checkpoint()
            came.set()

        async with trio.open_nursery() as tasks:
            with clock.move_on_after(10) as first:
                tasks.start_soon(busy)
                await came.wait()
            with clock.move_on_after(10) as second:
                tasks.start_soon(busy)
                await trio.sleep_forever()
        return first.cancelled_caught, second.cancelled_caught

    assert trio.run(main, clock=time_of_trio) == (False, True)


def test_threads_do_not_need_a_loop() -> None:
    """`wait` is an event's."""
    ready = threading.Event()
    assert not clock.wait(ready, 0)
    ready.set()
    assert clock.wait(ready, None)
