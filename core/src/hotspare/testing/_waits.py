"""The threads that wait on a virtual clock, and the one of them that checks for all whether time can move."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager

from hotspare.testing._threads import Quiet
from hotspare.testing._timeline import Timeline, WakeUp

POLL = 0.001
"""Real seconds between two checks while another thread runs."""


class Wait:
    """A thread that waits: until `ready` is set, or until `wake` is granted (None: not bounded)."""

    def __init__(self, ready: threading.Event, wake: WakeUp | None) -> None:
        self.ready = ready
        self.wake = wake
        self.released = threading.Event()

    def over(self) -> bool:
        """Whether the thread can continue."""
        return self.ready.is_set() or (self.wake is not None and self.wake.granted)

    def blocked(self) -> bool:
        """Whether only the clock, or another thread, can wake it."""
        return not self.over()

    def progress(self) -> object:
        """A new value each time: a thread whose wait is over will continue, however long the machine takes."""
        return object()


class ThreadWaits:
    """The waits of all threads on one clock.

    Only one thread checks repeatedly whether time can move, and whether another thread's wait is over. If all did, they would
    compete for the interpreter's lock with the thread that they wait for.
    """

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._waits: list[Wait] = []

    def until(self, ready: threading.Event, seconds: float) -> bool:
        """Wait until `ready` is set, at most `seconds`. Returns whether it is set."""
        wake = self._timeline.add(seconds)
        wait, quiet = Wait(ready, wake), Quiet()
        try:
            with self._entered(wait):
                self._waits.append(wait)
                try:
                    while not wait.over():
                        if self._waits[0] is wait:
                            self._look(wait, quiet, seconds)
                        else:
                            wait.released.wait()
                            wait.released.clear()
                finally:
                    self._leave(wait)
            return ready.is_set()
        finally:
            self._timeline.remove(wake)

    def unbounded(self, ready: threading.Event) -> bool:
        """Wait until `ready` is set."""
        with self._entered(Wait(ready, None)):
            return ready.wait()

    def _look(self, own: Wait, quiet: Quiet, seconds: float) -> None:
        if not self._timeline.step(quiet):
            self._check(seconds)
            own.ready.wait(POLL)
        for wait in tuple(self._waits):
            if wait is not own and wait.over():
                wait.released.set()

    def _leave(self, wait: Wait) -> None:
        with self._timeline.lock:
            self._waits.remove(wait)
            if self._waits:
                self._waits[0].released.set()  # it checks from now on

    @contextmanager
    def _entered(self, wait: Wait) -> Generator[None]:
        timeline = self._timeline
        with timeline.lock:
            before = timeline.threads.enter(wait)
            timeline.changes += 1
        try:
            yield
        finally:
            with timeline.lock:
                timeline.threads.leave(before)

    def _check(self, seconds: float) -> None:
        if not self._timeline.autojump and not self._timeline.threads.running():
            raise RuntimeError(
                f"a wait of {seconds:.1f} s never ends: this clock has autojump=False, and no thread runs that could "
                "advance it. Use VirtualClock(), which jumps automatically"
            )
