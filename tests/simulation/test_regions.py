"""A region goes down with everything in it, in virtual time: what failure domains save."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Generator
from typing import Any

import pytest
from hotspare import ChatChunk, ChatReply, ChatRequest, Outcome, Pool, Target, Usage
from hotspare._classify.rules import classify
from hotspare.errors import ConnectError, StatusError

from benchmarks.storms.twin import run_in_virtual_time

MODELS = ("large", "medium", "small")
DOWN, UP, END = 5.0, 65.0, 80.0


class Region:
    """The backend of every target of one region. `dead`: whether it fails now, and how."""

    prefill = False
    streaming = True

    def __init__(self, loop: asyncio.AbstractEventLoop, rng: random.Random, dies: bool, error: Exception) -> None:
        self.loop, self.rng, self.dies, self.error = loop, rng, dies, error
        self.wasted = 0

    def unsupported(self, request: ChatRequest) -> tuple[str, ...]:
        return ()

    def classify(self, error: Exception) -> Outcome:
        return classify(error)

    async def asend(self, request: ChatRequest, *, timeout: float) -> ChatReply:
        await asyncio.sleep(self.rng.uniform(0.02, 0.2))
        if self.dies and DOWN <= self.loop.time() < UP:
            self.wasted += 1
            raise self.error.with_traceback(None)
        return ChatReply(text="ok", usage=Usage(1, 1))

    def send(self, request: ChatRequest, *, timeout: float) -> ChatReply:
        raise NotImplementedError

    def stream(self, request: ChatRequest, *, timeout: float, stall: float) -> Generator[ChatChunk]:
        raise NotImplementedError

    def astream(self, request: ChatRequest, *, timeout: float, stall: float) -> AsyncGenerator[ChatChunk]:
        raise NotImplementedError


def targets(regions: dict[str, Region], *, domains: bool) -> list[Target]:
    """Three models in each region of one provider; without `domains` no two targets share anything that hotspare knows."""
    found: list[Target] = []
    for tier, (region, backend) in enumerate(regions.items()):
        for model in MODELS:
            name = f"{model}@{region}"
            shared: dict[str, Any] = {"id": f"cloud/{model}", "region": region, "account": region}
            alone: dict[str, Any] = {"id": f"cloud-{name}/{model}", "region": name, "account": name}
            found.append(Target(name=name, tier=tier, weight=1, backend=backend, **(shared if domains else alone)))
    return found


def simulate(error: Exception, seed: int, *, domains: bool) -> tuple[int, int]:
    """Attempts that were wasted on the dead region, and calls that were lost, of 20 calls a second."""

    async def main(loop: asyncio.AbstractEventLoop) -> tuple[int, int]:
        rng = random.Random(seed)
        regions = {"us": Region(loop, rng, True, error), "eu": Region(loop, rng, False, error)}
        pool = Pool(targets(regions, domains=domains), clock=loop.time, rng=rng, deadline=10, strategy="weighted")
        lost = 0

        async def call(at: float) -> None:
            nonlocal lost
            await asyncio.sleep(at)
            try:
                await pool.achat("q")
            except Exception:
                lost += 1

        await asyncio.gather(*(call(number / 20) for number in range(round(20 * END))))
        return regions["us"].wasted, lost

    result: tuple[int, int] = run_in_virtual_time(main)
    return result


@pytest.mark.parametrize("error", [ConnectError("refused"), StatusError("down", status=503)], ids=["refused", "503"])
def test_domains_halve_what_a_dead_region_costs(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    """The same outage with the targets' domains known and unknown: at most half of the attempts are wasted, none is lost."""
    with_domains = [simulate(error, seed, domains=True) for seed in (1, 2, 3)]
    without = [simulate(error, seed, domains=False) for seed in (1, 2, 3)]
    wasted, wasted_without = (sum(one for one, _ in found) for found in (with_domains, without))
    with capsys.disabled():
        print(f"\nregion down ({type(error).__name__}): {wasted} wasted attempts, {wasted_without} without domains")
    assert sum(lost for _, lost in with_domains) == 0
    assert wasted <= 0.5 * wasted_without
