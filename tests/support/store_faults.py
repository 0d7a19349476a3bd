"""Faults of a Redis that pools under load share, and their effect on the calls: for tests and for `make fleet-faults`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median, quantiles
from typing import NamedTuple

from hotspare import Budget, Limits, Pool, Price, Shared, State, Usage, events
from hotspare.testing import ScriptedTarget, answer, fail

from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer


class Fault(NamedTuple):
    """Something that befalls a server, and its end. `loses`: whether the store is away meanwhile for sure."""

    begin: Callable[[RedisServer], object]
    end: Callable[[RedisServer], object]
    loses: bool = True


def _restart(server: RedisServer) -> None:
    server.kill()
    server.start()


def _flush(server: RedisServer) -> None:
    with server.client() as client:
        client.script_flush()
        client.flushall()


def _command(*words: str) -> Callable[[RedisServer], object]:
    def run(server: RedisServer) -> None:
        with server.client() as client:
            client.execute_command(*words)

    return run


FAULTS: Mapping[str, Fault] = {
    "killed": Fault(RedisServer.kill, RedisServer.start),
    "paused": Fault(RedisServer.pause, RedisServer.resume),
    "flushed": Fault(_flush, lambda _: None, loses=False),
    "read-only": Fault(_command("REPLICAOF", "127.0.0.1", "1"), _command("REPLICAOF", "NO", "ONE")),
    "filled": Fault(_command("CONFIG", "SET", "maxmemory", "1"), _command("CONFIG", "SET", "maxmemory", "0")),
    "restarted": Fault(_restart, lambda _: None, loses=False),
}


class Member:
    """A pool with a limit and a hard budget that no load reaches, over two scripted targets. `shared`: None for one that is alone."""

    def __init__(self, shared: Shared | None) -> None:
        self.step: object = answer("ok", usage=Usage(10, 10))
        fields = {"limits": Limits(rpm=1e6, tpm=1e9), "price": Price(1.0, 1.0)}
        self.first = ScriptedTarget("first", lambda _: self.step, **fields)  # type: ignore[arg-type, return-value]
        second = ScriptedTarget("second", answer("ok", usage=Usage(10, 10)), **fields)  # type: ignore[arg-type]
        self.pool = Pool(
            self.first.target, second.target, shared=shared, budgets=[Budget(usd=1e6, per="month")], deadline=5
        )
        self.news: list[str] = []
        self.pool.subscribe(self._hear)

    def _hear(self, event: events.Event) -> None:
        if isinstance(event, events.StoreLost | events.StoreBack):
            self.news.append(type(event).__name__)

    def is_open(self) -> bool:
        """Whether it keeps its calls from the first target."""
        return self.pool.health().targets[0].state is State.OPEN


class Load:
    """Threads that call a shared pool and an isolated one in turns, at about `rate` pairs a second each, so that both see the same machine."""

    def __init__(self, shared: Member, alone: Member, threads: int, rate: float) -> None:
        self.seconds: dict[str, tuple[list[float], list[float]]] = {}
        self.failed = 0
        self._pools, self._pause = (shared.pool, alone.pool), 1 / rate
        self._ended = threading.Event()
        self.phase("begins")
        self._threads = [threading.Thread(target=self._run) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    def phase(self, name: str) -> None:
        """From now on durations are kept under this name."""
        self._now = self.seconds.setdefault(name, ([], []))

    def _run(self) -> None:
        turn = 1
        while not self._ended.wait(self._pause):
            turn = -turn  # the first call after a pause is the slower one
            for pool, found in list(zip(self._pools, self._now, strict=True))[::turn]:
                began = time.perf_counter()
                try:
                    pool.chat("hello")
                except Exception:  # counted: no call may fail
                    self.failed += 1
                found.append(time.perf_counter() - began)

    def stop(self) -> None:
        """End the threads."""
        self._ended.set()
        for thread in self._threads:
            thread.join()


@dataclass(frozen=True)
class Seen:
    """What was noticed. `seconds`: of calls to the shared pool and to the isolated one, by phase. `converged`: seconds from the store's return
    until a second process knew what the first one had found meanwhile. `news`: of each process."""

    failed: int
    seconds: dict[str, tuple[list[float], list[float]]]
    converged: float
    news: list[list[str]]

    @property
    def up(self) -> tuple[float, float]:
        """The median seconds of a call while the store is up: of a shared pool, and of one that is alone."""
        shared, alone = self.seconds["up"]
        return median(shared), median(alone)

    def percentile(self, which: int) -> tuple[float, float]:
        """This percentile while it is away."""
        shared, alone = self.seconds["down"]
        return quantiles(shared, n=100)[which - 1], quantiles(alone, n=100)[which - 1]


def strike(
    server: RedisServer, fault: Fault, *, down: float, threads: int, rate: float, up: float = 0.4, **settings: float
) -> Seen:
    """Two processes' pools under load, for `up` seconds before the fault; it lasts `down` seconds, in which one of them finds that its key is
    rejected. `settings`: of `Shared`."""
    members = [Member(Shared(server.url, prefix="faults", **settings)) for _ in range(2)]  # type: ignore[arg-type]
    alone = Member(None)
    load = Load(members[0], alone, threads, rate)
    try:
        with server.client() as client:
            eventually(lambda: client.zcard("faults:v1:members") == 2)
        time.sleep(up / 2)
        load.phase("up")
        time.sleep(up)
        load.phase("down")
        fault.begin(server)
        time.sleep(down / 2)
        members[0].step = fail(401)
        eventually(members[0].is_open)
        time.sleep(down / 2)
        load.phase("back")
        fault.end(server)
        began = time.perf_counter()
        eventually(lambda: members[1].is_open() and all(len(one.news) % 2 == 0 for one in members))
        converged = time.perf_counter() - began
    finally:
        load.stop()
        for member in (*members, alone):
            member.pool.close()
    return Seen(load.failed, load.seconds, converged, [one.news for one in members])
