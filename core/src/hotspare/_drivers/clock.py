"""The clock that the drivers wait on. Tests put a virtual one in its place (`hotspare.testing`)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol, runtime_checkable

import anyio


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
        """`anyio.move_on_after`."""
        return anyio.move_on_after(seconds)


def clock_of(given: Clock | Callable[[], float]) -> Clock:
    """A clock as it is; a plain function of the time as a real clock."""
    return given if isinstance(given, Clock) else RealClock(given)
