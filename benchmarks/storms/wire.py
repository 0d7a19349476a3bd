"""A storm on the real wire: the embedded provider as upstream, and the load from a separate process.

`python -m benchmarks.storms.wire CLIENT STORM SEED` runs one storm with one client, and prints its figures as JSON.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import sys
import warnings
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import asdict, dataclass, field
from time import perf_counter
from typing import Any

from hotspare.drill.answers import answer
from hotspare.drill.load import ScriptStep, run_load
from hotspare.drill.metrics import quantile
from hotspare.drill.provider import Provider

from benchmarks.clients import Client, Setup, Upstream, opening
from benchmarks.storms.scenarios import STORMS, Fault, Storm, shortened
from benchmarks.storms.thresholds import Result
from benchmarks.storms.twin import WORDS

_GAP = 0.005  # seconds between two tokens of a stream
_GRACE = 0.5  # seconds after the deadline for which an answer still counts
_PROVIDERS = {"p": "openai", "q": "groq", "s": "together", "openai": "openai"}
"""The storms' providers, and providers of hotspare that speak OpenAI's wire format."""
_KINDS = {
    "refused": "refused",
    "silence": "blackhole",
    "break": "cut",
    "stall": "stall",
    "slow": "latency",
    "status": "status",
}


def script_of(storm: Storm, seed: int) -> tuple[list[ScriptStep], set[int]]:
    """The steps of a storm, and which of them are calls. The calls' arrivals are those of the twin."""
    rng, calls, now = random.Random(seed), list[ScriptStep](), 0.0
    while now < storm.seconds:
        now += rng.expovariate(storm.rate)
        calls.append(ScriptStep(now))
    steps = [*_fault_steps(storm), *calls]
    steps.sort(key=lambda step: step.at)
    return steps, {index for index, step in enumerate(steps) if step.command is None}


def _fault_steps(storm: Storm) -> Iterator[ScriptStep]:
    """The commands for the provider: all faults of an endpoint are set again whenever one of them begins or ends."""
    for name in storm.ids:
        faults = storm.faults.get(name, ())
        changes = {0.0, *(at for fault in faults for at in _changes(fault, storm.seconds))}
        for at in sorted(changes):
            active = [fault for fault in faults if fault.active(at)]
            yield ScriptStep(at, ("clear", [name], {}))
            yield ScriptStep(at, ("configure", [name], _settings(active)))
            gap = _GAP if storm.stream else 0.0
            yield ScriptStep(at, ("fault", [name], {"kind": "latency", "seconds": storm.latency, "gap": gap}))
            yield from (ScriptStep(at, ("fault", [name], _options(one, storm))) for one in active if one.kind in _KINDS)


def _changes(fault: Fault, end: float) -> Iterator[float]:
    yield fault.start
    if fault.end < end:
        yield fault.end
    if fault.period:
        half = fault.period / 2
        number = int((fault.start + fault.phase) / half) + 1
        while (at := number * half - fault.phase) < min(fault.end, end):
            yield at
            number += 1


def _settings(active: list[Fault]) -> dict[str, Any]:
    for one in active:
        if one.kind == "limit":
            form = "none" if one.retry_after is None else "retry-after"
            return {"rpm": 60 * one.room, "burst": one.room, "retry_after_form": form}
        if one.kind == "crowd":
            return {"concurrency": one.room}
    return {}


def _options(fault: Fault, storm: Storm) -> dict[str, Any]:
    options: dict[str, Any] = {"kind": _KINDS[fault.kind]}
    if fault.kind == "refused":
        return options
    if fault.kind == "status":
        options |= {"status": fault.status, "retry_after": fault.retry_after}
    elif fault.kind in ("break", "stall"):
        options |= {"at": WORDS // 2}
    elif fault.kind == "slow":
        options |= {"seconds": storm.latency * (fault.factor - 1)}
    return options | {"probability": fault.share}


@dataclass
class WireRun:
    """One storm with one client. `late`: the largest delay of a call's start, in seconds; `last`: the start of the last call."""

    storm: Storm
    provider: Provider
    client: Client
    start: float = 0.0
    late: float = 0.0
    last: float = 0.0
    wrong: int = 0
    ends: list[tuple[bool, float]] = field(default_factory=list[tuple[bool, float]])
    back: float | None = None

    async def run(self, seed: int) -> Result:
        """Run the storm to its end."""
        steps, calls = script_of(self.storm, seed)
        steps.append(ScriptStep(max(self.storm.seconds, steps[-1].at)))
        before = self._requests()
        async with run_load(steps, self.provider) as (self.start, announced), asyncio.TaskGroup() as group:
            watching = group.create_task(self._watch())
            async for index in announced:
                if index in calls:
                    group.create_task(self._call(index, steps[index].at))
            watching.cancel()
        times = [seconds for right, seconds in self.ends if right]
        right, requests = sum(right for right, _ in self.ends), self._requests() - before
        return Result(
            len(self.ends), right, self.wrong, requests / len(self.ends), quantile(times, 0.5) or 0.0, quantile(times, 0.99) or 0.0, self.back,
            self.late, len(self.ends) / steps[-1].at, len(self.ends) / max(steps[-1].at, self.last),
        )  # fmt: skip

    async def _call(self, number: int, due: float) -> None:
        prompt, text, failed = f"question {number} tokens={WORDS}", "", False
        now = perf_counter() - self.start
        self.late, self.last = max(self.late, now - due), max(self.last, now)
        limit = self.storm.deadline + _GRACE
        try:
            async with asyncio.timeout(due + limit - now), aclosing(self.client(prompt)) as parts:
                async for part in parts:
                    text += part
        except Exception:  # any error means that the call is lost; the table shows how many are
            failed = True
        seconds = perf_counter() - self.start - due
        self.wrong += not failed and text != answer(prompt)
        self.ends.append((not failed and text == answer(prompt) and seconds <= limit, seconds))

    async def _watch(self) -> None:
        """Record when the primary gets a request again after the end of its fault."""
        over = max((one.end for one in self.storm.faults.get("a", ()) if one.end < self.storm.seconds), default=None)
        if over is None:
            return
        await asyncio.sleep(self.start + over - perf_counter())
        before = await asyncio.to_thread(self._requests_to, "a")
        while await asyncio.to_thread(self._requests_to, "a") <= before:  # noqa: ASYNC110 (another process)
            await asyncio.sleep(0.02)
        self.back = perf_counter() - self.start - over

    def _requests(self) -> int:
        return sum(self._requests_to(name) for name in self.storm.ids)

    def _requests_to(self, name: str) -> int:
        return self.provider.stats(name).requests


def _setup(storm: Storm, provider: Provider) -> Setup:
    upstreams: list[Upstream] = []
    for name, (id, region) in storm.ids.items():
        maker, _, model = id.partition("/")
        upstreams.append(Upstream(name, f"{_PROVIDERS[maker]}/{model}", region, provider.url(name)))
    return Setup(upstreams, storm.deadline, storm.stream, storm.settings)


async def run_on_wire(client: str, storm: Storm, seed: int) -> dict[str, Any]:
    """Open the client, make one call that imports its modules, and run the storm. Returns the result as plain values."""
    one = opening(client)
    with Provider(storm.ids, seed=seed) as provider:
        setup = _setup(storm, provider)
        async with one.open(setup) as ask:
            async for _ in ask("the first call"):
                pass
        async with one.open(setup) as ask:
            run = WireRun(storm, provider, ask)
            return asdict(await run.run(seed))


def main() -> None:
    """Run one storm, see the module."""
    client, name, seed, seconds = sys.argv[1:5]
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    storm = shortened(next(one for one in STORMS if one.name == name), float(seconds))
    result = asyncio.run(run_on_wire(client, storm, int(seed)))
    print("\n" + json.dumps(result))


if __name__ == "__main__":
    main()
