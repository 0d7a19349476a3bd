"""Which targets calls go to while some of them merely limp, in virtual time, against an oracle that knows every latency."""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Generator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hotspare import Outcome, Pool, Target, classify
from hotspare.events import SpeedChanged
from hotspare.messages import ChatChunk, ChatReply, ChatRequest, Usage

from benchmarks.storms.twin import run_in_virtual_time

BASE = 0.3
SLOW, HEALED, END = 30.0, 90.0, 210.0
"""Seconds: from `SLOW` to `HEALED` one target takes ten times as long."""


@dataclass
class Upstream:
    """The backend of one target: it answers after `latency` seconds at that moment, and keeps when it was asked."""

    loop: asyncio.AbstractEventLoop
    latency: Callable[[float], float]
    rng: random.Random
    asked: list[float] = field(default_factory=list[float])
    streaming: bool = True
    prefill: bool = False

    def unsupported(self, request: ChatRequest) -> tuple[str, ...]:
        return ()

    def classify(self, error: Exception) -> Outcome:
        return classify(error, now=0.0)

    def send(self, request: ChatRequest, *, timeout: float) -> ChatReply:
        raise AssertionError("the simulation is asynchronous")

    def stream(self, request: ChatRequest, *, timeout: float, stall: float) -> Generator[ChatChunk]:
        raise AssertionError("the simulation is asynchronous")

    async def asend(self, request: ChatRequest, *, timeout: float) -> ChatReply:
        self.asked.append(self.loop.time())
        await asyncio.sleep(self.latency(self.loop.time()) * self.rng.uniform(0.8, 1.2))
        return ChatReply(text="ok", usage=Usage(10, 1))

    async def astream(self, request: ChatRequest, *, timeout: float, stall: float) -> AsyncGenerator[ChatChunk]:
        reply = await self.asend(request, timeout=timeout)
        yield ChatChunk(text=reply.text)
        yield ChatChunk(finish_reason="stop", usage=reply.usage)

    def between(self, start: float, end: float) -> int:
        """How many attempts it got."""
        return sum(start <= at < end for at in self.asked)


@dataclass
class Simulation:
    """What came of it: the targets, and for each call its start and its seconds."""

    ups: dict[str, Upstream]
    calls: list[tuple[float, float]]
    events: list[SpeedChanged]

    def share(self, name: str, start: float, end: float) -> float:
        """The part of all attempts that one target got."""
        return self.ups[name].between(start, end) / sum(up.between(start, end) for up in self.ups.values())

    def quantile(self, q: float, start: float, end: float) -> float:
        """Of the times of the calls that started then."""
        times = sorted(seconds for at, seconds in self.calls if start <= at < end)
        return times[int(q * len(times))]

    def mean(self, start: float, end: float) -> float:
        """Of the times of the calls that started then."""
        times = [seconds for at, seconds in self.calls if start <= at < end]
        return sum(times) / len(times)


def limping(now: float) -> float:
    return BASE * (10 if SLOW <= now < HEALED else 1)


def simulate(
    seed: int, targets: dict[str, dict[str, Any]], *, rate: float, stream: bool = False, **policy: Any
) -> Simulation:
    """Calls at random moments, `rate` a second; target `a` limps for a minute."""

    async def main(loop: asyncio.AbstractEventLoop) -> Simulation:
        rng = random.Random(seed)
        ups = {
            name: Upstream(loop, limping if name == "a" else lambda now: BASE, random.Random(f"{seed}{name}"))
            for name in targets
        }
        members = [Target(f"{name}/m", name=name, backend=ups[name], **more) for name, more in targets.items()]
        simulated = Simulation(ups, [], [])
        pool = Pool(members, clock=loop.time, rng=random.Random(seed), **policy)
        pool.subscribe(lambda event: isinstance(event, SpeedChanged) and simulated.events.append(event), inline=True)

        async def call() -> None:
            start = loop.time()
            if stream:
                async for _ in pool.astream("q"):
                    pass
            else:
                await pool.achat("q")
            simulated.calls.append((start, loop.time() - start))

        async with asyncio.TaskGroup() as group:
            while loop.time() < END:
                await asyncio.sleep(rng.expovariate(rate))
                group.create_task(call())
        return simulated

    return run_in_virtual_time(main)


@pytest.mark.parametrize(("seed", "stream"), [(1, False), (2, True)])
def test_latency_leaves_a_slow_target_and_returns_to_it(seed: int, stream: bool) -> None:
    """A target ten times slower gets under 10 % of the calls, and at least 15 % within two minutes of healing; meanwhile calls
    take little longer than with an oracle that never uses it."""
    simulated = simulate(seed, {name: {} for name in "abcd"}, rate=10, stream=stream, strategy="latency")
    assert 0.15 <= simulated.share("a", 5, SLOW) <= 0.35
    assert simulated.share("a", SLOW, HEALED) < 0.10
    assert simulated.share("a", HEALED + 90, HEALED + 120) >= 0.15
    assert simulated.mean(SLOW + 20, HEALED) <= 1.15 * BASE


@pytest.mark.parametrize(("seed", "rate", "stream"), [(1, 10, False), (2, 4, True)])
def test_ordered_passes_over_a_brownout(seed: int, rate: float, stream: bool) -> None:
    """A primary ten times slower, without an error: after 20 s the p95 of calls is within 1.5 times the backup's own; after its
    recovery it gets the calls back, with an event each way."""
    simulated = simulate(seed, {"a": {}, "b": {"tier": 1}}, rate=rate, stream=stream)
    assert simulated.share("a", 0, SLOW) == 1.0
    assert simulated.quantile(0.95, SLOW + 20, HEALED) <= 1.5 * 1.2 * BASE
    assert simulated.share("a", HEALED + 60, END) > 0.9
    assert [(event.target, event.slow) for event in simulated.events] == [("a", True), ("a", False)]


def test_without_the_rule_every_call_is_slow() -> None:
    """The same primary with the rule off: what the rule is for."""
    simulated = simulate(1, {"a": {}, "b": {"tier": 1}}, rate=4, brownout=None)
    assert simulated.quantile(0.5, SLOW + 20, HEALED) >= 9 * BASE
    assert not simulated.events


def test_weighted_shares() -> None:
    """Within two points of the weights."""
    simulated = simulate(
        1, {name: {"weight": float(n)} for n, name in enumerate("bcde", 1)}, rate=15, strategy="weighted"
    )
    for number, name in enumerate("bcde", 1):
        assert simulated.share(name, 0, END) == pytest.approx(number / 10, abs=0.02)
