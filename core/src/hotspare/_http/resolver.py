"""Name resolution that a caller can abandon.

The system's resolver cannot be interrupted, and may take minutes. So each lookup runs in its own daemon thread, which does not keep
the process or `asyncio.run` from ending. Concurrent lookups of one name share a thread.
"""

from __future__ import annotations

import socket
import threading
from concurrent.futures import Future
from typing import Any

Address = tuple[int, int, int, str, Any]
"""An address, as `socket.getaddrinfo` returns it: family, type, protocol, canonical name, socket address."""


class Resolver:
    """The lookups in flight."""

    def __init__(self) -> None:
        self._running: dict[tuple[str, int], Future[list[Address]]] = {}
        self._lock = threading.Lock()

    def lookup(self, host: str, port: int) -> Future[list[Address]]:
        """The addresses of a host; for an IP address, without a lookup. The future fails with OSError."""
        found: Future[list[Address]] = Future()
        found.set_running_or_notify_cancel()  # a waiter that is cancelled does not cancel it for the others
        try:
            found.set_result(_addresses(host, port, socket.AI_NUMERICHOST))
            return found
        except OSError:  # a name
            pass
        with self._lock:
            running = self._running.setdefault((host, port), found)
        if running is found:
            try:
                threading.Thread(target=self._run, args=(host, port, found), name="hotspare-dns", daemon=True).start()
            except (
                RuntimeError
            ) as error:  # no further thread can be started; other callers may already wait for this lookup
                self._end(host, port)
                found.set_exception(OSError(str(error)))
        return running

    def _run(self, host: str, port: int, found: Future[list[Address]]) -> None:
        try:
            found.set_result(_addresses(host, port))
        except Exception as error:  # getaddrinfo raises UnicodeError too, for a label that is too long
            found.set_exception(error if isinstance(error, OSError) else OSError(str(error)))
        finally:
            self._end(host, port)

    def _end(self, host: str, port: int) -> None:
        with self._lock:
            del self._running[host, port]


def _addresses(host: str, port: int, flags: int = 0) -> list[Address]:
    return [*socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)]


def interleaved(addresses: list[Address]) -> list[Address]:
    """The order in which addresses are tried: families in turn, beginning with the first one's (RFC 8305, 4)."""
    first = [address for address in addresses if address[0] == addresses[0][0]]
    other = [address for address in addresses if address[0] != addresses[0][0]]
    mixed: list[Address] = []
    for index in range(max(len(first), len(other))):
        mixed += first[index : index + 1] + other[index : index + 1]
    return mixed
