"""Sends a request through an httpx transport, for threads and for event loops, and bounds what comes back.

`benchmarks/transport.py` measures the candidates. `auto` is aiohttp under asyncio, and httpx's own transport for sync
callers, trio, and custom TLS verification. (pyreqwest is faster still, but it answers a cancel scope with a cancellation
that anyio does not recognise, and reports every early end of a connection as a connect error.) vcrpy replays httpx's own
transport: record and replay with ``transport="httpx"``.
"""

from __future__ import annotations

import os
import threading
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from weakref import WeakKeyDictionary

from hotspare._http.abort import CURRENT, AbortHandle
from hotspare._http.headers import Headers
from hotspare._http.loops import running_loop
from hotspare.errors import AttemptTimeout, BodyTooLarge, ConfigError, Problem
from hotspare.secret import Secret

if TYPE_CHECKING:
    import httpx

MAX_BODY = 32 * 1024 * 1024
"""Bytes of a whole decoded body; no chat answer comes near."""

MAX_ERROR_BODY = 64 * 1024
"""Bytes of an error's body that are read: its beginning says what it is about."""

TRANSPORTS = ("auto", "httpx", "aiohttp")


@dataclass(frozen=True, slots=True)
class Response:
    """A whole answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Http:
    """Connections of one pool. Safe between threads, event loops and forks; a child process gets its own.

    Args:
        transport: `auto`, `httpx`, `aiohttp`, or an instance of an httpx transport.
        verify: TLS verification: True, a CA bundle's path, or an `ssl.SSLContext`.

    Raises ConfigError for an unknown transport.
    """

    def __init__(self, transport: Any = "auto", verify: Any = True) -> None:
        if isinstance(transport, str) and transport not in TRANSPORTS:
            raise ConfigError(Problem.at("transport", transport, f"must be one of {', '.join(TRANSPORTS)}"))
        if isinstance(verify, str) and not os.path.exists(verify):
            raise ConfigError(Problem.at("verify", verify, "does not exist: name a CA bundle, or leave it out"))
        self._transport = transport
        self._verify = verify
        self._lock = threading.Lock()
        self._forget()

    def _forget(self) -> None:
        self._pid = os.getpid()
        self._sync: httpx.Client | None = None
        self._async: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()

    def prepare(self) -> None:
        """Load the HTTP library and build the client for sync callers, so that neither counts as an attempt's time."""
        self._client()

    def aprepare(self) -> None:
        """`prepare`, for the running event loop. Without one it does nothing: the first attempt will do it."""
        with suppress(RuntimeError):
            self._aclient()

    # --- sync ----------------------------------------------------------------------------------------------------

    def send(
        self, method: str, url: Secret | str, headers: Mapping[str, str] | Headers, body: bytes, *, timeout: float
    ) -> Response:
        """The whole answer within `timeout` seconds. Raises AttemptTimeout, BodyTooLarge, or httpx's transport errors."""
        with self.open(method, url, headers, body, timeout=timeout) as stream:
            parts: list[bytes] = []
            for part in stream.iter_bytes():
                parts.append(part)
                if stream.handle.expired:
                    raise AttemptTimeout(f"no whole answer within {timeout:.1f} s")
            return Response(stream.status, stream.headers, b"".join(parts))

    def open(
        self, method: str, url: Secret | str, headers: Mapping[str, str] | Headers, body: bytes, *, timeout: float
    ) -> Stream:
        """An answer whose headers have come. The current attempt's handle bounds it; without one, `timeout` seconds do."""
        import httpx

        from hotspare._http.request import build_request

        client = self._client()
        request = build_request(client, method, url, headers, body, timeout)
        handle = CURRENT.get()
        if handle is None:
            handle = AbortHandle()
            handle.limit(timeout)
        with handle.bind():
            response = client.send(request, stream=True, follow_redirects=False)
        assert isinstance(response, httpx.Response)
        return Stream(response, handle)

    def _client(self) -> httpx.Client:
        if self._sync is None or self._pid != os.getpid():
            with self._lock:
                if self._pid != os.getpid():
                    self._forget()
                if self._sync is None:
                    self._sync = self._make_client()
        return self._sync

    def _make_client(self) -> httpx.Client:
        import httpx

        from hotspare._http.network import install_backend

        if isinstance(self._transport, str):
            limits = httpx.Limits(max_connections=1000, max_keepalive_connections=100)
            client = httpx.Client(limits=limits, verify=self._verify)
        else:
            client = httpx.Client(transport=self._transport)
        install_backend(client)
        return client

    def close(self) -> None:
        """Close the connections of sync callers, and those of event loops that have ended."""
        with self._lock:
            client, self._sync = self._sync, None
        if client is not None:
            client.close()
        self._close_dead_loops()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- async ---------------------------------------------------------------------------------------------------

    async def asend(
        self, method: str, url: Secret | str, headers: Mapping[str, str] | Headers, body: bytes, *, timeout: float
    ) -> Response:
        """`send`, for asyncio and trio. The caller's cancel scope bounds it too."""
        async with await self.aopen(method, url, headers, body, read_timeout=timeout) as stream:
            parts = [part async for part in stream.aiter_bytes()]
            return Response(stream.status, stream.headers, b"".join(parts))

    async def aopen(
        self, method: str, url: Secret | str, headers: Mapping[str, str] | Headers, body: bytes, *, read_timeout: float
    ) -> AsyncStream:
        """`open`, for asyncio and trio. The caller's cancel scope bounds it; `read_timeout` (seconds) is an upper bound."""
        from hotspare._http.request import build_request

        client = self._aclient()
        request = build_request(client, method, url, headers, body, read_timeout)
        return AsyncStream(await client.send(request, stream=True, follow_redirects=False))

    def _aclient(self) -> Any:
        loop = running_loop()
        if self._pid != os.getpid():
            with self._lock:
                self._forget()
        client = self._async.get(loop)
        if client is None:
            self._close_dead_loops()
            client = self._async[loop] = self._make_aclient(trio=not hasattr(loop, "call_soon"))
        return client

    def _close_dead_loops(self) -> None:
        """Close the clients of event loops that have ended: each `asyncio.run` leaves one behind.

        Nothing in such a client can wait any more: closing it ends at once, or fails because the loop has ended, and its
        sockets are closed either way.
        """
        with self._lock:
            ended = [loop for loop in list(self._async) if hasattr(loop, "is_closed") and loop.is_closed()]
            clients = [self._async.pop(loop) for loop in ended]
        for client in clients:
            closing = client.aclose()
            with suppress(StopIteration, RuntimeError):
                closing.send(None)
            closing.close()

    def _make_aclient(self, *, trio: bool) -> Any:
        import httpx

        given = self._transport
        limits = httpx.Limits(max_connections=1000, max_keepalive_connections=100)
        if not isinstance(given, str):
            return httpx.AsyncClient(transport=given)
        if not trio and (given == "aiohttp" or (given == "auto" and self._verify is True)):
            from httpx_aiohttp import AiohttpTransport

            return httpx.AsyncClient(transport=AiohttpTransport(limits=limits), limits=limits)
        return httpx.AsyncClient(limits=limits, verify=self._verify)

    async def aclose(self) -> None:
        """Close the connections of this event loop, and those of sync callers."""
        client = self._async.pop(running_loop(), None)
        if client is not None:
            await client.aclose()
        self.close()


def _is_enough(status: int, size: int) -> bool:
    """Whether the rest of the body is not needed. Raises BodyTooLarge for an answer that is too long."""
    if 200 <= status < 300:
        if size > MAX_BODY:
            raise BodyTooLarge(f"more than {MAX_BODY} bytes", status=status)
        return False
    return size > MAX_ERROR_BODY


class Stream:
    """A streamed answer in sync code. Its handle bounds the reads that follow."""

    def __init__(self, response: httpx.Response, handle: AbortHandle) -> None:
        self._response = response
        self.status = response.status_code
        self.headers = response.headers
        self.handle = handle

    def iter_bytes(self) -> Generator[bytes]:
        """The decoded body, piece by piece; of an error's only the beginning."""
        size = 0
        for part in self._response.iter_bytes():
            size += len(part)
            yield part
            if _is_enough(self.status, size):
                return

    def close(self) -> None:
        """Give the connection back, or close it if the answer was not read to its end."""
        self.handle.detach()
        self._response.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncStream:
    """A streamed answer in async code."""

    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        self.status = response.status_code
        self.headers = response.headers

    async def aiter_bytes(self) -> AsyncGenerator[bytes]:
        """The decoded body, piece by piece; of an error's only the beginning."""
        size = 0
        async for part in self._response.aiter_bytes():
            size += len(part)
            yield part
            if _is_enough(self.status, size):
                return

    async def aclose(self) -> None:
        """Give the connection back, or close it if the answer was not read to its end."""
        await self._response.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
