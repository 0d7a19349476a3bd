"""A fleet of processes, forked from one that has everything loaded: each has a pool over endpoints of the embedded provider, and makes calls at
a steady rate.

Each one connects to the port that is named on the command line, and reads commands, a JSON object a line, which it answers with one:
`{"do": "build", …}` builds its pool, `{"do": "load", "rate": 20}` makes 20 calls a second from then on (0: none),
`{"do": "report"}` returns the results so far.
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

from hotspare import Breaker, Limits, Pool, Shared, Target, events
from hotspare.errors import HotspareError


class Worker:
    """The pool, its calls and what they saw."""

    def __init__(self) -> None:
        self.pool: Pool | None = None
        self.rate, self._calls = 0.0, ThreadPoolExecutor(64)
        self._forget()
        threading.Thread(target=self._load, daemon=True).start()

    def _forget(self) -> None:
        self.counts: dict[str, int] = {}
        self.seconds: list[float] = []
        self.news: list[str] = []

    def build(
        self, urls: list[str], shared: str | None, skew: float, limits: dict[str, Any] | None, breaker: dict[str, Any], **policy: Any
    ) -> None:  # fmt: skip
        """A new pool, in place of the one before. `skew`: seconds by which this process's clock is wrong."""
        self.rate = 0.0
        if self.pool is not None:
            self.pool.close()
        self._forget()
        first = {"limits": Limits(**limits)} if limits else {}
        targets = [
            Target("openai/m", name=f"t{n}", base_url=url, api_key="test-key", region=f"r{n}", **({} if n else first))
            for n, url in enumerate(urls)
        ]
        prefix = policy.pop("prefix", "fleet")
        self.pool = Pool(
            targets, shared=Shared(shared, prefix=prefix) if shared else None, clock=lambda: time.monotonic() + skew,
            breaker=Breaker(**breaker), **policy,
        )  # fmt: skip
        self.pool.subscribe(self._hear)

    def _hear(self, event: events.Event) -> None:
        if isinstance(event, events.StoreLost | events.StoreBack):
            self.news.append(type(event).__name__)
        if isinstance(event, events.AttemptStarted):
            name = f"{event.target} {event.reason}"
            self.counts[name] = self.counts.get(name, 0) + 1

    def _load(self) -> None:
        due = time.monotonic()
        while True:
            now, rate = time.monotonic(), self.rate
            if not rate:
                due = now
                time.sleep(0.005)
                continue
            if due > now:
                time.sleep(due - now)
            due = max(due + 1 / rate, now - 1)
            self._calls.submit(self._call)

    def _call(self) -> None:
        assert self.pool is not None
        began = time.monotonic()
        try:
            name = self.pool.chat("hello tokens=1").target or "?"
        except HotspareError as error:
            name = type(error).__name__
        self.seconds.append(time.monotonic() - began)
        self.counts[name] = self.counts.get(name, 0) + 1

    def do(self, command: dict[str, Any]) -> dict[str, Any]:
        """Carry out one command."""
        what = command.pop("do")
        if what == "build":
            self.build(**command)
        elif what == "load":
            self.rate = command["rate"]
        elif what in ("disable", "enable"):
            assert self.pool is not None
            getattr(self.pool, what)(command["name"])
        states = {} if self.pool is None else {one.target: str(one.state) for one in self.pool.health().targets}
        return {"pid": os.getpid(), "counts": self.counts, "news": self.news, "states": states, "seconds": self.seconds}


def serve(port: int) -> None:
    """Be one worker, until the other side closes the connection."""
    with socket.create_connection(("127.0.0.1", port)) as connection, connection.makefile("rw") as lines:
        worker = Worker()
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
