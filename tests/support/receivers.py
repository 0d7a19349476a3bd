"""A webhook and a mail server, over real sockets, that keep what they are sent."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from aiosmtpd.controller import Controller


class Receiver:
    """A webhook: what was posted to it. `statuses`: those of its next answers."""

    def __init__(self) -> None:
        self.notices: list[dict[str, Any]] = []
        self.statuses: list[int] = []

    @contextmanager
    def serve(self) -> Iterator[str]:
        """Its URL."""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                status = receiver.statuses.pop(0) if receiver.statuses else 200
                if status == 200:
                    receiver.notices.append(body)
                self.send_response(status)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Nothing on stderr."""

        server = HTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/hook-with-a-secret"
        server.shutdown()
        server.server_close()


class Mailbox:
    """The handler of a mail server: what it took."""

    def __init__(self) -> None:
        self.mails: list[str] = []

    async def handle_DATA(self, server: object, session: object, envelope: Any) -> str:
        """A mail."""
        self.mails.append(envelope.content.decode())
        return "250 OK"


@contextmanager
def mail_server(mailbox: Mailbox) -> Iterator[int]:
    """Its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    controller = Controller(mailbox, hostname="127.0.0.1", port=port)
    controller.start()
    yield port
    controller.stop()
