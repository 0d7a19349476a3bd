"""A fleet of many processes in one virtual time, which counts the commands, messages and bytes that it would exchange with its Redis.

Every process is a separate pool, with the agent between it and the store. The store is the in-memory one, behind a simulated network
with a latency of `DELAY`.
"""

from __future__ import annotations

import heapq
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any

from hotspare import Limits, Pool, Shared
from hotspare._health.facts import Fact
from hotspare._shared.joining import agent_for
from hotspare._shared.memory import MemoryStore
from hotspare._shared.redis_store import _wire
from hotspare._shared.store import Bucket, Grant, Lease, Listener, Picture
from hotspare.errors import AllTargetsFailed
from hotspare.testing import ScriptedTarget
from hotspare.testing.steps import StepLike

DELAY = 0.005
"""Seconds until what one process has published is at the others."""
OVERHEAD = 150
"""Bytes of one EVALSHA without its arguments, and of its answer: measured with `redis-cli monitor`, rounded up."""


@dataclass
class Count:
    """What crossed the wire. `commands`: by their kind. `messages`: handed to subscribers, each counted."""

    commands: dict[str, int] = field(default_factory=dict[str, int])
    messages: int = 0
    bytes: int = 0

    def add(self, kind: str, *sent: object) -> None:
        """One command, with what it carries beside its frame."""
        self.commands[kind] = self.commands.get(kind, 0) + 1
        self.bytes += OVERHEAD + sum(_size(one) for one in sent)

    @property
    def total(self) -> int:
        """Commands of any kind."""
        return sum(self.commands.values())


def _size(sent: object) -> int:
    if isinstance(sent, Fact):
        return len(json.dumps(_wire(sent))) + 10
    return sum(_size(one) for one in sent) if isinstance(sent, Sequence) and not isinstance(sent, str) else 12  # type: ignore[reportUnknownVariableType]


class CountingStore(MemoryStore):
    """The store in memory, which counts what a Redis would be asked. `later`: does something after some seconds."""

    def __init__(self, clock: Callable[[], float], later: Callable[[float, Callable[[], object]], None]) -> None:
        super().__init__(clock)
        self.count, self._later = Count(), later

    def sync(self, member: str, since: str = "") -> Picture:
        """As in `Store`: two scripts. No process ever leaves, so that they need not be looked through to be counted."""
        self._members[member] = self._clock()
        version = str(self._version)
        facts = None if since == version else tuple(self._holding(self._clock()))
        self.count.add("alive")
        self.count.add("sync", facts or ())
        return Picture(version, len(self._members), facts)

    def write(self, facts: Sequence[Fact]) -> None:
        """As in `Store`."""
        self.count.add("write", facts)
        super().write(facts)

    def lease(self, subject: str, holder: str, seconds: float, name: str = "") -> Lease:
        """As in `Store`."""
        self.count.add("lease")
        return super().lease(subject, holder, seconds, name)

    def release(self, subject: str, holder: str) -> None:
        """As in `Store`."""
        self.count.add("release")
        super().release(subject, holder)

    def take(self, bucket: Bucket, want: float, least: float, used: float, horizon: float) -> Grant:
        """As in `Store`."""
        self.count.add("take")
        return super().take(bucket, want, least, used, horizon)

    def _publish(self, facts: Sequence[Fact]) -> None:
        for fact in facts:
            self.count.messages += len(self._listeners)
            self.count.bytes += len(self._listeners) * (_size(fact) + 40)
            for listener in tuple(self._listeners):
                self._later(DELAY, _handing(listener, fact))


def _handing(listener: Listener, fact: Fact) -> Callable[[], object]:
    return lambda: listener(fact)


class LargeFleet:
    """So many processes on one virtual time. Each makes `calls` a second. `limit`: of the primary target, requests a minute of all."""

    def __init__(self, processes: int, calls: float, limit: float | None) -> None:
        self.now, self.step = 1000.0, "ok"
        self.step: StepLike
        self._heap: list[tuple[float, int, Callable[[], object]]] = []
        self._number = count()
        self._random = random.Random(1)
        self.store = CountingStore(lambda: self.now, self.later)
        self.failed = self.answered = 0
        self._calls = calls
        fields: dict[str, Any] = {"limits": Limits(rpm=limit, burst=1, per="account")} if limit else {}
        self.first = [ScriptedTarget("first", lambda _: self.step, **fields) for _ in range(processes)]
        self._second = ScriptedTarget("second", "ok")
        for place, first in enumerate(self.first):
            self._member(first, place, processes)

    def later(self, seconds: float, action: Callable[[], object]) -> None:
        """Do something in so many seconds of virtual time."""
        heapq.heappush(self._heap, (self.now + seconds, next(self._number), action))

    def _member(self, first: ScriptedTarget, place: int, processes: int) -> None:
        pool = Pool(
            first.target, self._second.target, clock=lambda: self.now, rng=random.Random(place), when_all_down="fail",
            retry_same_target="never",
        )  # fmt: skip
        shared = Shared(self.store)  # type: ignore[arg-type]
        agent = agent_for(shared, self.store, pool._scheduler, pool._notify, pool._now, place / processes)
        agent._jitter = random.Random(place)
        rounds = count()
        current = 0

        def round_of(number: int) -> None:
            nonlocal current
            if number == current:  # else another round came before
                current = next(rounds)
                due = agent.step()
                self.later(max(0.0, due - self.now), partial(round_of, current))

        pool._notify.on_news = lambda: round_of(
            current
        )  # at once: a call that waits for the store would wait in real time
        current = next(rounds)
        self.later(self._random.random() * 2, partial(round_of, current))
        if self._calls:
            self.later(3 + self._random.random() / self._calls, lambda: self._call(pool))

    def _call(self, pool: Pool) -> None:
        try:
            pool.chat("hello")
            self.answered += 1
        except AllTargetsFailed:
            self.failed += 1
        self.later(self._random.expovariate(self._calls), lambda: self._call(pool))

    def pass_time(self, seconds: float) -> Count:
        """Let time pass; what crossed the wire meanwhile."""
        self.store.count = counted = Count()
        until = self.now + seconds
        while self._heap and self._heap[0][0] <= until:
            self.now, _, action = heapq.heappop(self._heap)
            action()
        self.now = until
        return counted

    @property
    def calls(self) -> int:
        """The requests that reached the first target."""
        return sum(target.calls for target in self.first)
