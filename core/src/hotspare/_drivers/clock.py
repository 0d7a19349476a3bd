"""The clock that the drivers wait on. Tests put a virtual one in its place (`hotspare.testing`)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
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
        """`anyio.move_on_after`; under asyncio a plain timer, which costs a fifth."""
        if seconds is None:
            return anyio.move_on_after(None)
        loop = running_loop()
        return _AsyncioTimeout(loop, seconds) if hasattr(loop, "call_at") else anyio.move_on_after(seconds)


class _AsyncioTimeout:
    """Cancels the block when the time is over, as `asyncio.timeout` does, and says so instead of raising.

    A timer that fires late fires once more, after as long as it was late (5 s at most): what has come meanwhile is looked at first. The
    time that this process spent on something else is not the time of the target that is waited for.
    """

    __slots__ = ("_cancelling", "_is_excused", "_is_over", "_loop", "_task", "_timer", "_when", "cancelled_caught")

    def __init__(self, loop: Any, seconds: float) -> None:
        self._loop: asyncio.AbstractEventLoop = loop
        self._when = loop.time() + seconds
        self._is_excused = self._is_over = self.cancelled_caught = False

    def __enter__(self) -> Self:
        task = asyncio.current_task(self._loop)
        assert task is not None, "awaited outside of a task"
        self._task, self._cancelling = task, task.cancelling()
        self._timer = self._loop.call_at(self._when, self._fire)
        return self

    def _fire(self) -> None:
        late = self._loop.time() - self._when
        if late > LATE and not self._is_excused:
            self._is_excused = True
            self._timer = self._loop.call_later(min(late, MAX_GRACE), self._fire)
            return
        if self._task.cancelling() == self._cancelling:  # else it is cancelled from outside already, which says more
            self._is_over = True
            self._task.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self._timer.cancel()
        # Someone else may have cancelled the task too: then the cancellation is theirs.
        others = self._is_over and self._task.uncancel() > self._cancelling
        self.cancelled_caught = self._is_over and not others and kind is asyncio.CancelledError
        return self.cancelled_caught


def clock_of(given: Clock | Callable[[], float]) -> Clock:
    """A clock as it is; a plain function of the time as a real clock."""
    return given if isinstance(given, Clock) else RealClock(given)
