"""What is done once the scheduler's lock is released: waiting calls are woken, and events are handed to listeners in order."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress

from hotspare import events
from hotspare._engine.scheduler import Scheduler


class Notifier:
    """Called by the drivers whenever shared state may have changed.

    Every listener is handed the events in the order in which they happened: one thread at a time hands them out, those of other
    threads' calls included, and no thread waits for another one's listeners. `listeners` may be changed.
    """

    def __init__(self, scheduler: Scheduler, listeners: Iterable[events.Listener]) -> None:
        self.listeners = list(listeners)
        self._scheduler = scheduler
        self._pending: deque[events.Event] = deque()
        self.after_fork()

    def subscribe(self, listener: events.Listener) -> Callable[[], None]:
        """Add a listener; returns what takes it away again. Calling that more than once is harmless, also where the same
        listener was added twice."""

        def entry(event: events.Event) -> None:
            listener(event)

        def unsubscribe() -> None:
            with suppress(ValueError):
                self.listeners.remove(entry)

        self.listeners.append(entry)
        return unsubscribe

    def after_fork(self) -> None:
        """In a child process: a thread that does not exist here may have held one of the locks. Its events are the parent's."""
        self._taking = threading.Lock()
        self._handing_out = threading.Lock()
        self._pending.clear()

    def __call__(self) -> None:
        """Wake waiting calls, and hand out the events that are pending."""
        with self._taking:  # taken and queued in one step, so that two threads cannot swap their events
            pending, to_wake = self._scheduler.take_pending()
            self._pending += pending
        for waiter in to_wake:
            waiter.wake_up()
        # Tried again after each release: another thread may have queued events and found the lock taken.
        while self._pending and self._handing_out.acquire(blocking=False):
            try:
                while self._pending:
                    events.emit([self._pending.popleft()], tuple(self.listeners))
            finally:
                self._handing_out.release()
