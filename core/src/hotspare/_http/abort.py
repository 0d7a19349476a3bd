"""The handle of one attempt in sync code: it limits the time of all I/O waits, and another thread can end them through it.

A thread that waits for a socket cannot be interrupted, but the socket can be shut down, and its reads can have a timeout.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar

MIN_TIMEOUT = 0.001
"""Shortest socket timeout, in seconds: 0 would make a socket non-blocking."""


class AbortHandle:
    """Limits and ends the I/O of one attempt. `clock`: seconds, monotonic."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._limit: float | None = None
        self._deadline: float | None = None
        self._socket: socket.socket | None = None
        self.is_aborted = False
        self._aborted: threading.Event | None = None
        self._lock = threading.Lock()  # attach and abort race: a socket attached after an abort must not be waited for

    # --- time ----------------------------------------------------------------------------------------------------

    def limit(self, seconds: float | None, *, from_now: bool = False) -> None:
        """Limit all waits together to `seconds` (None: unbounded), counted from the first wait, so that reading data already received
        does not read the clock; with `from_now`, counted from now."""
        self._limit = seconds
        self._deadline = self._clock() + seconds if from_now and seconds is not None else None

    def remaining(self) -> float | None:
        """Seconds until the time limit (0 once it has passed); None: unbounded."""
        if self._limit is None:
            return None
        now = self._clock()
        if self._deadline is None:
            self._deadline = now + self._limit
        return max(0.0, self._deadline - now)

    @property
    def expired(self) -> bool:
        """Whether the time limit has passed. `MIN_TIMEOUT` of tolerance, because socket timeouts are rounded."""
        left = None if self._deadline is None else self.remaining()
        return left is not None and left <= MIN_TIMEOUT

    def timeout(self, default: float | None) -> float | None:
        """The timeout of one socket operation: the time that is left, or `default` if it is unbounded."""
        left = self.remaining()
        return default if left is None else max(MIN_TIMEOUT, left)

    # --- the socket ----------------------------------------------------------------------------------------------

    @contextmanager
    def bind(self) -> Generator[None]:
        """The requests that this thread makes inside the block belong to this handle."""
        token = CURRENT.set(self)
        try:
            yield
        finally:
            CURRENT.reset(token)

    def attach(self, found: socket.socket | None) -> None:
        """Register the socket that is about to be waited for. Raises ConnectionAbortedError after `abort`."""
        with self._lock:
            self._socket = found
            if self.is_aborted:
                raise ConnectionAbortedError("the attempt was cancelled")

    def detach(self) -> None:
        """Forget the socket, whose connection may serve another attempt from now on."""
        with self._lock:
            self._socket = None

    @property
    def aborted(self) -> threading.Event:
        """Set by `abort`. Created at first use: few attempts wait for it, and creating it takes as long as all checks of a request."""
        with self._lock:
            if self._aborted is None:
                self._aborted = threading.Event()
                if self.is_aborted:
                    self._aborted.set()
            return self._aborted

    def abort(self) -> None:
        """End every current and later wait immediately. May be called from any thread."""
        with self._lock:
            self.is_aborted = True
            if self._aborted is not None:
                self._aborted.set()
            if self._socket is not None:
                try:
                    # Not `SSLSocket.shutdown`, which drops the TLS state that the reading thread still uses.
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
                except OSError:  # already closed
                    self._socket = None


CURRENT: ContextVar[AbortHandle | None] = ContextVar("hotspare_abort_handle", default=None)
"""The handle that this thread's requests belong to."""
