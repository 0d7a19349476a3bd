"""The threads that could still act before a virtual clock moves: those that do not wait on it."""

from __future__ import annotations

import gc
import sys
import threading
import time
import weakref
from types import FrameType
from typing import Protocol

MIN_POLLS = 5
"""Consecutive checks that must find the same state, however much real time lies between them: on a busy machine the checking
thread itself may be suspended for longer than `settle`."""
MAX_SETTLES = 500
"""A thread that the system reports as runnable counts as idle after this many times `settle`: not every system reports
correctly."""
_COLLECTING = threading.Lock()
"""Held while the garbage collection is switched off: threads of several clocks must not switch it on for each other."""


class Party(Protocol):
    """How a thread waits on a clock: directly, or through an event loop that runs in it."""

    def blocked(self) -> bool:
        """Whether only the clock, or another thread, can wake it."""
        ...

    def progress(self) -> object:
        """A value that differs from one check to the next while the thread is active."""
        ...


class Quiet:
    """Detects that threads are idle, as far as this can be seen from outside: for `settle` real seconds."""

    def __init__(self) -> None:
        self._seen: object = None
        self._first = self._since = 0.0
        self._polls = 0

    def lasts(self, state: object, running: list[threading.Thread], settle: float) -> bool:
        """Whether `state` was the same for `settle` seconds and the system ran none of the threads. Must be called repeatedly."""
        now = time.monotonic()
        if state != self._seen:
            self._seen, self._first, self._since, self._polls = state, now, now, 0
        elif now - self._first < settle * MAX_SETTLES and any(_runnable(thread) for thread in running):
            self._since, self._polls = now, 0
        self._polls += 1
        return self._polls > MIN_POLLS and now - self._since >= settle


def _runnable(thread: threading.Thread) -> bool:
    """Whether the system runs the thread, or would if a processor were free. Known on Linux only; False elsewhere."""
    if thread.native_id is None:  # it is just being started
        return True
    try:
        with open(f"/proc/self/task/{thread.native_id}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] in (b"R", b"D")
    except OSError:  # another system, or the thread has ended
        return False


def _current_frames() -> dict[int, FrameType]:
    """The frame of each thread, by its identifier, without a garbage collection meanwhile.

    Python collects the frames under a lock that a starting thread needs too. A collection calls callbacks of weak references, during
    which another thread may run and start one: in Python 3.11 both then wait forever (python/cpython#106883).
    """
    with _COLLECTING:
        enabled = gc.isenabled()
        gc.disable()
        try:
            return sys._current_frames()  # pyright: ignore[reportPrivateUsage] - documented, for debugging
        finally:
            if enabled:
                gc.enable()


class Threads:
    """The threads of one clock.

    Threads that existed before the clock (of a debugger, of pytest-xdist) count only once they have waited on it.
    """

    def __init__(self) -> None:
        me = threading.current_thread()
        self._earlier = weakref.WeakSet(thread for thread in threading.enumerate() if thread is not me)
        self._parties: dict[threading.Thread, Party] = {}
        self._alive = threading.enumerate()

    def enter(self, party: Party) -> Party | None:
        """From now on this thread waits as `party` describes. Returns its previous party."""
        thread = threading.current_thread()
        self._earlier.discard(thread)
        before = self._parties.get(thread)
        self._parties[thread] = party
        return before

    def leave(self, before: Party | None = None) -> None:
        """Restore the thread's previous party; None: the thread no longer waits."""
        thread = threading.current_thread()
        if before is None:
            self._parties.pop(thread, None)
        else:
            self._parties[thread] = before

    def running(self) -> list[tuple[threading.Thread, Party | None]]:
        """The threads that do not wait on the clock."""
        found: list[tuple[threading.Thread, Party | None]] = []
        # The list of threads is read first: a thread that wakes another one and then ends is still in it.
        for thread in threading.enumerate():
            party = self._parties.get(thread)
            if party is None and thread in self._earlier:
                continue
            if party is None or not party.blocked():
                found.append((thread, party))
        return found

    def changed(self) -> bool:
        """Whether threads have started or ended since the last check."""
        before, self._alive = self._alive, threading.enumerate()
        return before != self._alive

    def idle(self, quiet: Quiet, changes: int, settle: float) -> bool:
        """Whether no thread will act before the clock moves. This is certain if all threads wait on it; any others, which run or
        wait elsewhere, must make no progress for `settle` real seconds."""
        running = self.running()
        if not running:
            return True
        frames = _current_frames()
        state: list[object] = [changes]
        for thread, party in running:
            frame = frames.get(thread.ident or 0)
            state.append((thread.ident, id(frame), frame and frame.f_lasti, party and party.progress()))
        return quiet.lasts(state, [thread for thread, _ in running], settle)
