"""A fleet of processes, forked from one that has everything loaded: each has a pool over endpoints of the embedded provider, and makes calls at
a steady rate.

Each one connects to the port that is named on the command line, and reads a JSON object a line: first its settings, then commands, which it
answers with one: `{"do": "load", "rate": 20}` calls from then on so often a second (0: not at all), `{"do": "report"}` says what has happened.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from hotspare import Limits, Pool, Shared, Target, events
from hotspare.errors import HotspareError


class Worker:
    """The pool, its calls and what they saw. `skew`: seconds by which this process's clock is wrong."""

    def __init__(
        self, urls: list[str], shared: str | None, skew: float, rpm: float | None, prefix: str, pid: int, **policy: Any
    ) -> None:
        self.pid = pid
        self.counts: dict[str, int] = {}
        self.seconds: list[float] = []
        self.news: list[str] = []
        limits = frozenset() if rpm is None else Limits(rpm=rpm, burst=policy.pop("burst", 1.0))
        targets = [
            Target(
                "openai/m",
                name=f"t{place}",
                base_url=url,
                api_key="test-key",
                region=f"r{place}",
                **({"limits": limits} if place == 0 else {}),
            )
            for place, url in enumerate(urls)
        ]
        self.pool = Pool(
            targets, shared=Shared(shared, prefix=prefix) if shared else None,
            clock=lambda: time.monotonic() + skew, **policy,
        )  # fmt: skip
        self.pool.subscribe(self._hear)
        self.rate, self._calls = 0.0, ThreadPoolExecutor(64)
        threading.Thread(target=self._load, daemon=True).start()

    def _hear(self, event: events.Event) -> None:
        if isinstance(event, events.StateChanged | events.StoreLost | events.StoreBack | events.RateLimited):
            self.news.append(f"{time.monotonic():.3f} {event}")
        if isinstance(event, events.AttemptStarted):
            name = f"{event.target} {event.reason}"
            self.counts[name] = self.counts.get(name, 0) + 1

    def _load(self) -> None:
        due = time.monotonic()
        while True:
            now = time.monotonic()
            if not self.rate:
                due = now
                time.sleep(0.005)
                continue
            if due > now:
                time.sleep(due - now)
            due = max(due + 1 / self.rate, now - 1)
            self._calls.submit(self._call)

    def _call(self) -> None:
        began = time.monotonic()
        try:
            name = self.pool.chat("hello tokens=1").target or "?"
        except HotspareError as error:
            name = type(error).__name__
        self.seconds.append(time.monotonic() - began)
        self.counts[name] = self.counts.get(name, 0) + 1

    def do(self, command: dict[str, Any]) -> dict[str, Any]:
        """Carry out one command."""
        if command["do"] == "load":
            self.rate = command["rate"]
        elif command["do"] == "disable":
            self.pool.disable(command["name"], "by test")
        elif command["do"] == "enable":
            self.pool.enable(command["name"])
        elif command["do"] == "clear":
            self.counts.clear()
            self.seconds.clear()
        health = {one.target: [str(one.state), one.available_in] for one in self.pool.health().targets}
        return {"pid": self.pid, "counts": self.counts, "news": self.news, "health": health, "seconds": self.seconds}


def serve(port: int) -> None:
    """Be one worker, until the other side closes the connection."""
    with socket.create_connection(("127.0.0.1", port)) as connection, connection.makefile("rw") as lines:
        worker = Worker(**json.loads(lines.readline()), pid=os.getpid())
        for line in lines:
            lines.write(json.dumps(worker.do(json.loads(line))) + "\n")
            lines.flush()


def main() -> None:
    """Load what a pool needs, and fork so many workers."""
    port, count = map(int, sys.argv[1:])
    with Pool(
        Target("openai/m", base_url="http://127.0.0.1:1/v1", api_key="test-key"), shared="redis://127.0.0.1:1"
    ) as pool:
        pool.warmup(0.01)
    for _ in range(count):
        if os.fork() == 0:
            try:
                serve(port)
            except Exception:
                traceback.print_exc()
            os._exit(0)
    sys.stdin.read()  # until the test ends


if __name__ == "__main__":
    main()
