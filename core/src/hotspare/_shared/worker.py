"""A thread that asks a store, so that no call ever waits longer for it than it wants to."""

from __future__ import annotations

import atexit
import logging
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable

log = logging.getLogger("hotspare")
SLOW = 0.05
"""Seconds that an answer may take: a call does not wait longer for it, and meanwhile no other one begins to wait."""
AWAY = 1.0
"""Seconds after an error for which the store is not asked; then one job finds out whether it is back."""
IDLE = 5.0
"""Seconds without a job after which the thread ends. The next job starts it again."""

EXIT = 1.0
"""Seconds for which the end of the process waits for jobs in flight."""

Job = Callable[[], object]
Then = Callable[[bool], object]
"""Called after a job, with whether it was done."""
_workers: weakref.WeakSet[Worker] = weakref.WeakSet()


class Worker:
    """Does jobs one after the other, in a separate thread.

    `what`, `without`: the words for the log, e.g. "the cache in Redis", and what happens without it. `slow`: seconds that a job may take
    before further ones are refused. A job that raises means that the store is unavailable: that is logged once, and once when it is back.
    """

    def __init__(self, what: str, *, slow: float = SLOW, without: str = "calls go on without it") -> None:
        self._what, self._slow, self._without = what, slow, without
        self.is_lost = False
        """Whether the last job has failed. The next one finds out whether the store is back, and no call should wait for that."""
        self.after_fork()
        _workers.add(self)

    def after_fork(self) -> None:
        """In a child process: the thread does not exist here, and the jobs are the parent's."""
        self._changed = threading.Condition()
        self._jobs: deque[tuple[Job, Then]] = deque()
        self._thread: threading.Thread | None = None
        self._since = 0.0  # when the job that runs was begun; 0: none
        self._away_until = 0.0

    def submit(self, job: Job, then: Then = lambda _: None, *, last: bool = False) -> bool:
        """Have `job` done, and `then` called. False: the store is unavailable or slow, and nothing will be done or called. `last`: try it
        all the same, since nothing will come later."""
        with self._changed:
            now = time.monotonic()
            is_away = now < self._away_until or (self._since and now - self._since > self._slow)
            if is_away and not last:
                return False
            self._jobs.append((job, then))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="hotspare-store", daemon=True)
                self._thread.start()
            self._changed.notify()
            return True

    def finish(self, seconds: float) -> None:
        """Wait at most so many seconds until all jobs so far are done."""
        if self._thread is not None:
            done = threading.Event()
            self.submit(_nothing, lambda _: done.set(), last=True)
            done.wait(seconds)

    def _run(self) -> None:
        while (found := self._next()) is not None:
            job, then = found
            try:
                job()
            except Exception as error:  # whatever answers at that address
                self._failed(error)
                then(False)
            else:
                if job is not _nothing:
                    self._answered()
                then(True)

    def _next(self) -> tuple[Job, Then] | None:
        with self._changed:
            self._since = 0.0
            if not self._jobs:
                self._changed.wait(IDLE)
            if not self._jobs:
                self._thread = None
                return None
            self._since = time.monotonic()
            return self._jobs.popleft()

    def _failed(self, error: Exception) -> None:
        with self._changed:
            self._away_until = time.monotonic() + AWAY
            waiting, self._jobs = self._jobs, deque()
        for _, then in waiting:
            then(False)
        if not self.is_lost:
            self.is_lost = True
            log.warning("%s does not answer: %s: %s; %s", self._what, type(error).__name__, error, self._without)

    def _answered(self) -> None:
        if self.is_lost:
            self.is_lost = False
            log.warning("%s answers again", self._what)


def _nothing() -> None:
    """A job that says nothing of the store."""


def _finish() -> None:
    until = time.monotonic() + EXIT
    for worker in list(_workers):
        worker.finish(max(0.0, until - time.monotonic()))


atexit.register(_finish)
