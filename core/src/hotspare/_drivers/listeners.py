"""Listeners that may be slow: each one is called in its own thread, from a bounded queue."""

from __future__ import annotations

import atexit
import threading
import time
import weakref
from collections import deque
from collections.abc import Iterable
from queue import SimpleQueue
from typing import Any

from hotspare import events
from hotspare._drivers.daemon import start_daemon
from hotspare._drivers.stray import STRAY
from hotspare.telemetry.logging import log, log_event

MAX_QUEUED = 10_000
"""Size of a listener's queue; further events are dropped. 10,000 events are about 5 MB, or ten seconds of a busy pool."""
COLLECT_SECONDS = 0.05
"""Seconds for which events are collected before the listener is called. Waking its thread for each event would slow calls down more than
most listeners do, because the interpreter switches threads each time."""
IDLE_SECONDS = 5.0
"""Seconds without an event after which the thread ends. The next event starts it again."""
GRACE_SECONDS = 0.02
"""Seconds for which a call waits for a listener, so that a quick listener has been called before the call returns. A listener that
took longer is never waited for again."""
EXIT_SECONDS = 1.0
"""Seconds for which the process waits at its exit for listeners."""

_queues: weakref.WeakSet[ListenerQueue] = weakref.WeakSet()


def call(listener: events.Listener, event: events.Event) -> None:
    """Call a listener. Its exceptions are logged."""
    try:
        listener(event)
    except (Exception, *STRAY):
        log.exception("a listener raised on %s", type(event).__name__)


def is_quick(listener: events.Listener) -> bool:
    """Whether the listener cannot block: `append` of a list or a deque, `put` of a SimpleQueue."""
    owner = getattr(listener, "__self__", None)
    return isinstance(owner, list | deque | SimpleQueue)


class ListenerQueue:
    """Calls one listener with events in order, in a thread that ends when idle. Adding an event never waits.

    If the queue is full, events are dropped and the listener is called with `EventsDropped`. `is_slow`: no call waits for it.
    """

    def __init__(self, listener: events.Listener, *, is_slow: bool = False) -> None:
        self._listener = listener
        self._dropped = 0
        self._is_slow = is_slow
        self.after_fork()
        _queues.add(self)

    def after_fork(self) -> None:
        """In a child process: the thread does not exist here, and the events are the parent's."""
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._items: deque[Any] = deque()
        self._put = self._handled = 0  # items so far
        self._has_events, self._hurry = (
            threading.Event(),
            threading.Event(),
        )  # hurry: a call waits, so do not collect
        self._caught_up = threading.Condition()

    def __call__(self, event: events.Event) -> None:
        """Queue an event. Called by one thread at a time."""
        self._enqueue(event)

    def _enqueue(self, item: Any) -> None:
        if len(self._items) >= MAX_QUEUED:
            self._dropped += 1
            return
        if self._dropped:
            dropped, self._dropped = events.EventsDropped(self._dropped), 0
            log_event(dropped)
            self._add(dropped)
        self._add(item)

    def _add(self, item: Any) -> None:
        self._items.append(self._entry(item))
        self._put += 1
        if not self._has_events.is_set():
            self._has_events.set()
        if self._thread is None:  # checked after adding the item; an ending thread checks in the reverse order
            self._start()

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = start_daemon("hotspare-listener", self._run)

    def _entry(self, item: Any) -> Any:
        """The queue's entry for an item."""
        return item

    def _run(self) -> None:
        while True:
            if self._has_events.wait(IDLE_SECONDS):
                self._hurry.wait(COLLECT_SECONDS)
                self._hurry.clear()
                self._has_events.clear()  # before emptying the queue: later events set it again
                while self._items:
                    self._handle_some()
                continue
            with self._starting:
                thread, self._thread = self._thread, None
                if not self._items:
                    return
                self._thread = thread

    def _handle_some(self) -> None:
        """Call the listener with the next events, and count them."""
        event = self._items.popleft()
        try:
            call(self._listener, event)
        except BaseException:  # SystemExit would end this thread, and with it the events
            log.exception("a listener raised on %s", type(event).__name__)
        self._has_handled(1)

    def _has_handled(self, items: int) -> None:
        with self._caught_up:
            self._handled += items
            self._caught_up.notify_all()

    def catch_up(self) -> None:
        """Wait until the listener was called with the queued events, unless it is slow."""
        if not self._is_slow and threading.current_thread() is not self._thread and not self.flush(GRACE_SECONDS):
            self._is_slow = True

    def flush(self, seconds: float) -> bool:
        """Wait until the listener was called with all events so far. Returns False after `seconds`; does not wait in the listener's own
        thread."""
        wanted = self._put
        if threading.current_thread() is self._thread:
            return self._handled >= wanted
        if self._items and self._thread is None:  # none could be started for the latest event
            self._start()
            if self._thread is None:
                return False
        with self._caught_up:
            if self._handled < wanted:
                self._hurry.set()
            return self._caught_up.wait_for(lambda: self._handled >= wanted, seconds)


def flush(queues: Iterable[ListenerQueue], seconds: float) -> bool:
    """`ListenerQueue.flush` for several queues, within `seconds` in total. Returns whether all were flushed."""
    until = time.monotonic() + seconds
    flushed = [one.flush(max(0.0, until - time.monotonic())) for one in queues]  # every queue is tried
    return all(flushed)


atexit.register(lambda: flush(list(_queues), EXIT_SECONDS))
