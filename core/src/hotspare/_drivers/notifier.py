"""What is done once the scheduler's lock is released: waiting calls are woken, and events are handed to listeners in order."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable

from hotspare import events
from hotspare._drivers import listeners
from hotspare._drivers.collector import Background, Collector
from hotspare._drivers.listeners import ListenerQueue, is_quick
from hotspare._engine.call import Call
from hotspare._engine.call_report import account
from hotspare._engine.scheduler import Scheduler
from hotspare._engine.waiters import Waiter
from hotspare.errors import ConfigError, Problem
from hotspare.telemetry.logging import configure_from_env, log_event

_UNDER_WAY = (events.CallStarted, events.AttemptStarted, events.AttemptEnded)
"""After these a call goes on."""


class Notifier:
    """Called by the drivers whenever shared state may have changed.

    Every listener is handed the events in the order in which they happened: one thread at a time hands them out, those of other
    threads' calls included, and no thread waits for another one's listeners. A listener that could block is called in a separate thread.
    """

    def __init__(self, scheduler: Scheduler, to_call: Iterable[events.Listener]) -> None:
        configure_from_env()
        self._listeners: tuple[events.Listener, ...] = ()
        self._queues: tuple[ListenerQueue, ...] = ()
        self._scheduler = scheduler
        self.on_news: Callable[[], object] | None = None
        """Called when something has changed that other processes may have to know. It must not wait."""
        self._pending: deque[events.Event] = deque()
        self._collector: Collector | None = None
        self._new_locks()
        scheduler.observe(False)
        for listener in to_call:
            self.subscribe(listener)

    def subscribe(self, listener: events.Listener, *, inline: bool = False) -> Callable[[], None]:
        """Add a listener; returns what takes it away again. Calling that more than once is harmless, also where the same
        listener was added twice. `inline`: it is quick, and called in the thread of the call itself. Raises ConfigError for what
        cannot be called."""
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
        """In a child process: a thread that does not exist here may have held one of the locks. Its events are the parent's."""
        self._new_locks()
        self._pending.clear()
        for one in self._queues:
            one.after_fork()

    def _new_locks(self) -> None:
        self._changing, self._handing_out = threading.Lock(), threading.Lock()

    def __call__(self) -> None:
        """Wake waiting calls, and hand out the events that are pending."""
        if self.on_news is not None and self._scheduler.has_news:
            self.on_news()
        if not self._scheduler.has_pending:
            return
        latest = self._hand_out()
        if self._queues and not isinstance(latest, _UNDER_WAY):  # once a call, not at each of its steps
            for queue in self._queues:
                queue.catch_up()

    def publish(self, event: events.Event) -> None:
        """Hand out an event that is not the scheduler's."""
        self._pending.append(event)
        self._hand_out()

    def flush(self, seconds: float) -> bool:
        """Wait until the listeners were called with everything so far. Returns whether they were."""
        return listeners.flush(self._queues, seconds)

    def _hand_out(self) -> events.Event | None:
        """Returns the latest event that this thread has handed out (None: another thread does it)."""
        scheduler, pending, latest = self._scheduler, self._pending, None
        answered = scheduler.answered
        # Tried again after each release: another thread may have found the lock taken.
        while pending or scheduler.has_pending:
            if not self._handing_out.acquire(blocking=False):
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
                self._handing_out.release()
        return latest

    def _report(self, call: Call, now: float) -> None:
        """Of a call that is reported late: have its events made."""
        if self._collector is not None and self._listeners == (self._collector,):
            self._collector.add_answered(call, now)
        else:  # another listener has come meanwhile
            self._pending += account(call, now)


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
