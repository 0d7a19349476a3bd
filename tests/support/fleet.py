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

    def __init__(self, connection: socket.socket) -> None:
        self._connection, self._lines = connection, connection.makefile("rw")
        self.pid = 0

    def do(self, what: str, **options: Any) -> dict[str, Any]:
        """Carry out a command; what it reports."""
        self._lines.write(json.dumps({"do": what, **options}) + "\n")
        self._lines.flush()
        found = dict(json.loads(self._lines.readline()))
        self.pid = found["pid"]
        return found

    def state(self, target: str = "t0") -> str:
        """The state of a target's breaker in this process."""
        return str(self.do("report")["states"][target])

    def kill(self) -> None:
        """End it at once (SIGKILL)."""
        os.kill(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """Close the connection; the worker ends."""
        self._lines.close()
        self._connection.close()


def build(workers: list[Worker], urls: list[str], shared: str | None, **settings: Any) -> None:
    """Give each worker a new pool over these URLs. `settings`: of the pool; one that is a list has a value for each worker."""
    given = {"urls": urls, "shared": shared, "skew": 0.0, "limits": None, "breaker": {}, **settings}
    lists = {name: value for name, value in settings.items() if isinstance(value, list)}
    for place, worker in enumerate(workers):
        worker.do("build", **given | {name: value[place] for name, value in lists.items()})


def load(workers: list[Worker], rate: float) -> None:
    """Have each of them make so many calls a second."""
    for worker in workers:
        worker.do("load", rate=rate)


@contextmanager
def workers(count: int) -> Iterator[list[Worker]]:
    """So many processes, forked from one that has loaded everything."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        parent = subprocess.Popen(
            [sys.executable, "-m", "tests.support.fleet_worker", str(port), str(count)], stdin=subprocess.PIPE
        )
        found: list[Worker] = []
        try:
            server.settimeout(120)
            for _ in range(count):
                found.append(Worker(server.accept()[0]))
            yield found
        finally:
            for worker in found:
                worker.close()
            parent.communicate()
