"""Background checks: an unavailable target is called once its break or its rate limit is over, so that no caller's call has to probe it.

One daemon thread waits until the first unavailable target may be called. Each check runs in a separate thread, so that a target that does
not answer delays no other check. The thread exists only while a target with `Target.check` is unavailable.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from random import Random
from weakref import WeakMethod

from hotspare import events
from hotspare._drivers.clock import Clock
from hotspare._drivers.daemon import start_daemon
from hotspare._engine.scheduler import Scheduler
from hotspare._health.target_state import TargetState
from hotspare.outcome import Kind

MIN_INTERVAL = 1.0
"""Shortest time in seconds between two checks of one target, even if the first made no attempt because of a budget or a limit."""
Check = Callable[[TargetState], object]


class Checks:
    """Starts the checks of a pool. It is a listener: events of targets show when the next check may be due.

    `check`: a method of the pool that makes one check; referenced weakly, so that a pool without other references can be collected.
    """

    def __init__(self, scheduler: Scheduler, clock: Clock, rng: Random, check: Check) -> None:
        self._scheduler, self._clock, self._rng = scheduler, clock, rng
        self._check = WeakMethod(check)
        self._closed = False
        self.after_fork()

    def after_fork(self) -> None:
        """In a child process: the threads do not exist here. The first event starts a new one if a target is unavailable."""
        self._lock = threading.Lock()
        self._woken = threading.Event()
        self._thread: threading.Thread | None = None
        self._planned: dict[TargetState, tuple[float, float]] = {}  # the end of the break, the time of its check
        self._running: set[TargetState] = set()
        self._last: dict[TargetState, float] = {}
        self._has_looked = False

    def __call__(self, event: events.Event) -> None:
        """Wake the thread if the event may have made a target available or unavailable."""
        if not self._has_looked or _changes_availability(event):
            self._wake()

    def close(self) -> None:
        """Start no further check."""
        self._closed = True
        self._woken.set()

    def _wake(self) -> None:
        with self._lock:
            self._has_looked = True
            self._woken.set()
            if self._thread is None and not self._closed and self._scheduler.to_check(self._clock()):
                self._thread = start_daemon("hotspare-checks", self._run)
                self._has_looked = self._thread is not None  # else the next event tries again

    def _run(self) -> None:
        while not self._closed and self._check() is not None:
            self._woken.clear()
            pause = self._start_due()
            if pause is not None:
                self._clock.wait(self._woken, pause)
                continue
            with self._lock:  # so that an event either is seen here or starts a new thread
                if not self._woken.is_set():
                    self._thread = None
                    return

    def _start_due(self) -> float | None:
        """Start the checks that are due. Returns the seconds until the next one; None: no target is unavailable."""
        now = self._clock()
        unavailable = self._scheduler.to_check(now)
        self._planned = {state: plan for state, plan in self._planned.items() if state in unavailable}
        pauses: list[float] = []
        for state, ends in unavailable.items():
            if state in self._running:
                continue  # its end wakes this thread
            planned = self._planned.get(state)
            if planned is None or planned[0] != ends:
                at = max(ends, now, self._last.get(state, now - MIN_INTERVAL) + MIN_INTERVAL) + self._rng.uniform(
                    0, self._scheduler.check_jitter
                )
                planned = self._planned[state] = ends, at
            if planned[1] <= now:
                self._start(state)
            else:
                pauses.append(planned[1] - now)
        return min(pauses, default=MIN_INTERVAL) if unavailable else None

    def _start(self, state: TargetState) -> None:
        self._running.add(state)
        del self._planned[state]
        if start_daemon(f"hotspare-check-{state.name}", self._run_check, state) is None:
            self._last[state] = self._clock()  # tried again after `MIN_INTERVAL`
            self._running.discard(state)

    def _run_check(self, state: TargetState) -> None:
        running = self._running
        try:
            check = self._check()
            if check is not None:
                check(state)
        finally:
            self._last[state] = self._clock()
            running.discard(state)
            self._woken.set()


def _changes_availability(event: events.Event) -> bool:
    if isinstance(event, events.AttemptEnded):
        return event.attempt.kind is not Kind.OK
    return isinstance(
        event,
        events.StateChanged | events.RateLimited | events.TargetEnabled | events.TargetReset | events.ConfigReloaded,
    )
