"""The interface of the transports: a request, and an answer that can be read and closed.

A transport sends one request and returns the answer as soon as its head was received. It follows no redirect, decodes no
content coding, and raises TransportError, ConnectError or AttemptTimeout.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol
from urllib.parse import urlsplit

from hotspare._http.abort import AbortHandle
from hotspare._http.headers import Headers
from hotspare.secret import HiddenStr


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port of a server."""

    scheme: str
    host: str
    port: int
    _text: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        host = f"[{self.host}]" if ":" in self.host else self.host
        text = host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"
        object.__setattr__(self, "_text", text)

    @property
    def secure(self) -> bool:
        """Whether it is reached over TLS."""
        return self.scheme == "https"

    def __str__(self) -> str:
        return self._text


@lru_cache(maxsize=4096)
def split_url(url: str) -> tuple[Origin, HiddenStr]:
    """The origin of a URL and the request target, whose query may hold a key."""
    parts = urlsplit(url)
    host = (parts.hostname or "").encode("idna").decode() if not (parts.hostname or "").isascii() else parts.hostname
    origin = Origin(parts.scheme, host or "", parts.port or (443 if parts.scheme == "https" else 80))
    return origin, HiddenStr((parts.path or "/") + (f"?{parts.query}" if parts.query else ""))


@dataclass(slots=True)  # not frozen: creating one would take four times as long
class Request:
    """One request. Its repr shows neither the headers nor the URL: both may hold a key."""

    method: str
    url: str = field(repr=False)
    headers: Headers = field(repr=False)
    body: bytes = field(repr=False)


class Answer(Protocol):
    """An answer in sync code, whose head was received."""

    @property
    def status(self) -> int:
        """The status of the final response."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, by lower-case name."""
        ...

    def read(self) -> bytes | None:
        """More of the body, not decoded; None at its end, and b"" if a read returned no bytes of the body."""
        ...

    def close(self) -> None:
        """Give the connection back if the body was read to its end, else close it."""
        ...


class AsyncAnswer(Protocol):
    """An answer in async code."""

    @property
    def status(self) -> int:
        """The status of the final response."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, by lower-case name."""
        ...

    async def read(self) -> bytes | None:
        """More of the body, not decoded; None at its end, and b"" if a read returned no bytes of the body."""
        ...

    async def aclose(self) -> None:
        """Give the connection back if the body was read to its end, else close it."""
        ...


class Transport(Protocol):
    """The connections of threads."""

    def warm_up(self, origin: Origin, handle: AbortHandle) -> None:
        """Open a connection before the first request, if the library can."""
        ...

    def open(self, request: Request, handle: AbortHandle) -> Answer:
        """Send a request. The handle limits its time, and the time of reading the answer."""
        ...

    def close(self) -> None:
        """Close the idle connections."""
        ...


class AsyncTransport(Protocol):
    """Connections of one event loop."""

    async def warm_up(self, origin: Origin) -> None:
        """Open a connection before the first request, if the library can."""
        ...

    async def open(self, request: Request) -> AsyncAnswer:
        """Send a request. The caller's cancel scope limits its time."""
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...
