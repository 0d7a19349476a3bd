"""Listeners that may be slow: each is called in a thread of its own, from a bounded queue."""

from __future__ import annotations

import atexit
import threading
import time
import weakref
from collections import deque
from collections.abc import Iterable
from queue import Empty, SimpleQueue

from hotspare import events
from hotspare.telemetry.logging import log, log_event

MAX_QUEUED = 10_000
"""Events that wait for a listener, at most; later ones are dropped. 10,000 are some 5 MB, and ten seconds of a busy pool."""
COLLECT_SECONDS = 0.05
"""Seconds for which events are collected before they are handed over. To wake a thread for each of them costs calls more than what most
listeners do: it takes the interpreter away from them."""
IDLE_SECONDS = 5.0
"""Seconds without an event after which the thread ends. The next event starts it again."""
GRACE_SECONDS = 0.02
"""Seconds for which a call waits for a listener, so that a quick one has seen the call's events when it returns. One that took
longer is never waited for again."""
EXIT_SECONDS = 1.0
"""Seconds for which the end of the process waits for listeners."""

_queues: weakref.WeakSet[ListenerQueue] = weakref.WeakSet()


def call(listener: events.Listener, event: events.Event) -> None:
    """Call a listener. One that raises is logged."""
    try:
        listener(event)
    except Exception:
        log.exception("a listener raised on %s", type(event).__name__)


def is_quick(listener: events.Listener) -> bool:
    """Whether the listener cannot block: `append` of a list or a deque, `put` of a SimpleQueue."""
    owner = getattr(listener, "__self__", None)
    return isinstance(owner, list | deque | SimpleQueue)


class ListenerQueue:
    """Calls one listener in order, in a thread that ends when nothing happens. Putting an event in never waits.

    Once the queue is full events are dropped; the listener is sent `EventsDropped` in their place. `is_slow`: no call waits for it.
    """

    def __init__(self, listener: events.Listener, *, is_slow: bool = False) -> None:
        self._listener = listener
        self._dropped = 0
        self._is_slow = is_slow
        self.after_fork()
        _queues.add(self)

    def after_fork(self) -> None:
        """In a child process: the thread does not exist here, and the events are the parent's."""
        self._lock = threading.Lock()
        self._queue: SimpleQueue[events.Event | threading.Event] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._hurry = threading.Event()  # events are waited for: do not collect

    def __call__(self, event: events.Event) -> None:
        """Queue an event. Called by one thread at a time."""
        if self._queue.qsize() >= MAX_QUEUED:
            self._dropped += 1
            return
        if self._dropped:
            dropped, self._dropped = events.EventsDropped(self._dropped), 0
            log_event(dropped)
            self._queue.put(dropped)
        self._put(event)

    def _put(self, item: events.Event | threading.Event) -> None:
        with self._lock:  # between an item that comes and a thread that ends
            self._queue.put(item)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="hotspare-listener", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                item = self._queue.get(timeout=IDLE_SECONDS)
            except Empty:
                with self._lock:
                    if self._queue.empty():
                        self._thread = None
                        return
                continue
            self._hurry.wait(COLLECT_SECONDS)
            self._hurry.clear()
            self._handle(item)

    def _handle(self, item: events.Event | threading.Event) -> None:
        """This one, and all that have come after it."""
        while True:
            if isinstance(item, threading.Event):
                item.set()
            else:
                call(self._listener, item)
            try:
                item = self._queue.get_nowait()
            except Empty:
                return

    def catch_up(self) -> None:
        """Let the listener see what is queued, unless it was found slow."""
        if not self._is_slow and threading.current_thread() is not self._thread and not self.flush(GRACE_SECONDS):
            self._is_slow = True

    def flush(self, seconds: float) -> bool:
        """Wait until the listener was called with everything so far. Returns whether it was; at once in its own thread."""
        if self._queue.empty() and self._thread is None:
            return True
        if threading.current_thread() is self._thread:
            return False
        done = threading.Event()
        self._put(done)
        self._hurry.set()
        return done.wait(seconds)


def flush(queues: Iterable[ListenerQueue], seconds: float) -> bool:
    """`ListenerQueue.flush` for several, within so many seconds together. Returns whether all were called."""
    until = time.monotonic() + seconds
    flushed = [one.flush(max(0.0, until - time.monotonic())) for one in queues]  # each has its chance
    return all(flushed)


atexit.register(lambda: flush(list(_queues), EXIT_SECONDS))
