"""The clock that the drivers wait on. Tests put a virtual one in its place (`hotspare.testing`)."""

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
"""Seconds by which a timer fires late when the event loop was busy with something else, or the machine was suspended."""

MAX_GRACE = 5.0
"""Seconds that such a timer waits once more at most: a machine may have slept for a night."""


class Timeout(Protocol):
    """What `move_on_after` gives: whether its block was ended because the time was over."""

    @property
    def cancelled_caught(self) -> bool:
        """Whether the time ran out inside the block."""
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
        """As `anyio.move_on_after`, but that a timer which fires late fires once more."""
        if seconds is None:
            return anyio.move_on_after(None)
        loop = running_loop()
        return _AsyncioTimeout(loop, seconds) if hasattr(loop, "call_at") else _TrioTimeout(seconds)


class Waits:
    """The waits of one call in async code, one after the other: in real time under asyncio one timer serves them all."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._timeout: _AsyncioTimeout | None = None

    def within(self, seconds: float | None) -> AbstractContextManager[Timeout]:
        """Cancel the block when the time is over, as `anyio.move_on_after` does. No other one may be open."""
        timeout = self._timeout
        if timeout is None:
            loop = running_loop()
            if not isinstance(self._clock, RealClock) or not hasattr(loop, "call_at"):
                return self._clock.move_on_after(seconds)
            timeout = self._timeout = _AsyncioTimeout(loop, keeps_timer=True)
        timeout.seconds = seconds
        return timeout

    def close(self) -> None:
        """No other wait follows."""
        if self._timeout is not None:
            self._timeout.close()


class _AsyncioTimeout:
    """Cancels its block when the time is over, as `asyncio.timeout` does, and says so instead of raising.

    `keeps_timer`: the object serves many blocks, one after the other, as the reads of a stream are, and its timer is reset
    only when it has fired too early. A timer that fires late fires once more, after as long as it was late (5 s at most): what has come
    meanwhile is looked at first. The time that this process spent on something else is not the time of the target that is
    waited for.
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
        elif self._task.cancelling() == self._cancelling:  # else it is cancelled from outside already, which says more
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
        # Someone else may have cancelled the task too: then the cancellation is theirs.
        others = task.uncancel() > self._cancelling
        self.cancelled_caught = not others and kind is asyncio.CancelledError
        return self.cancelled_caught

    def close(self) -> None:
        """No block follows."""
        if self._timer is not None:
            self._timer.cancel()


class _TrioTimeout:
    """The same under trio. A watcher beside the block cancels it: trio itself looks at what is overdue before it looks at what
    has come."""

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
