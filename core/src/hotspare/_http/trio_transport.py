"""Connections for trio: anyio's streams."""

from __future__ import annotations

import ssl
from collections.abc import Callable

import anyio
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSStream

from hotspare._http.dial import CONNECT, is_readable
from hotspare._http.protocol import Origin
from hotspare._http.proxies import Proxies, Proxy
from hotspare._http.streams import Connection, StreamTransport, tunnel
from hotspare.errors import ConnectError, TransportError

_READ = 65536
_BROKEN = (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError)


class _TrioConnection(Connection):
    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream

    async def send(self, data: bytes) -> None:
        try:
            await self._stream.send(data)
        except _BROKEN:  # the server's response is read in any case
            pass

    async def receive(self) -> bytes:
        try:
            return await self._stream.receive(_READ)
        except anyio.EndOfStream:
            return b""
        except _BROKEN as error:
            raise TransportError(f"the connection broke: {error or type(error).__name__}") from None

    def is_quiet(self) -> bool:
        return not is_readable(self._stream.extra(SocketAttribute.raw_socket))  # noqa: S610 - anyio's, not Django's

    async def close(self) -> None:
        with anyio.CancelScope(shield=True):
            await anyio.aclose_forcefully(self._stream)

    async def secure(self, context: ssl.SSLContext, host: str) -> None:
        """Begin TLS on it. Raises OSError and anyio's errors."""
        self._stream = await TLSStream.wrap(self._stream, hostname=host, ssl_context=context, standard_compatible=False)


class TrioTransport(StreamTransport):
    """The connections of one run of trio."""

    def __init__(self, tls: Callable[[], ssl.SSLContext], proxies: Proxies) -> None:
        super().__init__(proxies)
        self._tls = tls

    async def _connect(self, origin: Origin, proxy: Proxy | None) -> Connection:
        try:
            with anyio.fail_after(CONNECT):
                return await self._dial(origin, proxy)
        except TimeoutError:
            raise ConnectError(f"no connection to {origin} within {CONNECT:.0f} s") from None
        except (*_BROKEN, anyio.EndOfStream, ValueError) as error:
            raise ConnectError(f"cannot connect to {origin}: {error or type(error).__name__}") from None

    async def _dial(self, origin: Origin, proxy: Proxy | None) -> Connection:
        if proxy is not None and proxy.is_socks:
            connection, server, proxy = _TrioConnection(await proxy.connect_trio(origin)), origin, None
        else:
            server = proxy.origin if proxy is not None else origin
            connection = _TrioConnection(await anyio.connect_tcp(server.host, server.port))
        try:
            if server.secure:
                await connection.secure(self._tls(), server.host)
            if proxy is not None and origin.secure:
                await tunnel(connection, origin, proxy)
                await connection.secure(self._tls(), origin.host)
        except BaseException:
            await connection.close()
            raise
        return connection
