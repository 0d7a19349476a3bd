"""HTTP/1.1 over the connections of one event loop: the same parser as in threads, for asyncio and trio."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import deque

from hotspare._http.http1 import ResponseReader, request_bytes
from hotspare._http.protocol import Origin, Request, split_url
from hotspare._http.proxies import Proxies, Proxy
from hotspare._http.threads import KEEP_ALIVE, MAX_IDLE, StaleConnection, WrittenRequest, written
from hotspare.errors import ConnectError, TransportError


class Connection(ABC):
    """A connection of an event loop. `used`: it was idle before its current request, so the server may have closed it."""

    used = False
    idle_since = 0.0

    @abstractmethod
    async def send(self, data: bytes) -> None:
        """Send bytes. Errors are ignored: a server may reject a request before all of it was sent, and its response is to be read."""

    @abstractmethod
    async def receive(self) -> bytes:
        """The received bytes; b"" at the end of the connection. Raises TransportError."""

    @abstractmethod
    def is_quiet(self) -> bool:
        """Whether nothing was received since the last response: neither bytes nor the end of the connection."""

    def is_usable(self) -> bool:
        """Whether a connection that was kept can carry another request."""
        return time.monotonic() - self.idle_since < KEEP_ALIVE and self.is_quiet()

    @abstractmethod
    async def close(self) -> None:
        """Close it immediately, without TLS's close_notify."""


class IdleStreams:
    """The idle connections to one host. `proxy`: the one through which it is reached."""

    __slots__ = ("_closed", "_kept", "proxy")

    def __init__(self, proxy: Proxy | None, *, closed: bool) -> None:
        self.proxy = proxy
        self._kept = deque[Connection]()
        self._closed = closed

    def take(self) -> Connection | None:
        """The connection that was used last. It may have become unusable."""
        return self._kept.pop() if self._kept else None

    async def keep(self, connection: Connection) -> None:
        """Keep a connection for the next request, and close those that were kept for too long. Once closed, keep none."""
        if self._closed:
            await connection.close()
            return
        kept, now = self._kept, time.monotonic()
        connection.used, connection.idle_since = True, now
        kept.append(connection)
        while len(kept) > MAX_IDLE or now - kept[0].idle_since >= KEEP_ALIVE:
            await kept.popleft().close()

    async def close(self) -> None:
        """Close all of them, and those that calls in flight open later."""
        self._closed = True
        while self._kept:
            await self._kept.pop().close()


class StreamAnswer:
    """An answer, whose `status` and `headers` are known once `begin` has returned."""

    __slots__ = ("_connection", "_first", "_idle", "_reader", "headers", "status")

    def __init__(self, connection: Connection, idle: IdleStreams) -> None:
        self._connection: Connection | None = connection
        self._idle = idle
        self._reader = ResponseReader()
        self._first = b""  # of the body, received together with the head

    async def begin(self, data: WrittenRequest) -> None:
        """Send the request and read the head. Raises StaleConnection if another connection should be tried."""
        connection, reader = self._connection, self._reader
        assert connection is not None
        try:
            await connection.send(data.value)
            while not reader.has_head:
                self._first = reader.feed(await connection.receive())
        except TransportError:
            await self.aclose()
            if connection.used and not reader.started:
                raise StaleConnection from None
            raise
        except BaseException:
            await self.aclose()
            raise
        self.status, self.headers = reader.status, reader.headers

    async def read(self) -> bytes | None:
        """More of the body, not decoded; None at its end, and b"" if a read returned no bytes of the body."""
        if self._first:
            first, self._first = self._first, b""
            return first
        if self._reader.ended or self._connection is None:
            return None
        return self._reader.feed(await self._connection.receive())

    async def aclose(self) -> None:
        """Give the connection back if the body was read to its end, else close it."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if self._reader.reusable:
            await self._idle.keep(connection)
        else:
            await connection.close()


class StreamTransport(ABC):
    """The connections of one event loop. Made, used and closed inside it."""

    def __init__(self, proxies: Proxies) -> None:
        self._proxies = proxies
        self._idle: dict[Origin, IdleStreams] = {}
        self._closed = False

    @abstractmethod
    async def _connect(self, origin: Origin, proxy: Proxy | None) -> Connection:
        """A new connection, with TLS if the origin uses it, within `CONNECT` seconds. Raises ConnectError."""

    async def open(self, request: Request) -> StreamAnswer:
        """The answer, as soon as its head was received. An idle connection that the server has closed is replaced once."""
        origin, target = split_url(request.url)
        idle = self._idle_for(origin)
        data = written(request, origin, target, idle.proxy)
        while (kept := idle.take()) is not None:
            if not kept.is_usable():
                await kept.close()
                continue
            answer = StreamAnswer(kept, idle)
            try:
                await answer.begin(data)
                return answer
            except StaleConnection:
                break
        answer = StreamAnswer(await self._connect(origin, idle.proxy), idle)
        await answer.begin(data)
        return answer

    def _idle_for(self, origin: Origin) -> IdleStreams:
        found = self._idle.get(origin)
        if found is None:
            found = self._idle[origin] = IdleStreams(self._proxies.proxy_of(origin), closed=self._closed)
        return found

    async def warm_up(self, origin: Origin) -> None:
        """Open a connection before the first request."""
        idle = self._idle_for(origin)
        await idle.keep(await self._connect(origin, idle.proxy))

    async def aclose(self) -> None:
        """Close the idle connections now, and those of calls in flight when they end."""
        self._closed = True
        for idle in self._idle.values():
            await idle.close()


async def tunnel(connection: Connection, origin: Origin, proxy: Proxy) -> None:
    """Have the proxy connect to the origin (RFC 9110, 9.3.6). Raises ConnectError."""
    host = f"{origin.host}:{origin.port}"
    await connection.send(request_bytes("CONNECT", host, host, proxy.headers.items(), b""))
    answer = ResponseReader(tunnel=True)
    while not answer.has_head:
        try:
            answer.feed(await connection.receive())
        except TransportError as error:
            raise ConnectError(f"{proxy} failed: {error}") from None
    if not 200 <= answer.status < 300:
        raise ConnectError(f"{proxy} answered {answer.status} to CONNECT")
