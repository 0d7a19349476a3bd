"""What is done once the scheduler's lock is released: waiting calls are woken, and events are handed to listeners in order."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress

from hotspare import events
from hotspare._drivers import listeners
from hotspare._drivers.listeners import ListenerQueue, is_quick
from hotspare._engine.scheduler import Scheduler
from hotspare.telemetry.logging import configure_from_env, log_event

_UNDER_WAY = (events.CallStarted, events.AttemptStarted, events.AttemptEnded)
"""After these a call goes on."""


class Notifier:
    """Called by the drivers whenever shared state may have changed.

    Every listener is handed the events in the order in which they happened: one thread at a time hands them out, those of other
    threads' calls included, and no thread waits for another one's listeners. A listener that could block is called in a thread of its own.
    """

    def __init__(self, scheduler: Scheduler, to_call: Iterable[events.Listener]) -> None:
        configure_from_env()
        self._listeners: list[events.Listener] = []
        self._scheduler = scheduler
        self.on_news: Callable[[], object] | None = None
        """Called when something has changed that other processes may have to know. It must not wait."""
        self._pending: deque[events.Event] = deque()
        self._new_locks()
        scheduler.is_observed = False
        for listener in to_call:
            self.subscribe(listener)

    def subscribe(self, listener: events.Listener, *, inline: bool = False) -> Callable[[], None]:
        """Add a listener; returns what takes it away again. Calling that more than once is harmless, also where the same
        listener was added twice. `inline`: it is quick, and called in the thread of the call itself."""
        entry: events.Listener
        if isinstance(listener, ListenerQueue):
            entry = listener
        else:
            entry = _Inline(listener) if inline or is_quick(listener) else ListenerQueue(listener)

        def unsubscribe() -> None:
            with suppress(ValueError):
                self._listeners.remove(entry)
            self._scheduler.is_observed = bool(self._listeners)

        self._listeners.append(entry)
        self._scheduler.is_observed = True
        return unsubscribe

    def after_fork(self) -> None:
        """In a child process: a thread that does not exist here may have held one of the locks. Its events are the parent's."""
        self._new_locks()
        self._pending.clear()
        for one in self._queues():
            one.after_fork()

    def _new_locks(self) -> None:
        self._taking = threading.Lock()
        self._handing_out = threading.Lock()

    def __call__(self) -> None:
        """Wake waiting calls, and hand out the events that are pending."""
        if self.on_news is not None and self._scheduler.has_news:
            self.on_news()
        if not self._scheduler.has_pending:
            return
        with self._taking:  # taken and queued in one step, so that two threads cannot swap their events
            pending, to_wake = self._scheduler.take_pending()
            self._pending += pending
        for waiter in to_wake:
            waiter.wake_up()
        self._hand_out()
        if pending and not isinstance(pending[-1], _UNDER_WAY):  # once a call, not at each of its steps
            for queue in self._queues():
                queue.catch_up()

    def publish(self, event: events.Event) -> None:
        """Hand out an event that is not the scheduler's."""
        self._pending.append(event)
        self._hand_out()

    def flush(self, seconds: float) -> bool:
        """Wait until the listeners were called with everything so far. Returns whether they were."""
        return listeners.flush(self._queues(), seconds)

    def _queues(self) -> list[ListenerQueue]:
        return [one for one in self._listeners if isinstance(one, ListenerQueue)]

    def _hand_out(self) -> None:
        # Tried again after each release: another thread may have queued events and found the lock taken.
        while self._pending and self._handing_out.acquire(blocking=False):
            try:
                while self._pending:
                    event = self._pending.popleft()
                    log_event(event)
                    for listener in tuple(self._listeners):
                        listener(event)
            finally:
                self._handing_out.release()


class _Inline:
    """Calls a listener in the thread of the call."""

    __slots__ = ("_listener",)

    def __init__(self, listener: events.Listener) -> None:
        self._listener = listener

    def __call__(self, event: events.Event) -> None:
        listeners.call(self._listener, event)
