"""The line that one attempt of a sync caller waits on: its time can be bounded anew, and it can be cut from outside."""

from __future__ import annotations

import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar


class AbortHandle:
    """What one attempt's I/O runs over. `read_timeout`, if set, bounds every read that follows, in seconds.

    A thread that waits for a socket cannot be ended, but the socket can: `cut` does, from any thread.
    """

    def __init__(self) -> None:
        self.read_timeout: float | None = None
        self._socket: socket.socket | None = None
        self._cut = False
        self._lock = threading.Lock()

    @contextmanager
    def bind(self) -> Generator[None]:
        """The requests that this thread makes meanwhile go over this line."""
        token = CURRENT.set(self)
        try:
            yield
        finally:
            CURRENT.reset(token)

    def attach(self, found: socket.socket | None) -> None:
        """The socket that is about to be waited for. Raises ConnectionAbortedError once the line is cut."""
        with self._lock:
            self._socket = found
            if self._cut:
                raise ConnectionAbortedError("the attempt was given up")

    def detach(self) -> None:
        """The connection goes back to its pool: it is another's from now on."""
        with self._lock:
            self._socket = None

    def abort(self) -> None:
        """End whatever is waited for, at once and for good."""
        with self._lock:
            self._cut = True
            if self._socket is not None:
                try:
                    # Not the TLS socket's own `shutdown`, which would take its state away under the reading thread.
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
                except OSError:  # closed meanwhile, as was wanted
                    self._socket = None


CURRENT: ContextVar[AbortHandle | None] = ContextVar("hotspare_line", default=None)
"""The line that this thread's requests go over."""
