"""Connections for trio: the same reading of HTTP/1.1 as in threads, over anyio's streams."""

from __future__ import annotations

import ssl
import time
from collections import deque
from collections.abc import Callable

import anyio
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSStream

from hotspare._http.dial import CONNECT, is_readable
from hotspare._http.http1 import ResponseReader, request_bytes
from hotspare._http.protocol import Origin, Request, split_url
from hotspare._http.proxies import Proxies, Proxy
from hotspare._http.threads import KEEP_ALIVE, MAX_IDLE, StaleConnection, WrittenRequest, written
from hotspare.errors import ConfigError, ConnectError, TransportError

_READ = 65536
_BROKEN = (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError)


class _Connection:
    def __init__(self, stream: ByteStream) -> None:
        self.stream = stream
        self.used = False
        self.idle_since = 0.0

    async def read(self, reader: ResponseReader) -> bytes:
        """Bytes of the body from one read. Raises TransportError."""
        try:
            data = await self.stream.receive(_READ)
        except anyio.EndOfStream:
            data = b""
        except _BROKEN as error:
            raise TransportError(f"the connection broke: {error or type(error).__name__}") from None
        return reader.feed(data)

    async def close(self) -> None:
        """Close it at once, without TLS's goodbye."""
        with anyio.CancelScope(shield=True):
            await anyio.aclose_forcefully(self.stream)


class StreamAnswer:
    """An answer whose head has come."""

    def __init__(self, connection: _Connection, idle: deque[_Connection]) -> None:
        self._connection: _Connection | None = connection
        self._idle = idle
        self._reader = ResponseReader()
        self._first = b""
        self.status = 0
        self.headers: dict[str, str] = {}

    async def begin(self, data: WrittenRequest) -> None:
        """Send the request and read the head. Raises StaleConnection where another connection should be tried."""
        connection, reader = self._connection, self._reader
        assert connection is not None
        try:
            try:
                await connection.stream.send(data.value)
            except _BROKEN:  # a server may refuse a request before all of it was sent: what it says is read
                pass
            while not reader.has_head:
                self._first = await connection.read(reader)
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
        """More of the body, not decoded; None at its end, and b"" if a read brought nothing of it."""
        if self._first:
            first, self._first = self._first, b""
            return first
        if self._reader.ended or self._connection is None:
            return None
        return await self._connection.read(self._reader)

    async def aclose(self) -> None:
        """Give the connection back if the body was read to its end, else close it."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if self._reader.reusable and len(self._idle) < MAX_IDLE:
            connection.used, connection.idle_since = True, time.monotonic()
            self._idle.append(connection)
        else:
            await connection.close()


class TrioTransport:
    """The connections of one run of trio."""

    def __init__(self, tls: Callable[[], ssl.SSLContext], proxies: Proxies) -> None:
        self._tls = tls
        self._proxies = proxies
        self._idle: dict[Origin, deque[_Connection]] = {}

    async def open(self, request: Request) -> StreamAnswer:
        """The answer, once its head has come. A kept connection that has died meanwhile is replaced once."""
        origin, target = split_url(request.url)
        proxy = self._proxies.proxy_of(origin)
        data = written(request, origin, target, proxy)
        idle = self._idle.setdefault(origin, deque())
        kept = await _take(idle)
        if kept is not None:
            try:
                return await self._exchange(kept, idle, data)
            except StaleConnection:
                pass
        return await self._exchange(await self._connect(origin, proxy), idle, data)

    async def _exchange(self, connection: _Connection, idle: deque[_Connection], data: WrittenRequest) -> StreamAnswer:
        answer = StreamAnswer(connection, idle)
        await answer.begin(data)
        return answer

    async def _connect(self, origin: Origin, proxy: Proxy | None) -> _Connection:
        try:
            with anyio.fail_after(CONNECT):
                return _Connection(await self._dial(origin, proxy))
        except TimeoutError:
            raise ConnectError(f"no connection to {origin} within {CONNECT:.0f} s") from None
        except (*_BROKEN, anyio.EndOfStream, ValueError) as error:
            raise ConnectError(f"cannot connect to {origin}: {error or type(error).__name__}") from None

    async def _dial(self, origin: Origin, proxy: Proxy | None) -> ByteStream:
        if proxy is not None and proxy.scheme.startswith("socks"):
            raise ConfigError("proxy: SOCKS works in threads and asyncio, not in trio")
        server = proxy.origin if proxy is not None else origin
        stream: ByteStream = await anyio.connect_tcp(server.host, server.port)
        try:
            if server.secure:
                stream = await self._secured(stream, server.host)
            if proxy is not None and origin.secure:
                await _tunnel(stream, origin, proxy)
                stream = await self._secured(stream, origin.host)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await anyio.aclose_forcefully(stream)
            raise
        return stream

    async def _secured(self, stream: ByteStream, host: str) -> ByteStream:
        return await TLSStream.wrap(stream, hostname=host, ssl_context=self._tls(), standard_compatible=False)

    async def warm_up(self, origin: Origin) -> None:
        """Open a connection ahead."""
        connection = await self._connect(origin, self._proxies.proxy_of(origin))
        connection.used, connection.idle_since = True, time.monotonic()
        self._idle.setdefault(origin, deque()).append(connection)

    async def aclose(self) -> None:
        """Close the idle connections."""
        kept, self._idle = self._idle, {}
        for connections in kept.values():
            for connection in connections:
                await connection.close()


async def _take(idle: deque[_Connection]) -> _Connection | None:
    while idle:
        found = idle.pop()
        fresh = time.monotonic() - found.idle_since < KEEP_ALIVE
        raw = found.stream.extra(SocketAttribute.raw_socket)  # noqa: S610 - anyio's, not Django's
        if fresh and not is_readable(raw):
            return found
        await found.close()
    return None


async def _tunnel(stream: ByteStream, origin: Origin, proxy: Proxy) -> None:
    """Have the proxy connect to the origin (RFC 9110, 9.3.6)."""
    host = f"{origin.host}:{origin.port}"
    await stream.send(request_bytes("CONNECT", host, host, proxy.headers.items(), b""))
    answer = ResponseReader(tunnel=True)
    while not answer.has_head:
        try:
            answer.feed(await stream.receive(_READ))
        except (TransportError, anyio.EndOfStream) as error:
            raise ConnectError(f"{proxy} failed: {error}") from None
    if not 200 <= answer.status < 300:
        raise ConnectError(f"{proxy} answered {answer.status} to CONNECT")
