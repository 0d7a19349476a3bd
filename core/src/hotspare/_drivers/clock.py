"""The clock that the drivers wait on. Tests replace it by a virtual clock (`hotspare.testing`)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from math import inf
from types import TracebackType
from typing import Any, Protocol, Self, runtime_checkable
from weakref import ref

import anyio

from hotspare._http.loops import running_loop

LATE = 0.1
"""A timer that fires later than this many seconds was delayed by a busy event loop or a suspended machine."""

MAX_GRACE = 5.0
"""Upper bound of the seconds for which such a timer is extended: a machine may have been suspended for a night."""

PAUSE = 0.005
"""Shortest time in seconds between two checks of all blocks, so that thousands of them that end one by one are not all checked each time."""


class Timeout(Protocol):
    """The result of `move_on_after`: tells whether its block timed out."""

    @property
    def cancelled_caught(self) -> bool:
        """Whether the block was cancelled because it timed out."""
        ...


@runtime_checkable
class Clock(Protocol):
    """Monotonic seconds, and the ways to wait for them to pass."""

    def __call__(self) -> float:
        """Now, in seconds."""
        ...

    def wait(self, ready: threading.Event, seconds: float | None) -> bool:
        """In sync code: wait until `ready` is set or the time is over; returns whether it is set."""
        ...

    def move_on_after(self, seconds: float | None) -> AbstractContextManager[Timeout]:
        """In async code: cancel the block when the time is over, as `anyio.move_on_after` does."""
        ...


class RealClock:
    """Real time: a function of the time, and real waiting."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now

    def __call__(self) -> float:
        return self._now()

    def wait(self, ready: threading.Event, seconds: float | None) -> bool:
        """`threading.Event.wait`."""
        return ready.wait(seconds)

    def move_on_after(self, seconds: float | None) -> AbstractContextManager[Timeout]:
        """Like `anyio.move_on_after`, but a timer that fires late is extended once."""
        if seconds is None:
            return anyio.move_on_after(None)
        loop = running_loop()
        return _AsyncioTimeout(loop, seconds) if hasattr(loop, "call_at") else _TrioTimeout(seconds)


class Waits:
    """The successive waits of one call in async code: in real time under asyncio, one object serves them all."""

    __slots__ = ("_clock", "_timeout")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._timeout: _AsyncioTimeout | None = None

    def within(self, seconds: float | None) -> AbstractContextManager[Timeout]:
        """Cancel the block when the time is over, as `anyio.move_on_after` does. Only one block may be open."""
        timeout = self._timeout
        if timeout is None:
            loop = running_loop()
            if not isinstance(self._clock, RealClock) or not hasattr(loop, "call_at"):
                return self._clock.move_on_after(seconds)
            timeout = self._timeout = _AsyncioTimeout(loop)
        timeout.seconds = seconds
        return timeout


class _LoopTimer:
    """The one timer of an event loop for all open blocks. It is set again only for a block that ends before it fires, so that nearly
    all blocks open and close without a timer of the loop, each of which would take 8 µs."""

    __slots__ = ("__weakref__", "_handle", "at", "blocks", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.blocks: dict[_AsyncioTimeout, None] = {}
        self.at = inf
        self._handle: asyncio.TimerHandle | None = None

    def set(self, when: float) -> None:
        """Fire at `when`, on the loop's clock."""
        if self._handle is not None:
            self._handle.cancel()
        self._handle, self.at = self.loop.call_at(when, self._fire), when

    def _fire(self) -> None:
        self._handle, self.at, now = None, inf, self.loop.time()
        for block in tuple(self.blocks):
            if block.until <= now:
                block.expire(now)
        following = min((block.until for block in self.blocks), default=inf)
        if following < inf:
            self.set(max(following, now + PAUSE))


class _ThreadLocal(threading.local):
    timer: Callable[[], _LoopTimer | None] | None = None
    """A weak reference to the timer of the loop that ran last in this thread."""


_LATEST = _ThreadLocal()


def _timer_of(loop: Any) -> _LoopTimer:
    timer = None if _LATEST.timer is None else _LATEST.timer()
    if timer is None or timer.loop is not loop:
        timer = _LoopTimer(loop)
        _LATEST.timer = ref(timer)
    return timer


class _AsyncioTimeout:
    """Cancels its block when the time is over, as `asyncio.timeout` does, and says so instead of raising. It may serve successive blocks.

    A time that is noticed late is extended once, by the time it was late (5 s at most), so that data that has already
    arrived is read first: time that this process spent on something else does not count as the target's.
    """

    __slots__ = ("_cancelling", "_is_excused", "_is_over", "_task", "_timer", "cancelled_caught", "seconds", "until")

    def __init__(self, loop: Any, seconds: float | None = None) -> None:
        self._timer = _timer_of(loop)
        self.seconds = seconds
        self.until = inf
        self.cancelled_caught = False

    def __enter__(self) -> Self:
        timer = self._timer
        task = asyncio.current_task(timer.loop)
        assert task is not None, "awaited outside of a task"
        self._task, self._cancelling = task, task.cancelling()
        self._is_excused = self._is_over = False
        if self.seconds is not None:
            self.until = until = timer.loop.time() + self.seconds
            timer.blocks[self] = None
            if until < timer.at:
                timer.set(until)
        return self

    def expire(self, now: float) -> None:
        """The time is over."""
        late = now - self.until
        if late > LATE and not self._is_excused:
            self._is_excused = True
            self.until = now + min(late, MAX_GRACE)
            return
        self.until = inf
        if self._task.cancelling() == self._cancelling:  # a cancellation from outside takes precedence
            self._is_over = True
            self._task.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self._timer.blocks.pop(self, None)
        if not self._is_over:
            self.cancelled_caught = False
            return False
        # If the task was cancelled from outside too, that cancellation has to propagate.
        others = self._task.uncancel() > self._cancelling
        self.cancelled_caught = not others and kind is asyncio.CancelledError
        return self.cancelled_caught


class _TrioTimeout:
    """The same under trio. A concurrent watcher task cancels the block, because trio itself handles expired deadlines before data that
    has arrived."""

    __slots__ = ("_scope", "_until", "_watching", "cancelled_caught")

    def __init__(self, seconds: float) -> None:
        import trio

        self._until = trio.current_time() + seconds
        self._scope, self._watching = trio.CancelScope(), trio.CancelScope()
        self.cancelled_caught = False

    def __enter__(self) -> Self:
        from trio.lowlevel import spawn_system_task

        self._scope.__enter__()
        spawn_system_task(self._watch)
        return self

    async def _watch(self) -> None:
        import trio

        with self._watching:
            await trio.sleep_until(self._until)
            late = trio.current_time() - self._until
            if late > LATE:
                await trio.sleep(min(late, MAX_GRACE))
            self._scope.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self._watching.cancel()
        caught = bool(self._scope.__exit__(kind, error, trace))
        self.cancelled_caught = self._scope.cancelled_caught
        return caught


def clock_of(given: Clock | Callable[[], float]) -> Clock:
    """A clock as it is; a plain function of the time as a real clock."""
    return given if isinstance(given, Clock) else RealClock(given)
