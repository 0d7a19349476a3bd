"""The wake-ups of a virtual clock, in their order, and the rule by which time moves to the next one."""

from __future__ import annotations

import threading
from bisect import insort
from dataclasses import dataclass

from hotspare.testing._threads import Quiet, Threads


@dataclass(slots=True, eq=False)
class WakeUp:
    """A time at which something continues. `granted`: the time has come."""

    when: float
    granted: bool = False


class Timeline:
    """Grants one wake-up after the other, in the order of their times, then of registration.

    The next one is granted only when everything waits, so that all consequences of the previous one are over.
    """

    def __init__(self, now: float, *, autojump: bool, settle: float) -> None:
        self.now = now
        self.autojump = autojump
        self.settle = settle
        self.threads = Threads()
        self.changes = 0
        self.lock = threading.RLock()
        self._pending: list[WakeUp] = []

    def add(self, seconds: float) -> WakeUp:
        """Register a wake-up after `seconds`."""
        with self.lock:
            wake = WakeUp(self.now + seconds)
            insort(self._pending, wake, key=lambda one: one.when)
            self.changes += 1
            return wake

    def remove(self, wake: WakeUp) -> None:
        """Forget a wake-up that is not needed any more."""
        with self.lock:
            if not wake.granted:
                self._pending.remove(wake)
                self.changes += 1

    def advance(self, seconds: float) -> None:
        """Let time pass, whether or not everything waits."""
        with self.lock:
            self.now += seconds
            self.changes += 1

    def step(self, quiet: Quiet) -> bool:
        """Grant the next wake-up, if its time has come or can come now. Returns whether one was granted."""
        with self.lock:
            if not self._pending:
                return False
            first = self._pending[0]
            if self.autojump:
                if self.threads.changed():  # a thread that has ended may have woken a loop, which has to look again
                    self.changes += 1
                if not self.threads.idle(quiet, self.changes, self.settle):
                    return False
            elif first.when > self.now:
                return False
            self._pending.pop(0)
            first.granted = True
            self.now = max(self.now, first.when)
            self.changes += 1
            return True
