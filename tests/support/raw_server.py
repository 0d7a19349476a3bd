"""A loopback server that sends exactly the bytes it is given: for answers that no well-behaved server would send."""

from __future__ import annotations

import json
import socketserver
import struct
import threading
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from socket import SO_LINGER, SOL_SOCKET
from typing import Any, Literal

SSE_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


@dataclass(frozen=True)
class RawRequest:
    """One request as it came in."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def streaming(self) -> bool:
        """Whether a stream is requested."""
        return bool(self.json.get("stream")) or "streamGenerateContent" in self.path


Step = bytes | float | Literal["close", "reset", "hang"]
"""Bytes to send, seconds to wait, an orderly close, a TCP reset, or silence until the server ends.

A reset discards what the client's system has received and the client has not read: wait before it, or use a close, where the text counts.
"""
Handler = Callable[[RawRequest], bytes | Iterable[Step]]


class RawServer:
    """The server's address and what it received. `url` has no path."""

    def __init__(self, url: str, ended: threading.Event) -> None:
        self.url = url
        self.requests: list[RawRequest] = []
        self.connections = 0
        self.ended = ended


def response(status: int, body: object = b"", *, headers: Mapping[str, str] | None = None) -> bytes:
    """A whole HTTP response. `body`: bytes or text as they are, anything else as JSON."""
    data = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
    fields = {"content-type": "application/json", "content-length": str(len(data)), **(headers or {})}
    return (
        f"HTTP/1.1 {status} X\r\n".encode()
        + b"".join(f"{k}: {v}\r\n".encode() for k, v in fields.items())
        + b"\r\n"
        + data
    )


def chunk(data: bytes | str) -> bytes:
    """One chunk of a chunked body."""
    data = data if isinstance(data, bytes) else data.encode()
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def event(value: object, name: str = "") -> str:
    """A server-sent event with JSON, or with text as it is."""
    text = value if isinstance(value, str) else json.dumps(value)
    return (f"event: {name}\n" if name else "") + f"data: {text}\n\n"


def sse(*events: str, end: bool = True) -> list[Step]:
    """The steps of a whole event stream; `end=False`: its body does not end."""
    return [SSE_HEAD, *(chunk(one) for one in events), *([b"0\r\n\r\n"] if end else [])]


@contextmanager
def raw_server(handler: Handler) -> Generator[RawServer]:
    """Serve on a free port until the block ends."""
    ended = threading.Event()

    class Connection(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            server.connections += 1
            try:
                while (request := self.read()) is not None:
                    server.requests.append(request)
                    steps = handler(request)
                    if not all(self.write_step(step) for step in ([steps] if isinstance(steps, bytes) else steps)):
                        return
            except OSError:
                return  # the client left

        def read(self) -> RawRequest | None:
            line = self.rfile.readline().decode("latin-1").split(" ")
            if len(line) < 3:
                return None
            headers: dict[str, str] = {}
            while field := self.rfile.readline().decode("latin-1").strip():
                name, _, value = field.partition(":")
                headers[name.lower()] = value.strip()
            return RawRequest(line[0], line[1], headers, self.rfile.read(int(headers.get("content-length", 0))))

        def write_step(self, step: Step) -> bool:
            if isinstance(step, bytes):
                self.wfile.write(step)
            elif isinstance(step, int | float):
                ended.wait(step)
            elif step == "hang":
                ended.wait()
            else:
                if step == "reset":
                    self.connection.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
                    for file in (self.rfile, self.wfile, self.connection):  # before the server sends a FIN
                        file.close()
                return False
            return not ended.is_set()

    class Listener(socketserver.ThreadingTCPServer):
        allow_reuse_address = daemon_threads = True
        block_on_close = False
        request_queue_size = 128

    with Listener(("127.0.0.1", 0), Connection) as listener:
        server = RawServer(f"http://127.0.0.1:{listener.server_address[1]}", ended)
        threading.Thread(target=listener.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield server
        finally:
            ended.set()
            listener.shutdown()
