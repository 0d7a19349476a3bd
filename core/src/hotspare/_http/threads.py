"""Connections for threads: HTTP/1.1 over sockets whose waits the attempt's handle limits and aborts.

A thread that waits inside a library cannot be interrupted, so hotspare opens the sockets itself.
"""

from __future__ import annotations

import socket
import threading
import time
from collections import deque

from hotspare._http.abort import AbortHandle
from hotspare._http.dial import Dialer, is_readable
from hotspare._http.http1 import ResponseReader, header_lines, written_request
from hotspare._http.protocol import Origin, Request, split_url
from hotspare._http.proxies import Proxies, Proxy
from hotspare.errors import AttemptTimeout, TransportError
from hotspare.secret import HiddenStr

KEEP_ALIVE = 30.0
"""Seconds for which an idle connection is kept. Servers close theirs after 5 s (uvicorn) to minutes, so each is checked before use."""
MAX_IDLE = 100
"""Idle connections that are kept for one host."""
_READ = 65536


class StaleConnection(Exception):
    """An idle connection was closed before the first byte of a response: the request is sent again over a new one."""


class Connection:
    """One connection. `used`: it was idle before its current request, so the server may have closed it."""

    __slots__ = ("idle_since", "key", "socket", "used")

    def __init__(self, found: socket.socket, key: Origin) -> None:
        self.socket = found
        self.key = key
        self.used = False
        self.idle_since = 0.0


class IdleConnections:
    """The idle connections, by host."""

    def __init__(self) -> None:
        self._idle: dict[Origin, deque[Connection]] = {}
        self._lock = threading.Lock()
        self._closed = False

    def take(self, key: Origin) -> Connection | None:
        """The connection that was used last, if it can still be used."""
        while True:
            with self._lock:
                kept = self._idle.get(key)
                if not kept:
                    return None
                found = kept.pop()
            if time.monotonic() - found.idle_since < KEEP_ALIVE and not is_readable(found.socket):
                return found
            found.socket.close()

    def put(self, connection: Connection) -> None:
        """Keep a connection for the next request. Once closed, keep none."""
        connection.used = True
        now = connection.idle_since = time.monotonic()
        old: list[Connection] = []
        with self._lock:
            if self._closed:
                connection.socket.close()
                return
            kept = self._idle.setdefault(connection.key, deque())
            kept.append(connection)
            while len(kept) > MAX_IDLE or now - kept[0].idle_since >= KEEP_ALIVE:
                old.append(kept.popleft())
        for one in old:
            one.socket.close()

    def close(self) -> None:
        """Close all of them, and those that calls in flight open later."""
        with self._lock:
            self._closed = True
            kept, self._idle = self._idle, {}
        for connections in kept.values():
            for connection in connections:
                connection.socket.close()


class SocketAnswer:
    """An answer whose head was received. `handle` limits the time of reading it."""

    def __init__(self, connection: Connection, idle: IdleConnections, handle: AbortHandle) -> None:
        self._connection: Connection | None = connection
        self._idle = idle
        self._handle = handle
        self._reader = ResponseReader()
        self._first = b""  # of the body, received together with the head
        self.status = 0
        self.headers: dict[str, str] = {}

    def begin(self, data: WrittenRequest) -> None:
        """Send the request and read the head. Raises StaleConnection if another connection should be tried."""
        connection, reader = self._connection, self._reader
        assert connection is not None
        try:
            self._send(connection.socket, data)
            while not reader.has_head:
                self._first = self._read(connection.socket)
        except TransportError:
            self.close()
            if connection.used and not reader.started:
                raise StaleConnection from None
            raise
        except BaseException:
            self.close()
            raise
        self.status, self.headers = reader.status, reader.headers

    def _send(self, connection: socket.socket, data: WrittenRequest) -> None:
        self._handle.attach(connection)
        try:
            connection.settimeout(self._handle.timeout(None))
            connection.sendall(data.value)
        except TimeoutError:
            raise AttemptTimeout("the request could not be sent in time") from None
        except OSError:  # a server may reject a request before all of it was sent: its response is read
            pass

    def read(self) -> bytes | None:
        """More of the body, not decoded; None at its end, and b"" if a read returned no bytes of the body."""
        if self._first:
            first, self._first = self._first, b""
            return first
        if self._reader.ended or self._connection is None:
            return None
        return self._read(self._connection.socket)

    def _read(self, connection: socket.socket) -> bytes:
        """Read once. The time is limited, not the number of reads, because a server may send single bytes."""
        handle = self._handle
        if handle.expired:
            raise AttemptTimeout("the response did not come in time")
        handle.attach(connection)
        try:
            connection.settimeout(handle.timeout(None))
            data = connection.recv(_READ)
        except TimeoutError:
            raise AttemptTimeout("nothing was received in time") from None
        except OSError as error:
            raise TransportError(f"the connection broke: {error}") from None
        return self._reader.feed(data)

    def close(self) -> None:
        """Give the connection back if the body was read to its end, else close it."""
        self._handle.detach()
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if self._reader.reusable:
            self._idle.put(connection)
        else:
            connection.socket.close()


class WrittenRequest:
    """A request as bytes. They are in an attribute, so that tracebacks with locals do not show the key in them."""

    __slots__ = ("value",)

    def __init__(self, value: bytes) -> None:
        self.value = value


class ThreadTransport:
    """The connections of all threads; each carries one request at a time."""

    def __init__(self, dialer: Dialer, proxies: Proxies) -> None:
        self._dialer = dialer
        self._proxies = proxies
        self._idle = IdleConnections()

    def open(self, request: Request, handle: AbortHandle) -> SocketAnswer:
        """The answer, as soon as its head was received. An idle connection that the server has closed is replaced once."""
        origin, target = split_url(request.url)
        proxy = self._proxies.proxy_of(origin)
        data = written(request, origin, target, proxy)
        kept = self._idle.take(origin)
        if kept is not None:
            try:
                return self._exchange(kept, data, handle)
            except StaleConnection:
                pass
        return self._exchange(Connection(self._dialer.connect(origin, proxy, handle), origin), data, handle)

    def _exchange(self, connection: Connection, data: WrittenRequest, handle: AbortHandle) -> SocketAnswer:
        answer = SocketAnswer(connection, self._idle, handle)
        answer.begin(data)
        return answer

    def warm_up(self, origin: Origin, handle: AbortHandle) -> None:
        """Open a connection before the first request."""
        found = self._dialer.connect(origin, self._proxies.proxy_of(origin), handle)
        self._idle.put(Connection(found, origin))

    def close(self) -> None:
        """Close the idle connections now, and those of calls in flight when they end."""
        self._idle.close()


def written(request: Request, origin: Origin, target: str, proxy: Proxy | None) -> WrittenRequest:
    """The request as bytes. To a proxy that forwards it unencrypted it names the whole URL (RFC 9112, 3.2.2)."""
    lines = request.headers.lines
    if proxy is not None and not origin.secure and not proxy.is_socks:
        target, lines = HiddenStr(f"http://{origin}{target}"), HiddenStr(lines + header_lines(proxy.headers.items()))
    return WrittenRequest(written_request(request.method, target, str(origin), lines, request.body))
