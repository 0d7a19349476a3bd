"""The server of `Pool.serve_status`: HTTP on loopback, one path for each command.

A file, readable by its owner only, holds the address and a random token. A request without this token is rejected, so that neither
other users of the machine nor web pages can operate a pool.
"""

from __future__ import annotations

import hmac
import json
import os
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from secrets import token_urlsafe
from typing import Any, cast

from hotspare.errors import ConfigError, HotspareError, Problem

Command = Callable[[Mapping[str, Any]], Any]
"""Executes a request, and returns the answer, which is sent as JSON. Raises KeyError for a target that does not exist."""
_MAX_BODY = 1_000_000


class StatusServer:
    """Serves these commands, by name, until it is closed. `file`: where its address and token are written.

    Raises ConfigError if the file cannot be written.
    """

    def __init__(self, file: Path, commands: Mapping[str, Command]) -> None:
        token = token_urlsafe(32)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(commands, token))
        self._server.daemon_threads = True
        self._file = file
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        content = json.dumps({"url": self.url, "token": token, "pid": os.getpid()})
        try:
            _write_private(file, content)
        except OSError as error:
            self._server.server_close()
            raise ConfigError(Problem.at("file", str(file), f"cannot be written: {error.strerror}")) from None
        threading.Thread(target=self._server.serve_forever, name="hotspare-status", daemon=True).start()

    def close(self) -> None:
        """Stop the server, and remove its file."""
        self._server.shutdown()
        self._server.server_close()
        self._file.unlink(missing_ok=True)


def _write_private(file: Path, content: str) -> None:
    """Write a file that only its owner can read, in one step: a reader sees the old one or the new one."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
        opened.write(content)
    draft.replace(file)


def _handler(commands: Mapping[str, Command], token: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            given = self.headers.get("authorization", "").removeprefix("Bearer ")
            command = commands.get(self.path.removeprefix("/"))
            length = self.headers.get("content-length", "0")
            if not hmac.compare_digest(given.encode(), token.encode()):
                self._send(401, {"error": "the token is missing or wrong"})
            elif command is None or not length.isdecimal() or int(length) > _MAX_BODY:
                self._send(404, {"error": f"no such command: {self.path[:80]}"})
            else:
                self._send(*_run(command, self.rfile.read(int(length))))

        def _send(self, status: int, value: Any) -> None:
            body = json.dumps(value, default=str).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Log nothing: the stderr belongs to the application."""

    return Handler


def _run(command: Command, body: bytes) -> tuple[int, Any]:
    try:
        given: Any = json.loads(body or b"{}")
        return 200, command(cast("dict[str, Any]", given) if isinstance(given, dict) else {})
    except KeyError as error:
        return 404, {"error": str(error.args[0])}
    except (HotspareError, ValueError) as error:
        return 400, {"error": str(error)}
