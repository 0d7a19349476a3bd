"""Connections for asyncio: a protocol that buffers received bytes until they are read."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import cast

from aiohappyeyeballs import start_connection  # pyright: ignore[reportUnknownVariableType]

from hotspare._http.dial import CONNECT, STAGGER
from hotspare._http.protocol import Origin
from hotspare._http.proxies import Proxies, Proxy
from hotspare._http.resolver import Resolver
from hotspare._http.streams import Connection, StreamTransport, tunnel
from hotspare.errors import ConnectError, TransportError

_MAX_UNREAD = 256 * 1024
"""Above this many buffered bytes, reading from the socket is paused."""


class AsyncioConnection(Connection, asyncio.Protocol):
    """One connection, as an `asyncio.Protocol`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.transport: asyncio.Transport | None = None
        self.socket: socket.socket | None = None
        self._data = b""
        self._reading: asyncio.Future[None] | None = None
        self._paused = self._ended = False
        self._error: Exception | None = None

    # --- called by asyncio ---------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is open."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Bytes were received."""
        self._data = self._data + data if self._data else data
        if len(self._data) > _MAX_UNREAD and not self._paused and self.transport is not None:
            self._paused = True
            self.transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        """The server will send nothing more. Returns None, so that asyncio closes the transport."""
        self._ended = True
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed."""
        self._ended, self._error = True, exc
        self._wake()

    def _wake(self) -> None:
        if self._reading is not None and not self._reading.done():
            self._reading.set_result(None)

    # --- called by the transport ---------------------------------------------------------------------------------

    async def send(self, data: bytes) -> None:
        """Write bytes to the transport, without waiting for its buffer to be sent."""
        if self.transport is not None and not self._ended:
            self.transport.write(data)

    async def receive(self) -> bytes:
        """The received bytes; b"" at the end of the connection. Raises TransportError."""
        if not self._data and not self._ended:
            self._reading = self._loop.create_future()
            try:
                await self._reading
            finally:
                self._reading = None
        data, self._data = self._data, b""
        if self._paused and self.transport is not None:
            self._paused = False
            self.transport.resume_reading()
        if not data and self._error is not None:
            raise TransportError(f"the connection broke: {self._error or type(self._error).__name__}")
        return data

    def is_quiet(self) -> bool:
        """Whether nothing was received since the last response: neither bytes nor the end of the connection."""
        return not self._data and not self._ended

    async def close(self) -> None:
        """Close it immediately, without TLS's close_notify."""
        if self.transport is not None and not self._loop.is_closed():
            self.transport.abort()
        elif (
            self.socket is not None
        ):  # there is no transport yet, or its loop was closed, so that it cannot close the socket
            self.socket.close()

    async def secure(self, context: ssl.SSLContext, host: str) -> None:
        """Begin TLS on it. Raises OSError."""
        assert self.transport is not None
        found = await self._loop.start_tls(self.transport, self, context, server_hostname=host)
        self.transport = cast("asyncio.Transport", found)


class AsyncioTransport(StreamTransport):
    """The connections of one asyncio event loop."""

    def __init__(self, resolver: Resolver, tls: Callable[[], ssl.SSLContext], proxies: Proxies) -> None:
        super().__init__(proxies)
        self._resolver = resolver
        self._tls = tls

    async def _connect(self, origin: Origin, proxy: Proxy | None) -> Connection:
        connection = AsyncioConnection(asyncio.get_running_loop())
        try:
            async with asyncio.timeout(CONNECT):
                await self._dial(connection, origin, proxy)
            return connection
        except TimeoutError:
            await connection.close()
            raise ConnectError(f"no connection to {origin} within {CONNECT:.0f} s") from None
        except (OSError, ValueError, TransportError) as error:
            await connection.close()
            words = str(error) or type(error).__name__
            raise ConnectError(f"cannot connect to {origin}: {words}") from None
        except BaseException:
            await connection.close()
            raise

    async def _dial(self, connection: AsyncioConnection, origin: Origin, proxy: Proxy | None) -> None:
        loop = asyncio.get_running_loop()
        is_socks = proxy is not None and proxy.is_socks
        server = origin if proxy is None else proxy.origin
        if proxy is not None and is_socks:
            connection.socket = await proxy.connect_asyncio(origin)
        else:
            connection.socket = await self._connected(server)
        context = self._tls() if origin.secure or server.secure else None
        first = origin if is_socks else server
        hostname = first.host if first.secure else None
        await loop.create_connection(
            lambda: connection,
            sock=connection.socket,
            ssl=context if hostname else None,
            server_hostname=hostname,
        )
        if proxy is not None and not is_socks and origin.secure:
            assert context is not None
            await tunnel(connection, origin, proxy)
            await connection.secure(context, origin.host)

    async def _connected(self, server: Origin) -> socket.socket:
        addresses = await asyncio.wrap_future(self._resolver.lookup(server.host, server.port))
        return await start_connection(addresses, happy_eyeballs_delay=STAGGER, interleave=1)
