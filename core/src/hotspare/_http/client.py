"""Sends requests over the connections of one pool, for threads and for event loops, then decodes the responses and limits their size.

The transports: HTTP/1.1 over connections of its own in threads, under asyncio and under trio; httpx's if the caller passes one,
with ``transport="httpx"``, and while vcrpy or another test tool has replaced httpx's own.
"""

from __future__ import annotations

import os
import ssl
import threading
from asyncio import CancelledError
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from types import TracebackType
from typing import Any, Self
from weakref import WeakKeyDictionary, ref

from hotspare._http.abort import CURRENT, AbortHandle
from hotspare._http.decoding import ACCEPTED, Decoder
from hotspare._http.headers import Headers
from hotspare._http.loading import LOADING
from hotspare._http.loops import running_loop
from hotspare._http.protocol import Answer, AsyncAnswer, AsyncTransport, Origin, Request, Transport, split_url
from hotspare._http.proxies import Proxies
from hotspare._http.resolver import Resolver
from hotspare._http.test_tools import is_httpx_replaced
from hotspare._http.tls import Certificate, check_tls, tls_context
from hotspare._http.transports import check_transport
from hotspare.errors import BackendError, BodyTooLarge
from hotspare.secret import Secret, reveal

MAX_BODY = 32 * 1024 * 1024
"""Most bytes of a decoded body, whole or streamed: far more than any chat answer."""

MAX_ERROR_BODY = 64 * 1024
"""Bytes of an error's body that are read: the message is at its beginning."""


@dataclass(slots=True)  # not frozen, as `Request`
class Response:
    """A whole answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Http:
    """Connections of one pool. Safe between threads, event loops and forks; a child process gets its own.

    Args:
        transport: `auto`, `httpx`, or an instance of an httpx transport.
        verify: TLS verification: True, False, a CA bundle's path, or an `ssl.SSLContext`.
        cert: a client certificate's PEM file; or certificate, key, and the key's password.
        proxy: a proxy's URL; None: as in the environment; False: none.

    Raises ConfigError for an unknown transport, an invalid proxy, and files that do not exist.
    """

    def __init__(
        self,
        transport: Any = "auto",
        verify: Any = True,
        *,
        cert: Certificate | None = None,
        proxy: str | bool | None = None,
    ) -> None:
        check_transport(transport)
        check_tls(verify, cert)
        self._transport = transport
        self._verify, self._cert = verify, cert
        self._proxies = Proxies(proxy)
        self._tls_context: ssl.SSLContext | None = None
        self._origins: dict[Origin, None] = {}
        self._expects_tls = False
        self.after_fork()

    def after_fork(self) -> None:
        """Begin without connections and with new locks: a child process cannot use its parent's, and a thread of the parent may hold a lock."""
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._tls_lock = threading.Lock()
        self._resolver = Resolver()
        self._sync: dict[bool, Transport] = {}
        self._async: WeakKeyDictionary[Any, dict[bool, AsyncTransport]] = WeakKeyDictionary()
        self._latest: tuple[ref[Any], bool, AsyncTransport] | None = None

    def _tls(self) -> ssl.SSLContext:
        """The TLS context, made when it is first needed: to load the CAs takes tens of milliseconds."""
        with LOADING, self._tls_lock:
            if self._tls_context is None:
                self._tls_context = tls_context(self._verify, self._cert)
            return self._tls_context

    def expect(self, url: Secret | str) -> None:
        """Register an address to which requests will be sent, for `prepare` and `warm_up`."""
        origin = split_url(reveal(url))[0]
        self._origins[origin] = None
        self._expects_tls |= origin.secure

    def prepare(self) -> None:
        """Load the libraries for sync callers, and the CAs if TLS is expected, so that neither counts as an attempt's time."""
        self._for_threads()
        self._prepare_tls()

    def aprepare(self) -> None:
        """`prepare`, for the running event loop. Without a running loop it does nothing, and the first attempt does this work."""
        latest = self._latest
        with suppress(RuntimeError):
            if latest is None or latest[0]() is not running_loop():
                self._for_loop()
        self._prepare_tls()

    def _prepare_tls(self) -> None:
        if self._expects_tls and self._tls_context is None and self._given is None:
            self._tls()

    def warm_up(self, timeout: float) -> None:
        """Open a connection to each expected origin, in parallel. If one fails, the first request opens it."""
        self.prepare()
        transport, handle = self._for_threads(), AbortHandle()
        handle.limit(timeout, from_now=True)
        threads: list[threading.Thread] = []
        for origin in self._origins:
            args = transport, origin, handle
            thread = threading.Thread(target=_without_error, args=args, name="hotspare-warm-up", daemon=True)
            with suppress(RuntimeError):  # no further thread can be started: the first request connects
                thread.start()
                threads.append(thread)
        for thread in threads:
            thread.join(handle.remaining())

    async def awarm_up(self, timeout: float) -> None:
        """`warm_up`, for the running event loop."""
        import anyio

        self.aprepare()
        transport = self._for_loop()

        async def connect(origin: Origin) -> None:
            with suppress(BackendError):
                await transport.warm_up(origin)

        with anyio.move_on_after(timeout):
            async with anyio.create_task_group() as group:
                for origin in self._origins:
                    group.start_soon(connect, origin)

    # --- sync ----------------------------------------------------------------------------------------------------

    def send(
        self, method: str, url: Secret | str, headers: Mapping[str, str] | Headers, body: bytes, *, timeout: float
    ) -> Response:
        """The whole answer within `timeout` seconds. Raises AttemptTimeout, BodyTooLarge, MalformedAnswer, TransportError."""
        with self.open(method, url, headers, body, timeout=timeout) as stream:
            parts: list[bytes] = []
            while (part := stream.read()) is not None:
                parts.append(part)
            return Response(stream.status, stream.headers, b"".join(parts))

    def open(
        self, method: str, url: Secret | str, headers: Mapping[str, str] | Headers, body: bytes, *, timeout: float
    ) -> Stream:
        """An answer whose head was received. The current attempt's handle bounds it; without one, `timeout` seconds do."""
        handle = CURRENT.get()
        if handle is None:
            handle = AbortHandle()
            handle.limit(timeout)
        return Stream(self._for_threads().open(_request(method, url, headers, body), handle), handle)

    def _for_threads(self) -> Transport:
        if self._pid != os.getpid():
            self.after_fork()
        tool = is_httpx_replaced()
        found = self._sync.get(tool)
        if found is None:
            with LOADING:
                self._load()
                made = self._new_transport(tool)
            with self._lock:
                found = self._sync.setdefault(tool, made)
        return found

    def _load(self) -> None:
        """Load what the standard library would load inside the first attempt."""
        import_module("encodings.idna")  # of socket.getaddrinfo

        self._proxies.load()

    def _new_transport(self, tool: bool) -> Transport:
        if self._transport == "auto" and not tool:
            from hotspare._http.dial import Dialer
            from hotspare._http.threads import ThreadTransport

            return ThreadTransport(Dialer(self._resolver, self._tls), self._proxies)
        from hotspare._http.httpx_transport import HttpxTransport

        return HttpxTransport(self._given, self._tls, self._proxies)

    @property
    def _given(self) -> Any:
        return None if isinstance(self._transport, str) else self._transport

    def close(self) -> None:
        """Close the connections of sync callers, and those of event loops that have ended.

        The transports stay usable for calls in flight, whose connections are closed after use.
        """
        for transport in list(self._sync.values()):
            transport.close()
        self._close_dead_loops()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- async ---------------------------------------------------------------------------------------------------

    async def asend(
        self, method: str, url: Secret | str, headers: Mapping[str, str] | Headers, body: bytes
    ) -> Response:
        """`send`, for asyncio and trio; the caller's cancel scope bounds it."""
        answer = await self._for_loop().open(_request(method, url, headers, body))
        try:
            decoding, parts = _Decoding(answer.status, answer.headers), list[bytes]()
            while not decoding.is_enough and (data := await answer.read()) is not None:
                parts.append(decoding.feed(data))
            return Response(answer.status, answer.headers, b"".join(parts))
        finally:
            await answer.aclose()

    async def aopen(
        self, method: str, url: Secret | str, headers: Mapping[str, str] | Headers, body: bytes
    ) -> AsyncStream:
        """`open`, for asyncio and trio; the caller's cancel scope bounds it."""
        return AsyncStream(await self._for_loop().open(_request(method, url, headers, body)))

    def _for_loop(self) -> AsyncTransport:
        loop = running_loop()
        if self._pid != os.getpid():
            self.after_fork()
        tool, latest = is_httpx_replaced(), self._latest
        if latest is not None and latest[0]() is loop and latest[1] is tool:
            return latest[2]
        transports = self._async.get(loop)
        if transports is None or tool not in transports:
            self._close_dead_loops()
            with LOADING:
                self._load()
                made = self._new_async_transport(loop, tool)
            transports = self._async.setdefault(loop, {})
            transports.setdefault(tool, made)
        self._latest = ref(loop), tool, transports[tool]
        return transports[tool]

    def _new_async_transport(self, loop: Any, tool: bool) -> AsyncTransport:
        if self._transport != "auto" or tool:
            from hotspare._http.httpx_transport import AsyncHttpxTransport

            return AsyncHttpxTransport(self._given, self._tls, self._proxies)
        if not hasattr(loop, "call_soon"):  # trio
            from hotspare._http.trio_transport import TrioTransport

            return TrioTransport(self._tls, self._proxies)
        from hotspare._http.asyncio_transport import AsyncioTransport

        return AsyncioTransport(self._resolver, self._tls, self._proxies)

    def _close_dead_loops(self) -> None:
        """Close the connections of event loops that have ended: each `asyncio.run` leaves some behind.

        Nothing in such a transport can wait any more: closing it either returns immediately or fails because the loop has ended;
        the sockets are closed in both cases.
        """
        with self._lock:
            ended = [loop for loop in list(self._async) if hasattr(loop, "is_closed") and loop.is_closed()]
            transports = [transport for loop in ended for transport in self._async.pop(loop).values()]
            self._latest = None if ended else self._latest
        for transport in transports:
            closing: Any = transport.aclose()
            for step in (lambda closing=closing: closing.send(None), closing.close):
                # An error here must not reach a call that begins in another loop.
                with suppress(Exception, CancelledError):
                    step()

    def __del__(self) -> None:
        """Close the connections that an unclosed pool leaves in ended event loops, so that Python does not report them as unclosed."""
        if hasattr(self, "_async"):
            self._close_dead_loops()

    async def aclose(self) -> None:
        """Close the connections of this event loop, and those of sync callers."""
        for transport in list(self._async.get(running_loop(), {}).values()):
            await transport.aclose()
        self.close()


def _without_error(transport: Transport, origin: Origin, handle: AbortHandle) -> None:
    with suppress(BackendError):
        transport.warm_up(origin, handle)


def _request(method: str, url: Secret | str, headers: Mapping[str, str] | Headers, body: bytes) -> Request:
    fields = headers if isinstance(headers, Headers) else Headers({"accept-encoding": ACCEPTED, **headers})
    return Request(method, reveal(url), fields, body)


class _Decoding:
    """Decodes a body piece by piece, and counts its bytes."""

    __slots__ = ("_decoder", "_failed", "_size", "_status", "is_enough")

    def __init__(self, status: int, headers: Mapping[str, str]) -> None:
        coding = headers.get("content-encoding", "")
        self._decoder = Decoder(coding, MAX_BODY) if coding and coding.lower() != "identity" else None
        self._failed = not 200 <= status < 300
        self._status = status
        self._size = 0
        self.is_enough = False
        """Whether the rest of an error's body is not needed."""

    def feed(self, data: bytes) -> bytes:
        """Raises MalformedAnswer for bytes that cannot be decoded, BodyTooLarge for an answer that is too long."""
        part = data if self._decoder is None else self._decoder.feed(data)
        self._size += len(part)
        if self._failed:
            self.is_enough = self._size > MAX_ERROR_BODY
        elif self._size > MAX_BODY:
            raise BodyTooLarge(f"more than {MAX_BODY} bytes", status=self._status)
        return part


class Stream:
    """A streamed answer in sync code. Its handle bounds the reads that follow."""

    def __init__(self, answer: Answer, handle: AbortHandle) -> None:
        self._answer = answer
        self.status = answer.status
        self.headers = answer.headers
        self._decoding = _Decoding(answer.status, answer.headers)
        self.handle = handle

    def read(self) -> bytes | None:
        """More of the decoded body (of an error only the beginning); None at its end, and b"" if a read returned no bytes of the body."""
        if self._decoding.is_enough:
            return None
        data = self._answer.read()
        return self._decoding.feed(data) if data else data

    def close(self) -> None:
        """Give the connection back, or close it if the answer was not read to its end."""
        self.handle.detach()
        self._answer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncStream:
    """A streamed answer in async code."""

    def __init__(self, answer: AsyncAnswer) -> None:
        self._answer = answer
        self.status = answer.status
        self.headers = answer.headers
        self._decoding = _Decoding(answer.status, answer.headers)

    async def read(self) -> bytes | None:
        """More of the decoded body (of an error only the beginning); None at its end, and b"" if a read returned no bytes of the body."""
        if self._decoding.is_enough:
            return None
        data = await self._answer.read()
        return self._decoding.feed(data) if data else data

    async def aclose(self) -> None:
        """Give the connection back, or close it if the answer was not read to its end."""
        await self._answer.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
