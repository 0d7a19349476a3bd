"""A small HTTP/1.1 server side on asyncio's protocols: reads requests, plays answers step by step, can misbehave
on purpose.
"""

import asyncio
import enum
import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, cast

MAX_HEAD: Final = 64 * 1024
MAX_BODY: Final = 64 * 1024 * 1024


class Ending(enum.Enum):
    """How an answer ends when it does not simply end."""

    RESET = "reset"
    CLOSE = "close"
    HANG = "hang"


Step = bytes | int | float | Ending
"""One step of an answer: bytes to write, seconds to wait, or the way to end."""


@dataclass(slots=True)
class Request:
    """One request. Header names are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Observer:
    """What a server wants to know about its connections; every method may be overridden."""

    def opened(self, connection: "Connection") -> None:
        """A client connected."""

    def closed(self, connection: "Connection", *, by_client: bool, busy: bool) -> None:
        """A connection is gone; `busy` when an answer was still due."""

    def finished(self) -> None:
        """An answer has been played to its end."""


class Connection(asyncio.Protocol):
    """One client's connection: one request at a time, kept alive."""

    def __init__(self, handle: Callable[[Request], Iterator[Step]], observer: Observer) -> None:
        self._handle = handle
        self._observer = observer
        self._loop = asyncio.get_running_loop()
        self._buffer = bytearray()
        self._steps: Iterator[Step] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._keep = True
        self._ours = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = cast("asyncio.Transport", transport)
        sock = cast("socket.socket", transport.get_extra_info("socket"))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._observer.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        busy = self._steps is not None
        self._steps = None
        if self._timer is not None:
            self._timer.cancel()
        self._observer.closed(self, by_client=not self._ours, busy=busy)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._buffer += data
        if self._steps is None:
            self._next_request()

    def _next_request(self) -> None:
        while self._steps is None and self._buffer and not self._transport.is_closing():
            try:
                request = _parse(self._buffer)
            except ValueError:
                self._write_and_close(plain(400, b"Bad Request", "text/plain"))
                return
            if request is None:
                if b"100-continue" in self._buffer and b"\r\n\r\n" in self._buffer[-4:]:
                    self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                return
            self._keep = request.headers.get("connection", "").lower() != "close"
            self._steps = self._handle(request)
            self._advance()

    def _advance(self) -> None:
        """Play on until a delay or the end; what is due at once goes out in one write."""
        self._timer = None
        out: list[bytes] = []
        for step in self._steps or ():
            if isinstance(step, bytes):
                out.append(step)
            elif isinstance(step, int | float):
                self._flush(out)
                self._timer = self._loop.call_later(step, self._advance)
                return
            else:
                self._flush(out)
                self._end(step)
                return
        self._flush(out)
        self._settle()
        if not self._keep:
            self._end(Ending.CLOSE)
        elif self._buffer:
            self._loop.call_soon(self._next_request)

    def _flush(self, out: list[bytes]) -> None:
        if out and not self._transport.is_closing():
            self._transport.write(b"".join(out))

    def _end(self, ending: Ending) -> None:
        if ending is Ending.RESET:
            self.reset()
        elif ending is Ending.CLOSE:
            self._settle()
            self._ours = True
            self._transport.close()

    def _settle(self) -> None:
        """Our side is done with the answer, however it ended."""
        if self._steps is not None:
            self._steps = None
            self._observer.finished()

    def _write_and_close(self, data: bytes) -> None:
        self._transport.write(data)
        self._end(Ending.CLOSE)

    def reset(self) -> None:
        """End with an RST, as a machine that died."""
        self._settle()
        self._ours = True
        sock = self._transport.get_extra_info("socket")
        if sock is not None:
            # zero linger makes close() send RST instead of FIN
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()


def _parse(buffer: bytearray) -> Request | None:
    """Take one whole request off the buffer; None while it is not all there. Raises ValueError for what is no HTTP."""
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        if len(buffer) > MAX_HEAD:
            raise ValueError("head too large")
        return None
    lines = buffer[:end].decode("latin-1").split("\r\n")
    method, path, _version = lines[0].split(" ", 2)
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body, after = _dechunk(buffer, end + 4)
    else:
        length = int(headers.get("content-length") or 0)
        if not 0 <= length <= MAX_BODY:
            raise ValueError("body too large")
        after = end + 4 + length
        body = bytes(buffer[end + 4 : after]) if len(buffer) >= after else None
    if body is None:
        return None
    del buffer[:after]
    return Request(method, path, headers, body)


def _dechunk(buffer: bytearray, at: int) -> tuple[bytes | None, int]:
    out = bytearray()
    while (line := buffer.find(b"\r\n", at)) >= 0:
        size = int(bytes(buffer[at:line]).split(b";")[0], 16)
        start = line + 2
        if len(buffer) < start + size + 2:
            return None, at
        out += buffer[start : start + size]
        at = start + size + 2
        if size == 0:
            return bytes(out), at
    return None, at


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Overloaded" if status == 529 else "Unknown"


def head(status: int, headers: dict[str, str]) -> bytes:
    """The status line and headers."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} {_reason(status)}\r\n{lines}\r\n".encode("latin-1")


def plain(
    status: int, body: bytes, content_type: str = "application/json", headers: dict[str, str] | None = None
) -> bytes:
    """A whole answer with its length."""
    return head(status, {"content-type": content_type, "content-length": str(len(body)), **(headers or {})}) + body


def chunk(data: bytes) -> bytes:
    """One piece of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST_CHUNK: Final = b"0\r\n\r\n"
