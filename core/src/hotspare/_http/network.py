"""httpcore's network backend, with every operation bounded and abortable through the attempt's handle.

httpcore fixes the timeouts of a request when the request is made, and gives access to the socket only after the headers. A network
backend is its documented extension point for both.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import httpcore
import httpx

from hotspare._http.abort import CURRENT, AbortHandle


def install_backend(client: httpx.Client) -> None:
    """Give a client's connection pools this network backend.

    The attribute in which httpx keeps its pools is not public: if it changes, reads keep the timeout of their request, and an aborted
    attempt ends when its wait is over.
    """
    for transport in (client._transport, *client._mounts.values()):  # pyright: ignore[reportPrivateUsage]
        pool: Any = getattr(transport, "_pool", None)
        if isinstance(pool, httpcore.ConnectionPool):
            pool._network_backend = _Backend()  # pyright: ignore[reportPrivateUsage]


def _bounded(timeout: float | None) -> float | None:
    handle = CURRENT.get()
    return timeout if handle is None else handle.timeout(timeout)


class _Stream(httpcore.NetworkStream):
    """A connection. It belongs to the handle of its latest request, even if another thread continues to read."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream
        self._handle: AbortHandle | None = None

    def _timeout(self, timeout: float | None) -> float | None:
        handle = self._handle = CURRENT.get() or self._handle
        if handle is None:
            return timeout
        handle.attach(self._stream.get_extra_info("socket"))
        if handle.expired:  # a server may send single bytes, so that no single wait is long
            raise httpcore.ReadTimeout("the time of the attempt is over")
        return handle.timeout(timeout)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._timeout(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._timeout(timeout))

    def close(self) -> None:
        if self._handle is not None:
            self._handle.detach()
        self._stream.close()

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, _bounded(timeout)))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _Backend(httpcore.NetworkBackend):
    def __init__(self) -> None:
        self._backend = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        return _Stream(self._backend.connect_tcp(host, port, _bounded(timeout), local_address, socket_options))

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.NetworkStream:
        return _Stream(self._backend.connect_unix_socket(path, _bounded(timeout), socket_options))

    def sleep(self, seconds: float) -> None:
        self._backend.sleep(seconds)
