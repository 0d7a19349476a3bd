"""Connections for asyncio: aiohttp, spoken directly.

Its own timeouts are off but for the connection's: the caller's cancel scope bounds the rest. Its errors become hotspare's
without a cause, because the frames of aiohttp hold the request's headers.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import socket
import ssl
from collections.abc import Callable
from importlib import import_module
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler
from yarl import URL

from hotspare._http.dial import CONNECT
from hotspare._http.http1 import MAX_FIELDS, MAX_INFORMATIONAL, MAX_LINE, check_head, headers_of
from hotspare._http.protocol import Origin, Request, split_url
from hotspare._http.proxies import Proxies, Proxy
from hotspare._http.resolver import Resolver
from hotspare._http.threads import KEEP_ALIVE
from hotspare.errors import BackendError, ConnectError, TransportError

PER_HOST = 1_000
"""Connections to one host. There is no limit for all hosts together: a slow one must not starve the others."""

_LIMITS: dict[str, Any] = {"max_line_size": MAX_LINE, "max_field_size": MAX_LINE, "max_headers": MAX_FIELDS}
_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=None, sock_read=None, sock_connect=CONNECT)


class _Stale(aiohttp.ClientConnectionError):
    """A kept connection ended before the first byte of a response."""


class _Connection(ResponseHandler):
    """aiohttp's side of one connection, which also knows whether it was used before and whether anything has come."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self.used = False
        """Whether it was kept after a request, or opened ahead of one."""
        self._replaceable = False
        self._received = False
        self._informational = 0
        self._answered = False

    def set_response_params(self, **params: Any) -> None:
        """A request begins."""
        self._replaceable, self.used = self.used, True
        self._received = self._answered = False
        self._informational = 0
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        self._received = True
        super().data_received(data)

    def feed_data(self, data: Any, size: int = 0) -> None:
        """The head of a response has come."""
        if self._answered:  # no request asked for it
            self.force_close()
            self.close()
            return
        self._answered = not 100 <= data[0].code < 200 or data[0].code == 101
        self._informational += not self._answered
        if self._informational > MAX_INFORMATIONAL:  # what comes behind is not looked at
            words = f"broken HTTP: more than {MAX_INFORMATIONAL} responses with a status 1xx"
            self.set_exception(aiohttp.ClientConnectionError(words))
            return
        super().feed_data(data, size)

    def set_exception(self, exc: BaseException, exc_cause: BaseException | None = None) -> None:
        """The connection has failed."""
        if self._replaceable and not self._received:
            exc = _Stale(str(exc))
        super().set_exception(exc, *(() if exc_cause is None else (exc_cause,)))


class _Lookup(AbstractResolver):
    """Name resolution for aiohttp: bounded, and in threads that keep no loop from ending."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses of a host. Raises OSError."""
        async with asyncio.timeout(CONNECT):
            addresses = await asyncio.wrap_future(self._resolver.lookup(host, port))
        flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
        return [
            ResolveResult(hostname=host, host=place[0], port=place[1], family=found, proto=protocol, flags=flags)
            for found, _, protocol, _, place in addresses
        ]

    async def close(self) -> None:
        """Nothing is kept."""


class AiohttpAnswer:
    """An answer whose head has come."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.headers = headers_of(response.raw_headers)

    async def read(self) -> bytes | None:
        """More of the body, not decoded; None at its end."""
        try:
            return await self._response.content.readany() or None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            failed = _translated(error)
        raise failed

    async def aclose(self) -> None:
        """Give the connection back if the body was read to its end, else close it."""
        self._response.close()


class AsyncioTransport:
    """The connections of one event loop of asyncio. Made, used and closed inside it."""

    def __init__(self, resolver: Resolver, tls: Callable[[], ssl.SSLContext], proxies: Proxies) -> None:
        self._lookup = _Lookup(resolver)
        self._tls = tls
        self._proxies = proxies
        self._sessions: dict[tuple[str, bool], aiohttp.ClientSession] = {}
        self._urls: dict[str, tuple[URL, Origin]] = {}

    async def open(self, request: Request) -> AiohttpAnswer:
        """The answer, once its head has come. A kept connection that has died meanwhile is replaced once."""
        failed: BackendError
        for fresh in (False, True):
            try:
                response = await self._send(request, fresh=fresh)
            except (_Stale, aiohttp.ClientConnectionResetError) as error:
                failed = _translated(error)
            except (aiohttp.ClientError, OSError, ValueError) as error:
                failed = _translated(error)
                break
            else:
                try:
                    answer = AiohttpAnswer(response)
                    check_head(answer.status, answer.headers, response.reason or "")
                    return answer
                except BaseException:
                    response.close()
                    raise
        raise failed

    async def _send(self, request: Request, *, fresh: bool) -> aiohttp.ClientResponse:
        url, origin = self._split(request.url)
        proxy = self._proxies.proxy_of(origin)
        session = self._session(proxy, fresh=fresh)
        return await session.request(
            request.method, url, data=request.body, headers=request.headers.items(), allow_redirects=False,
            **self._options(origin, proxy),
        )  # fmt: skip

    def _split(self, url: str) -> tuple[URL, Origin]:
        found = self._urls.get(url)
        if found is None:
            found = self._urls[url] = URL(url), split_url(url)[0]
        return found

    def _session(self, proxy: Proxy | None, *, fresh: bool) -> aiohttp.ClientSession:
        """The session for a proxy; `fresh`: one that never uses a connection twice."""
        socks = proxy if proxy is not None and proxy.scheme.startswith("socks") else None
        key = (socks.url if socks else "", fresh)
        found = self._sessions.get(key)
        if found is None:
            found = self._sessions[key] = self._new_session(socks, fresh=fresh)
        return found

    def _new_session(self, socks: Proxy | None, *, fresh: bool) -> aiohttp.ClientSession:
        limits: dict[str, Any] = {"limit": 0, "limit_per_host": PER_HOST}
        limits |= {"force_close": True} if fresh else {"keepalive_timeout": KEEP_ALIVE}
        connector: Any
        if socks is None:
            connector = aiohttp.TCPConnector(resolver=self._lookup, **limits)
        else:
            connector = import_module("aiohttp_socks").ProxyConnector.from_url(socks.url, **limits)
        # Where aiohttp makes its protocols is not public. Should that change, a kept connection that died costs one attempt.
        connector._factory = functools.partial(_Connection, loop=asyncio.get_running_loop())
        known = inspect.signature(aiohttp.ClientSession).parameters
        return aiohttp.ClientSession(
            connector=connector,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=_TIMEOUT,
            **{name: value for name, value in _LIMITS.items() if name in known},
        )

    async def warm_up(self, origin: Origin) -> None:
        """Open a connection ahead."""
        proxy = self._proxies.proxy_of(origin)
        session = self._session(proxy, fresh=False)
        assert session.connector is not None
        url = URL(f"{origin.scheme}://{origin}/")
        options = self._options(origin, proxy)
        try:
            request = aiohttp.ClientRequest("POST", url, loop=asyncio.get_running_loop(), **options)
            connection = await session.connector.connect(request, traces=[], timeout=_TIMEOUT)
        except (aiohttp.ClientError, OSError) as error:
            failed = _translated(error)
        else:
            if isinstance(connection.protocol, _Connection):
                connection.protocol.used = True
            connection.release()
            return
        raise failed

    def _options(self, origin: Origin, proxy: Proxy | None) -> dict[str, Any]:
        options: dict[str, Any] = {"ssl": self._tls()} if origin.secure else {}
        if proxy is not None and not proxy.scheme.startswith("socks"):
            options["proxy"] = URL(proxy.url)
        return options

    async def aclose(self) -> None:
        """Close the connections."""
        sessions, self._sessions = self._sessions, {}
        for session in sessions.values():
            await session.close()


def _translated(error: Exception) -> BackendError:
    """An error of aiohttp's or of the system as one of hotspare's, without its traceback."""
    words = str(error) or type(error).__name__
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError | aiohttp.ClientHttpProxyError):
        return ConnectError(f"cannot connect: {words}")
    if isinstance(error, aiohttp.ClientResponseError):
        return TransportError(f"broken HTTP: {error.message}")
    return TransportError(f"the connection broke: {words}")
