"""A storm in virtual time: an asyncio loop whose clock jumps to the next timer, a pool with its default policy, no sockets."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass, field

from hotspare import HotspareError, Pool, Target, classify
from hotspare._simulation.loop import VirtualLoop as VirtualLoop
from hotspare._simulation.loop import run_in_virtual_time as run_in_virtual_time
from hotspare.errors import IncompleteAnswer, StatusError
from hotspare.messages import ChatChunk, ChatReply, ChatRequest, Usage
from hotspare.outcome import Outcome
from hotspare.telemetry.logging import without_log

from benchmarks.storms.scenarios import Fault, Storm
from benchmarks.storms.thresholds import Result

WORDS = 10


@dataclass
class Upstream:
    """The backend of one target, with the storm's faults at that second."""

    loop: asyncio.AbstractEventLoop
    storm: Storm
    faults: tuple[Fault, ...]
    rng: random.Random
    requests: list[float] = field(default_factory=list[float])
    at_once: int = 0
    unread: int = 0
    prefill: bool = True
    streaming: bool = True

    def unsupported(self, request: ChatRequest) -> tuple[str, ...]:
        return ()

    def classify(self, error: Exception) -> Outcome:
        return classify(error, now=0.0)

    def send(self, request: ChatRequest, *, timeout: float) -> ChatReply:
        raise AssertionError("the twin is asynchronous")

    def stream(self, request: ChatRequest, *, timeout: float, stall: float) -> Generator[ChatChunk]:
        raise AssertionError("the twin is asynchronous")

    def fault(self) -> Fault | None:
        for one in self.faults:
            if one.active(self.loop.time()) and self.rng.random() < one.share:
                return one
        return None

    async def arrive(self) -> Fault | None:
        """Answer after the latency, or fail as a fault says. Returns a fault of streams."""
        fault, latency = self.fault(), self.storm.latency * self.rng.uniform(0.8, 1.3)
        now = self.loop.time()
        self.requests.append(now)
        if fault is None:
            await asyncio.sleep(latency)
            return None
        headers = {} if fault.retry_after is None else {"retry-after": str(fault.retry_after)}
        if fault.kind in ("limit", "crowd"):
            recent = sum(1 for one in self.requests[-200:] if one > now - 1) if fault.kind == "limit" else self.at_once
            await asyncio.sleep(fault.after if recent > fault.room else latency)
            if recent > fault.room:
                raise StatusError("x", status=429 if fault.kind == "limit" else 503, headers=headers)
            return None
        if fault.kind == "silence":
            await asyncio.sleep(3600)
        await asyncio.sleep(
            {"status": fault.after, "refused": fault.after, "slow": latency * fault.factor}.get(fault.kind, latency)
        )
        if fault.kind == "status":
            raise StatusError("x", status=fault.status, headers=headers)
        if fault.kind == "refused":
            raise ConnectionRefusedError("refused")
        return fault

    async def asend(self, request: ChatRequest, *, timeout: float) -> ChatReply:
        self.at_once += 1
        self.unread += 1
        try:
            await self.arrive()
        finally:
            self.at_once -= 1
            await asyncio.sleep(self.storm.busy * self.unread)
            self.unread -= 1
        return ChatReply(text="".join(f"w{n} " for n in range(WORDS)))

    async def astream(self, request: ChatRequest, *, timeout: float, stall: float) -> AsyncGenerator[ChatChunk]:
        self.at_once += 1
        try:
            fault = await self.arrive()
            last = request.messages[-1]
            begun = str(last.get("content")) if last.get("role") == "assistant" else ""
            for number in range(begun.count("w"), WORDS):
                if fault is not None and number == WORDS // 2:
                    if fault.kind == "stall":
                        await asyncio.sleep(3600)
                    raise IncompleteAnswer("cut")
                yield ChatChunk(text=f"w{number} ")
                await asyncio.sleep(0.005)
            yield ChatChunk(finish_reason="stop", usage=Usage(1, 1))
        finally:
            self.at_once -= 1


@dataclass
class StormRun:
    """A finished storm. `ends`: for each call its start, its end, and whether its answer was right."""

    storm: Storm
    ups: dict[str, Upstream]
    ends: list[tuple[float, float, bool]] = field(default_factory=list[tuple[float, float, bool]])
    wrong: int = 0

    @property
    def result(self) -> Result:
        """The figures of the storm."""
        times = sorted(end - start for start, end, right in self.ends if right) or [0.0]
        faults = self.storm.faults.get("a", ())
        over = max((one.end for one in faults if one.end < self.storm.seconds), default=None)
        after = [at for at in self.ups["a"].requests if over is not None and at >= over]
        requests = sum(len(up.requests) for up in self.ups.values()) / len(self.ends)
        return Result(
            len(self.ends), sum(right for _, _, right in self.ends), self.wrong, requests,
            times[len(times) // 2], times[int(0.99 * len(times))], after[0] - over if after and over is not None else None,
        )  # fmt: skip


def storm_result(storm: Storm, seed: int) -> Result:
    """Simulate a storm with the default policy, and return its figures."""
    return simulate_storm(storm, seed).result


def simulate_storm(storm: Storm, seed: int) -> StormRun:
    """Simulate a storm with the default policy."""
    with without_log():
        found: StormRun = run_in_virtual_time(lambda loop: _simulate(loop, storm, seed))
    return found


async def _simulate(loop: asyncio.AbstractEventLoop, storm: Storm, seed: int) -> StormRun:
    rng = random.Random(seed)
    ups = {
        name: Upstream(loop, storm, storm.faults.get(name, ()), random.Random(f"{seed}{name}")) for name in storm.ids
    }
    targets = [
        Target(id, region=region, name=name, backend=ups[name]) for name, (id, region) in storm.ids.items()
    ]  # fmt: skip
    pool = Pool(targets, clock=loop.time, rng=random.Random(seed), deadline=storm.deadline, **storm.settings)
    found = StormRun(storm, ups)

    async def call() -> None:
        start, text, failed = loop.time(), "", False
        try:
            if storm.stream:
                async for chunk in pool.astream("q"):
                    text += chunk.text
            else:
                text = (await pool.achat("q")).text
        except HotspareError:
            failed = True
        right = not failed and text == "".join(f"w{n} " for n in range(WORDS))
        found.wrong += not (failed or right)
        found.ends.append((start, loop.time(), right))

    async with asyncio.TaskGroup() as group:
        while loop.time() < storm.seconds:
            await asyncio.sleep(rng.expovariate(storm.rate))
            group.create_task(call())
    return found
