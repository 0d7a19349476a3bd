"""httpcore's network backend, with every read and write on the line that the request was made over.

httpcore fixes a body's read timeout when the request is made, and a socket is known to nobody before the headers are
there. A network backend is httpcore's documented way below both.
"""

from __future__ import annotations

from typing import Any

import httpcore
import httpx

from hotspare._http.abort import CURRENT, AbortHandle


def install_backend(client: httpx.Client) -> None:
    """Put a client's connections on lines.

    Where httpx keeps its pools is not public: should it move them, reads keep the timeout of their request, and what is
    cut ends when its wait is over.
    """
    for transport in (client._transport, *client._mounts.values()):  # pyright: ignore[reportPrivateUsage]
        pool: Any = getattr(transport, "_pool", None)
        if isinstance(pool, httpcore.ConnectionPool):
            pool._network_backend = _Backend()  # pyright: ignore[reportPrivateUsage]


class _Stream(httpcore.NetworkStream):
    """A connection. It stays on the line of its last request until that one is over, whichever thread reads on."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream
        self._line: AbortHandle | None = None

    def _take(self) -> AbortHandle | None:
        line = self._line = CURRENT.get() or self._line
        if line is not None:
            line.attach(self._stream.get_extra_info("socket"))
        return line

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        line = self._take()
        bounded = None if line is None else line.read_timeout
        return self._stream.read(max_bytes, timeout if bounded is None else max(0.001, bounded))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._take()
        self._stream.write(buffer, timeout)

    def close(self) -> None:
        if self._line is not None:
            self._line.detach()
        self._stream.close()

    def start_tls(self, *args: Any, **options: Any) -> httpcore.NetworkStream:
        return _Stream(self._stream.start_tls(*args, **options))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _Backend(httpcore.NetworkBackend):
    def __init__(self) -> None:
        self._backend = httpcore.SyncBackend()

    def connect_tcp(self, *args: Any, **options: Any) -> httpcore.NetworkStream:
        return _Stream(self._backend.connect_tcp(*args, **options))

    def connect_unix_socket(self, *args: Any, **options: Any) -> httpcore.NetworkStream:
        return _Stream(self._backend.connect_unix_socket(*args, **options))

    def sleep(self, seconds: float) -> None:
        self._backend.sleep(seconds)
