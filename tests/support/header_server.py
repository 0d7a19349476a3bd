"""A server that records the headers of each request, keys included, and rejects it. With `answer` it returns that instead."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[[int], dict[str, Any]]


class HeaderServer(ThreadingHTTPServer):
    """`seen`: the path and the headers of each request, in lower case. `answer`: the body of the nth one; None: a 400."""

    def __init__(self, answer: Answer | None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: HeaderServer

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        self.server.seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        answer = self.server.answer
        body = json.dumps({"error": {"message": "no"}} if answer is None else answer(len(self.server.seen))).encode()
        self.send_response(400 if answer is None else 200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is printed."""


@contextmanager
def header_server(answer: Answer | None = None) -> Iterator[HeaderServer]:
    """Running on a free port of loopback."""
    with HeaderServer(answer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()
