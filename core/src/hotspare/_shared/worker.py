"""A thread that queries a store, so that the time for which a call waits for the store is bounded."""

from __future__ import annotations

import atexit
import logging
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable

from hotspare._drivers.daemon import start_daemon

log = logging.getLogger("hotspare")
SLOW = 0.05
"""Seconds for which a call waits for an answer. While an answer takes longer, no other call starts to wait."""
AWAY = 1.0
"""Seconds after an error in which the store is not queried; then one job checks whether it is available again."""
IDLE = 5.0
"""Seconds without a job after which the thread ends. The next job starts it again."""

EXIT = 1.0
"""Seconds for which the process waits at its exit for jobs in flight."""

Job = Callable[[], object]
Then = Callable[[bool], object]
"""Called after a job, with True if it succeeded."""
_workers: weakref.WeakSet[Worker] = weakref.WeakSet()


class Worker:
    """Runs jobs one after the other in a separate thread.

    `what`, `without`: for log messages: the store's name, e.g. "the cache in Redis", and what happens without it. `slow`: once a job
    has run for this many seconds, further jobs are rejected. If a job raises, the store counts as unavailable: its loss and its return are
    each logged once.
    """

    def __init__(self, what: str, *, slow: float = SLOW, without: str = "calls continue without it") -> None:
        self._what, self._slow, self._without = what, slow, without
        self.is_lost = False
        """Whether the last job has failed. The next job checks whether the store is available again; no call should wait for that."""
        self.after_fork()
        _workers.add(self)

    def after_fork(self) -> None:
        """In a child process: the thread does not exist here, and the jobs are the parent's."""
        self._changed = threading.Condition()
        self._jobs: deque[tuple[Job, Then]] = deque()
        self._thread: threading.Thread | None = None
        self._since = 0.0  # start of the running job; 0: none
        self._away_until = 0.0

    def submit(self, job: Job, then: Then = lambda _: None, *, last: bool = False) -> bool:
        """Run `job`, then call `then`. Returns False, and calls neither, if the store is unavailable or slow, or no thread can be started.
        `last`: run the job even if the store is unavailable or slow, because there will be no later one."""
        with self._changed:
            now = time.monotonic()
            is_away = now < self._away_until or (self._since and now - self._since > self._slow)
            if is_away and not last:
                return False
            if self._thread is None:
                self._thread = start_daemon("hotspare-store", self._run)
                if self._thread is None:
                    return False
            self._jobs.append((job, then))
            self._changed.notify()
            return True

    def finish(self, seconds: float) -> None:
        """Wait at most `seconds` until all jobs submitted so far are done."""
        if self._thread is not None:
            done = threading.Event()
            self.submit(_nothing, lambda _: done.set(), last=True)
            done.wait(seconds)

    def _run(self) -> None:
        while (found := self._next()) is not None:
            job, then = found
            try:
                job()
            except BaseException as error:  # a server that is not Redis, or a custom store, may raise anything
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

    def _failed(self, error: BaseException) -> None:
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
    """A job that does nothing."""


def _finish() -> None:
    until = time.monotonic() + EXIT
    for worker in list(_workers):
        worker.finish(max(0.0, until - time.monotonic()))


atexit.register(_finish)
