"""The server side of an HTTP/1.1 connection. h11 reads the requests; responses are written as raw bytes, because faults
need responses that no HTTP library would write."""

import asyncio
import enum
import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, cast

import h11

MAX_HEAD: Final = 64 * 1024
MAX_BODY: Final = 64 * 1024 * 1024


class AbnormalEnd(enum.Enum):
    """How a response ends early: connection reset, connection closed, or nothing more is sent."""

    RESET = "reset"
    CLOSE = "close"
    HANG = "hang"


Step = bytes | int | float | AbnormalEnd
"""One step of a response: bytes to write, seconds to wait, or its early end."""


@dataclass(slots=True)
class HttpRequest:
    """One request. Header names are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Observer:
    """Callbacks for a server's connections, which do nothing by default."""

    def opened(self, connection: "Connection") -> None:
        """A client connected."""

    def closed(self, connection: "Connection", *, by_client: bool, busy: bool) -> None:
        """A connection was closed. `busy`: its response was not finished."""

    def finished(self) -> None:
        """A response has ended, completely or early."""


class Connection(asyncio.Protocol):
    """One client's connection: one request at a time, kept alive.

    Every request has its own h11 parser, which starts with the bytes that the previous one did not use. One parser for
    all requests would have to be given each response too, and h11 does not accept a broken response.
    """

    def __init__(self, handle: Callable[[HttpRequest], Iterator[Step]], observer: Observer) -> None:
        self._handle = handle
        self._observer = observer
        self._loop = asyncio.get_running_loop()
        self._steps: Iterator[Step] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._closed_by_us = False
        self._new_parser(b"")

    def _new_parser(self, received: bytes) -> None:
        self._parser = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        self._request = HttpRequest("", "", {}, b"")
        self._body = bytearray()
        if received:  # h11 takes an empty input for the end of the connection
            self._parser.receive_data(received)

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
        self._observer.closed(self, by_client=not self._closed_by_us, busy=busy)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._parser.receive_data(data)
        self._read()

    def _read(self) -> None:
        """Read what has arrived, until one request is complete."""
        try:
            while self._steps is None and not self._transport.is_closing():
                event = self._parser.next_event()
                if isinstance(event, h11.Request):
                    self._begin(event)
                elif isinstance(event, h11.Data):
                    self._body += event.data
                    _check_size(len(self._body))
                elif isinstance(event, h11.EndOfMessage):
                    self._respond()
                else:
                    if self._parser.they_are_waiting_for_100_continue:
                        proceed = h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue")
                        self._transport.write(self._parser.send(proceed) or b"")
                    return
        except h11.RemoteProtocolError as error:
            self._transport.write(response(error.error_status_hint, str(error).encode(), "text/plain"))
            self._end(AbnormalEnd.CLOSE)

    def _begin(self, event: h11.Request) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers}
        _check_size(int(headers.get("content-length", 0)))
        self._request = HttpRequest(event.method.decode("latin-1"), event.target.decode("latin-1"), headers, b"")

    def _respond(self) -> None:
        self._request.body = bytes(self._body)
        self._steps = self._handle(self._request)
        self._advance()

    def _advance(self) -> None:
        """Run the steps up to the next wait or the end. Their bytes are sent in one write."""
        self._timer = None
        out: list[bytes] = []
        for step in self._steps or ():
            if isinstance(step, bytes):
                out.append(step)
            elif isinstance(step, int | float):
                self._flush(out)
                self._timer = self._loop.call_later(step, self._resume)
                return
            else:
                self._flush(out)
                self._end(step)
                return
        self._flush(out)
        self._finish()
        if self._parser.their_state is h11.MUST_CLOSE:
            self._end(AbnormalEnd.CLOSE)
        else:
            self._new_parser(self._parser.trailing_data[0])

    def _resume(self) -> None:
        """Continue the response after a wait; then read a request that arrived meanwhile."""
        self._advance()
        self._read()

    def _flush(self, out: list[bytes]) -> None:
        if out and not self._transport.is_closing():
            self._transport.write(b"".join(out))

    def _end(self, ending: AbnormalEnd) -> None:
        if ending is AbnormalEnd.RESET:
            self.reset()
        elif ending is AbnormalEnd.CLOSE:
            self._finish()
            self._closed_by_us = True
            self._transport.close()

    def _finish(self) -> None:
        if self._steps is not None:
            self._steps = None
            self._observer.finished()

    def reset(self) -> None:
        """End with an RST, like a machine that crashed."""
        self._finish()
        self._closed_by_us = True
        sock = self._transport.get_extra_info("socket")
        if sock is not None:
            # with a linger time of zero, close() sends RST instead of FIN
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()


def _check_size(size: int) -> None:
    if size > MAX_BODY:
        raise h11.RemoteProtocolError(f"body over {MAX_BODY} bytes", error_status_hint=413)


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Overloaded" if status == 529 else "Unknown"


def response_head(status: int, headers: dict[str, str]) -> bytes:
    """The status line and the headers."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} {_reason(status)}\r\n{lines}\r\n".encode("latin-1")


def response(
    status: int, body: bytes, content_type: str = "application/json", headers: dict[str, str] | None = None
) -> bytes:
    """A whole response with a content length."""
    fixed = {"content-type": content_type, "content-length": str(len(body))}
    return response_head(status, {**fixed, **(headers or {})}) + body


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST_CHUNK: Final = b"0\r\n\r\n"
