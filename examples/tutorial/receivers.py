"""A webhook and a mail server on loopback that keep what they are sent, in the place of Slack and of your company's mail server."""

import json
import socketserver
import threading
from collections.abc import Generator
from contextlib import contextmanager
from email import message_from_bytes
from email.header import decode_header, make_header
from http.server import BaseHTTPRequestHandler
from typing import Any


@contextmanager
def receivers() -> Generator[tuple[str, int, list[str], list[str]]]:
    """The webhook's URL, the mail server's port, the texts that were posted, and the subjects that were mailed."""
    posted: list[str] = []
    mailed: list[str] = []

    class Webhook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(json.loads(self.rfile.read(int(self.headers["content-length"])))["text"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing on stderr."""

    class Mail(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 ready\r\n")
            replies = {b"DATA": b"354 go on\r\n", b"QUIT": b"221 bye\r\n"}
            for line in self.rfile:
                command = line[:4].upper()
                self.wfile.write(replies.get(command, b"250 ok\r\n"))
                if command == b"DATA":
                    mailed.append(self._subject())
                    self.wfile.write(b"250 ok\r\n")

        def _subject(self) -> str:
            lines: list[bytes] = []
            for line in self.rfile:
                if line == b".\r\n":
                    break
                lines.append(line)
            return str(make_header(decode_header(message_from_bytes(b"".join(lines))["Subject"])))

    with serving(Webhook) as web, serving(Mail) as mail:
        yield f"http://127.0.0.1:{web}/alerts", mail, posted, mailed


@contextmanager
def serving(handler: type[socketserver.BaseRequestHandler]) -> Generator[int]:
    """Serve with this handler on a free port, and yield the port."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server.server_address[1]
        server.shutdown()
