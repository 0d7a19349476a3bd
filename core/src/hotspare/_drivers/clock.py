"""The clock that the drivers wait on. Tests replace it by a virtual clock (`hotspare.testing`)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from math import inf
from types import TracebackType
from typing import Any, Protocol, Self, runtime_checkable

import anyio

from hotspare._http.loops import running_loop

LATE = 0.1
"""A timer that fires later than this many seconds was delayed by a busy event loop or a suspended machine."""

MAX_GRACE = 5.0
"""Upper bound of the seconds for which such a timer is extended: a machine may have been suspended for a night."""


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
    """The successive waits of one call in async code: in real time under asyncio, one timer serves them all."""

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
            timeout = self._timeout = _AsyncioTimeout(loop, keeps_timer=True)
        timeout.seconds = seconds
        return timeout

    def close(self) -> None:
        """End: there are no further waits."""
        if self._timeout is not None:
            self._timeout.close()


class _AsyncioTimeout:
    """Cancels its block when the time is over, as `asyncio.timeout` does, and says so instead of raising.

    `keeps_timer`: the object serves many successive blocks, such as the reads of a stream, and its timer is reset only when it
    fires too early. A timer that fires late is extended once, by the time it was late (5 s at most), so that data that has already
    arrived is read first: time that this process spent on something else does not count as the target's.
    """

    __slots__ = (
        "_cancelling",
        "_is_excused",
        "_is_over",
        "_keeps_timer",
        "_loop",
        "_task",
        "_timer",
        "_timer_at",
        "_until",
        "cancelled_caught",
        "seconds",
    )  # fmt: skip

    def __init__(self, loop: Any, seconds: float | None = None, *, keeps_timer: bool = False) -> None:
        self._loop: asyncio.AbstractEventLoop = loop
        self.seconds = seconds
        self._keeps_timer = keeps_timer
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = inf
        self._task: asyncio.Task[Any] | None = None
        self.cancelled_caught = False

    def __enter__(self) -> Self:
        task = asyncio.current_task(self._loop)
        assert task is not None, "awaited outside of a task"
        self._task, self._cancelling = task, task.cancelling()
        self._is_excused = self._is_over = False
        if self.seconds is None:
            self._until = inf
            return self
        self._until = until = self._loop.time() + self.seconds
        if until < self._timer_at:
            self._set_timer(until)
        return self

    def _set_timer(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_at = self._loop.call_at(when, self._fire), when

    def _fire(self) -> None:
        self._timer, self._timer_at = None, inf
        if self._task is None:  # between two blocks
            return
        late = self._loop.time() - self._until
        if late < 0:  # set for an earlier block
            if self._until < inf:
                self._set_timer(self._until)
        elif late > LATE and not self._is_excused:
            self._is_excused = True
            self._set_timer(self._until + late + min(late, MAX_GRACE))
        elif self._task.cancelling() == self._cancelling:  # a cancellation from outside takes precedence
            self._is_over = True
            self._task.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        task, self._task = self._task, None
        if not self._keeps_timer:
            self.close()
        if not self._is_over or task is None:
            self.cancelled_caught = False
            return False
        # If the task was cancelled from outside too, that cancellation has to propagate.
        others = task.uncancel() > self._cancelling
        self.cancelled_caught = not others and kind is asyncio.CancelledError
        return self.cancelled_caught

    def close(self) -> None:
        """End: there are no further blocks."""
        if self._timer is not None:
            self._timer.cancel()


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
