"""A fleet of worker processes (`fleet_worker`), for tests and for `make fleet`."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Worker:
    """One process of the fleet, from outside."""

    def __init__(self, connection: socket.socket, settings: dict[str, Any]) -> None:
        self._connection, self._lines = connection, connection.makefile("rw")
        self._write(settings)
        self.pid = 0

    def _write(self, line: object) -> None:
        self._lines.write(json.dumps(line) + "\n")
        self._lines.flush()

    def do(self, what: str, **options: Any) -> dict[str, Any]:
        """Carry out a command; what it reports."""
        self._write({"do": what, **options})
        found = dict(json.loads(self._lines.readline()))
        self.pid = found["pid"]
        return found

    def kill(self) -> None:
        """End it at once (SIGKILL)."""
        os.kill(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """Close the connection; the worker ends."""
        self._lines.close()
        self._connection.close()


@contextmanager
def workers(count: int, urls: list[str], shared: str | None, **settings: Any) -> Iterator[list[Worker]]:
    """So many workers, over the endpoints at these URLs. `settings`: of the worker's pool; one that is a list has a value for each."""
    given = {"urls": urls, "shared": shared, "skew": 0.0, "rpm": None, "prefix": "fleet", **settings}
    lists = {name: value for name, value in settings.items() if isinstance(value, list)}
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        parent = subprocess.Popen(
            [sys.executable, "-m", "tests.support.fleet_worker", str(port), str(count)], stdin=subprocess.PIPE
        )
        found: list[Worker] = []
        try:
            server.settimeout(60)
            for place in range(count):
                one = {**given, **{name: value[place] for name, value in lists.items()}}
                found.append(Worker(server.accept()[0], one))
            for worker in found:
                worker.do("report")
            yield found
        finally:
            for worker in found:
                worker.close()
            parent.communicate()
