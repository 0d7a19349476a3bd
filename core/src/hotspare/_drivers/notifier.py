"""After the scheduler's lock is released: wakes waiting calls, and passes events to listeners in order."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable

from hotspare import events
from hotspare._drivers import listeners
from hotspare._drivers.collector import Background, Collector
from hotspare._drivers.listeners import ListenerQueue, is_quick
from hotspare._engine.call import Call
from hotspare._engine.call_report import events_of
from hotspare._engine.scheduler import Scheduler
from hotspare._engine.waiters import Waiter
from hotspare.errors import ConfigError, Problem
from hotspare.telemetry.logging import configure_from_env, log_event

_UNDER_WAY = (events.CallStarted, events.AttemptStarted, events.AttemptEnded)
"""Events after which the call continues."""


class Notifier:
    """Called by the drivers whenever shared state may have changed.

    Every listener gets the events in the order in which they happened: one thread at a time passes them on, including events of other
    threads' calls, and no thread waits for another one's listeners. A listener that could block is called in a separate thread.
    """

    def __init__(self, scheduler: Scheduler, to_call: Iterable[events.Listener]) -> None:
        configure_from_env()
        self._listeners: tuple[events.Listener, ...] = ()
        self._queues: tuple[ListenerQueue, ...] = ()
        self._scheduler = scheduler
        self.on_news: Callable[[], object] | None = None
        """Called after a change that may have to be written to the fleet's store. Must not block."""
        self._pending: deque[events.Event] = deque()
        self._collector: Collector | None = None
        self._new_locks()
        scheduler.observe(False)
        for listener in to_call:
            self.subscribe(listener)

    def subscribe(self, listener: events.Listener, *, inline: bool = False) -> Callable[[], None]:
        """Add a listener; returns a function that removes it, which may be called more than once, even if the same listener was added
        twice. `inline`: the listener is quick, and is called in the thread of the call itself. Raises ConfigError if it is not callable."""
        if not callable(listener):
            raise ConfigError(Problem.at("listener", listener, "must be callable: it is called with every event"))
        if isinstance(listener, Background):
            return self._subscribe_background(listener)
        entry = listener
        if not isinstance(listener, ListenerQueue):
            entry = _Inline(listener) if inline or is_quick(listener) else ListenerQueue(listener)
        self._change(add=entry)
        return lambda: self._change(remove=entry)

    def _subscribe_background(self, listener: Background) -> Callable[[], None]:
        with self._changing:
            collector = self._collector = self._collector or Collector()
            is_first, collector.handlers = not collector.handlers, (*collector.handlers, listener.handler)
        listener.collector = collector
        if is_first:
            self._change(add=collector)

        def unsubscribe() -> None:
            with self._changing:
                collector.handlers = tuple(one for one in collector.handlers if one != listener.handler)
            if not collector.handlers:
                self._change(remove=collector)

        return unsubscribe

    def _change(self, *, add: events.Listener | None = None, remove: events.Listener | None = None) -> None:
        with self._changing:
            kept = [one for one in self._listeners if one is not remove]
            self._listeners = tuple(kept if add is None else [*kept, add])
            self._queues = tuple(one for one in self._listeners if isinstance(one, ListenerQueue))
            self._scheduler.observe(bool(self._listeners), late=self._listeners == (self._collector,))

    def after_fork(self) -> None:
        """In a child process: replace the locks, which a thread of the parent may have held, and drop the parent's events."""
        self._new_locks()
        self._pending.clear()
        for one in self._queues:
            one.after_fork()

    def _new_locks(self) -> None:
        self._changing, self._delivering = threading.Lock(), threading.Lock()

    def __call__(self) -> None:
        """Wake waiting calls, and pass on pending events."""
        if self.on_news is not None and self._scheduler.has_news:
            self.on_news()
        if not self._scheduler.has_pending:
            return
        latest = self._deliver()
        if self._queues and not isinstance(latest, _UNDER_WAY):  # once per call
            for queue in self._queues:
                queue.catch_up()

    def publish(self, event: events.Event) -> None:
        """Pass on an event that does not come from the scheduler."""
        self._pending.append(event)
        self._deliver()

    def flush(self, seconds: float) -> bool:
        """Wait until the listeners were called with all events so far. Returns False if `seconds` were not enough."""
        return listeners.flush(self._queues, seconds)

    def _deliver(self) -> events.Event | None:
        """Pass on pending events. Returns the latest one passed on by this thread (None: another thread does it)."""
        scheduler, pending, latest = self._scheduler, self._pending, None
        answered = scheduler.answered
        # Repeated after each release: another thread may have added events while the lock was held.
        while pending or scheduler.has_pending:
            if not self._delivering.acquire(blocking=False):
                _wake(scheduler.take_to_wake())
                break
            try:
                taken, to_wake = scheduler.take_pending()
                _wake(to_wake)
                pending += taken
                while answered:
                    self._report(*answered.popleft())
                while pending:
                    latest = pending.popleft()
                    log_event(latest)
                    for listener in self._listeners:
                        listener(latest)
            finally:
                self._delivering.release()
        return latest

    def _report(self, call: Call, now: float) -> None:
        """Create the events of an answered call, or leave that to the collector's thread."""
        if self._collector is not None and self._listeners == (self._collector,):
            self._collector.add_answered(call, now)
        else:  # another listener was added meanwhile
            self._pending += events_of(call, now)


def _wake(waiters: Iterable[Waiter]) -> None:
    for waiter in waiters:
        waiter.wake_up()


class _Inline:
    """Calls a listener in the thread of the call."""

    __slots__ = ("_listener",)

    def __init__(self, listener: events.Listener) -> None:
        self._listener = listener

    def __call__(self, event: events.Event) -> None:
        listeners.call(self._listener, event)
