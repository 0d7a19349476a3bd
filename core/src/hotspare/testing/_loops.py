"""An event loop's wake-ups on a virtual clock, and how the clock detects that all tasks of the loop wait."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from hotspare.testing._threads import Quiet
from hotspare.testing._timeline import Timeline, WakeUp
from hotspare.testing._waits import POLL

ROUNDS = 5
"""Turns of asyncio's loop in which all tasks must be seen waiting: a task may be woken by a callback of a callback."""


class LoopPart(ABC):
    """The wake-ups of one event loop on one clock. While there are any it checks, in each turn of the loop, whether all tasks
    wait; then the clock may move. Created and used in the loop's own thread."""

    rounds = ROUNDS

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._actions: dict[WakeUp, Callable[[], object]] = {}
        self._running = False
        self._turns = 0
        self._waiting_since = 0
        self._changes = -1
        self._quiet = Quiet()

    def add(self, seconds: float, action: Callable[[], object]) -> WakeUp:
        """Call `action` in this loop after `seconds`."""
        wake = self._timeline.add(seconds)
        self._actions[wake] = action
        if not self._running:
            self._running = True
            self._timeline.threads.enter(self)
            self._start()
        return wake

    def remove(self, wake: WakeUp) -> None:
        """Forget this wake-up."""
        self._actions.pop(wake, None)
        self._timeline.remove(wake)

    def blocked(self) -> bool:
        """Whether all tasks were seen waiting since the clock last changed."""
        return self._turns - self._waiting_since >= self.rounds and self._changes == self._timeline.changes

    def progress(self) -> object:
        """The number of turns so far: it changes while the loop runs."""
        return self._turns

    def _turn(self, waiting: bool) -> float | None:
        """Process one check. `waiting`: whether all tasks wait. Returns the real seconds until the next check; None: no wake-up is left."""
        self._turns += 1
        due = [wake for wake in self._actions if wake.granted]
        for wake in due:
            self._actions.pop(wake)()
        if not self._actions:
            return None
        if due or not waiting or self._changes != self._timeline.changes:
            self._waiting_since, self._changes = self._turns, self._timeline.changes
            return 0.0
        if not self.blocked() or self._timeline.step(self._quiet):
            return 0.0
        return POLL

    def _ended(self) -> None:
        self._running = False
        self._timeline.threads.leave()

    @abstractmethod
    def alive(self) -> bool:
        """Whether the loop still exists."""

    @abstractmethod
    def _start(self) -> None:
        """Start the checks."""


class AsyncioPart(LoopPart):
    """Checks by callbacks: an extra task would be found by code that counts tasks."""

    def __init__(self, timeline: Timeline, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(timeline)
        self._loop = loop

    def alive(self) -> bool:
        """Whether the loop still exists."""
        return not self._loop.is_closed()

    def _start(self) -> None:
        self._loop.call_soon(self._look)

    def _look(self) -> None:
        pause = self._turn(all(_waits(task) for task in asyncio.all_tasks(self._loop)))
        if pause is None:
            self._ended()
        elif pause:
            self._loop.call_later(pause, self._look)
        else:
            self._loop.call_soon(self._look)


def _waits(task: asyncio.Task[Any]) -> bool:
    # As anyio's own wait_all_tasks_blocked does; asyncio has no public way.
    future = getattr(task, "_fut_waiter", None)
    return future is not None and not future.done()


class TrioPart(LoopPart):
    """Checks by a system task: trio itself reports when all other tasks wait."""

    rounds = 1

    def __init__(self, timeline: Timeline) -> None:
        super().__init__(timeline)
        self._over = False

    def alive(self) -> bool:
        """Whether the loop still exists."""
        return not self._over

    def _start(self) -> None:
        import trio

        trio.lowlevel.spawn_system_task(self._look, name="hotspare.testing.VirtualClock")

    async def _look(self) -> None:
        import trio
        import trio.testing

        try:
            while True:
                await trio.testing.wait_all_tasks_blocked()
                pause = self._turn(waiting=True)
                if pause is None:
                    return
                if pause:
                    await trio.sleep(pause)
        except trio.Cancelled:  # the loop ends
            self._over = True
            raise
        finally:
            self._ended()


def part_of(timeline: Timeline, loop: Any) -> LoopPart:
    """The part for a new event loop."""
    return AsyncioPart(timeline, loop) if hasattr(loop, "call_soon") else TrioPart(timeline)
