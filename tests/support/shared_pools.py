"""Pools that share a store in memory, as the processes of a fleet do, in one virtual time and without threads."""

from __future__ import annotations

import random
from typing import Any

from hotspare import Pool, Shared, events
from hotspare._shared.agent import Agent
from hotspare._shared.joining import agent_for
from hotspare._shared.memory import MemoryStore
from hotspare._shared.store import StoreError
from hotspare.errors import AllTargetsFailed
from hotspare.testing import ScriptedTarget
from hotspare.testing.steps import StepLike


class BreakableStore(MemoryStore):
    """A store that is away while `error` is set. `taken`: how often it was asked for a limit."""

    error = ""
    taken = 0

    def __getattribute__(self, name: str) -> Any:
        if name in ("sync", "write", "lease", "release", "take") and self.error:
            raise StoreError(self.error)
        if name == "take":
            self.taken += 1
        return super().__getattribute__(name)


class Member:
    """One process: a pool over two scripted targets, `first` and `second`, and its agent. `skew`: of its clock, seconds."""

    def __init__(self, fleet: SharedPools, number: int, skew: float, options: dict[str, Any]) -> None:
        self.number = number
        self.first = ScriptedTarget("first", lambda _: fleet.step, **fleet.fields)
        self.second = ScriptedTarget("second", "ok")
        self.pool = Pool(
            self.first.target, self.second.target, clock=lambda: fleet.now + skew, rng=random.Random(number),
            **({"when_all_down": "fail", "retry_same_target": "never"} | options),
        )  # fmt: skip
        self.events: list[events.Event] = []
        self.pool.subscribe(self.events.append)
        self.agent: Agent = agent_for(
            Shared(fleet.store, expected_processes=fleet.expected), fleet.store, self.pool._scheduler, self.pool._notify,
            self.pool._now, number / fleet.count,
        )  # fmt: skip
        self.pool._notify.on_news = self.agent.step
        self.agent.step()

    def call(self) -> str:
        """The target that answered a call; "" if none did."""
        try:
            return self.pool.chat("hello").target or ""
        except AllTargetsFailed:
            return ""

    def state(self) -> str:
        """The state of the first target's breaker."""
        return str(self.pool.health().targets[0].state)


class SharedPools:
    """So many processes. `step`: what the first target does now, in each of them. `now`: the time of all. `options`: of the pools."""

    def __init__(
        self, count: int, *, skews: list[float] | None = None, expected: int | None = None, fields: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:  # fmt: skip
        self.count = count
        self.now, self.step, self.expected, self.fields = 1000.0, "ok", expected, fields or {}
        self.step: StepLike
        self.store = BreakableStore(lambda: self.now)
        self.members = [Member(self, n, (skews or [0.0] * count)[n], options) for n in range(count)]
        self.pass_time(3)

    def pass_time(self, seconds: float, step: float = 0.1) -> None:
        """Let time pass, with the rounds of the agents that are due in it."""
        until = self.now + seconds
        while self.now < until - 1e-9:
            self.now = min(until, self.now + step)
            for member in self.members:
                member.agent.step()

    def breaks(self, step: StepLike, by: int = 0) -> None:
        """The first target begins to do this, and one process calls it until its breaker is open."""
        self.step = step
        for _ in range(6):
            self.members[by].call()
            self.now += 0.1

    @property
    def calls(self) -> int:
        """The requests that reached the first target."""
        return sum(member.first.calls for member in self.members)
