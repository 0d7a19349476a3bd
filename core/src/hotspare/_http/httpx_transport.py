"""httpx's transports: one that the caller passed, or httpx's own, through which vcrpy and other test tools replay recordings."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import httpx

from hotspare._http.abort import AbortHandle
from hotspare._http.dial import CONNECT
from hotspare._http.network import install_backend
from hotspare._http.protocol import Origin, Request
from hotspare._http.proxies import Proxies
from hotspare._http.request import build_request
from hotspare.errors import AttemptTimeout, BackendError, ConnectError, TransportError

_LIMITS = httpx.Limits(max_connections=1000, max_keepalive_connections=0)
"""A connection serves one request: h11 would read bytes after a response as the response to the next request."""


class HttpxAnswer:
    """An answer whose head was received."""

    def __init__(self, response: httpx.Response, handle: AbortHandle) -> None:
        self._response = response
        self._handle = handle
        self.status, self.headers = response.status_code, _headers(response)
        self._parts = iter((response.content,)) if response.is_stream_consumed else response.iter_raw()

    def read(self) -> bytes | None:
        """More of the body, not decoded; None at its end."""
        with _translated():
            part = next(self._parts, None)
        if part is not None and self._handle.expired:
            raise AttemptTimeout("the response did not come in time")
        return part

    def close(self) -> None:
        """Give the connection back if the body was read to its end, else close it."""
        self._response.close()


class AsyncHttpxAnswer:
    """An answer in async code."""

    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        self.status, self.headers = response.status_code, _headers(response)
        self._consumed = iter((response.content,)) if response.is_stream_consumed else None
        self._parts = response.aiter_raw()

    async def read(self) -> bytes | None:
        """More of the body, not decoded; None at its end."""
        if self._consumed is not None:
            return next(self._consumed, None)
        with _translated():
            return await anext(self._parts, None)

    async def aclose(self) -> None:
        """Give the connection back if the body was read to its end, else close it."""
        await self._response.aclose()


def _headers(response: httpx.Response) -> dict[str, str]:
    """The headers by lower-case name. A response that a test tool made is decoded already."""
    headers = {name.lower(): value for name, value in response.headers.items()}
    if response.is_stream_consumed:
        headers.pop("content-encoding", None)
    return headers


class HttpxTransport:
    """A client for threads. `given`: an instance of httpx's transport, or None for httpx's own one."""

    def __init__(self, given: Any, tls: Callable[[], ssl.SSLContext], proxies: Proxies) -> None:
        self._client = httpx.Client(**_options(given, tls, proxies))
        install_backend(self._client)

    def open(self, request: Request, handle: AbortHandle) -> HttpxAnswer:
        """The answer, as soon as its head was received."""
        with handle.bind(), _translated():
            sent = _built(self._client, request, handle.timeout(None))
            return HttpxAnswer(self._client.send(sent, stream=True, follow_redirects=False), handle)

    def warm_up(self, origin: Origin, handle: AbortHandle) -> None:
        """Nothing: httpx opens no connection without a request."""

    def close(self) -> None:
        """Close the idle connections."""
        self._client.close()


class AsyncHttpxTransport:
    """A client for one event loop."""

    def __init__(self, given: Any, tls: Callable[[], ssl.SSLContext], proxies: Proxies) -> None:
        self._client = httpx.AsyncClient(**_options(given, tls, proxies))

    async def open(self, request: Request) -> AsyncHttpxAnswer:
        """The answer, as soon as its head was received."""
        with _translated():
            sent = _built(self._client, request, None)
            return AsyncHttpxAnswer(await self._client.send(sent, stream=True, follow_redirects=False))

    async def warm_up(self, origin: Origin) -> None:
        """Nothing: httpx opens no connection without a request."""

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def _options(given: Any, tls: Callable[[], ssl.SSLContext], proxies: Proxies) -> dict[str, Any]:
    if given is not None:
        return {"transport": given}
    return {"limits": _LIMITS, "verify": tls(), "proxy": proxies.url, "trust_env": proxies.from_environment}


def _built(client: httpx.Client | httpx.AsyncClient, request: Request, timeout: float | None) -> httpx.Request:
    limits = httpx.Timeout(timeout, connect=CONNECT if timeout is None else min(CONNECT, timeout))
    return build_request(client, request, limits)


@contextmanager
def _translated() -> Generator[None]:
    """Convert httpx's errors, and drop them as causes: they hold the request, and with it the key."""
    try:
        yield
    except httpx.TransportError as error:
        words = str(error) or type(error).__name__
        failed: BackendError
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError):
            failed = ConnectError(f"cannot connect: {words}")
        elif isinstance(error, httpx.TimeoutException):
            failed = AttemptTimeout(f"no answer in time: {words}")
        else:
            failed = TransportError(f"the connection broke: {words}")
        raise failed from None
