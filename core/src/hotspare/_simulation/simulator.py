"""Sends traffic through a real pool with simulated targets in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import replace
from functools import lru_cache
from random import Random

from hotspare._config.loader import Config
from hotspare._simulation.figures import Figures
from hotspare._simulation.loop import run_in_virtual_time
from hotspare._simulation.traffic import Arrival, Traffic
from hotspare.errors import BackendError, CallError, RequestError
from hotspare.events import CallEnded, CallResult, Event
from hotspare.messages import ChatChunk, ChatReply, ChatRequest, Usage
from hotspare.outcome import Kind, Outcome
from hotspare.pool import Pool
from hotspare.telemetry.logging import without_log

_STEP = 100
"""Calls between two progress reports."""
ARRIVAL: ContextVar[Arrival] = ContextVar("arrival")
"""The call to which the current task belongs."""
Progress = Callable[[int], object]


class _Failure(BackendError):
    """A simulated failure of an attempt."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.message)
        self.outcome = outcome


class SimulatedBackend:
    """The backend of one target. Its answers and their durations come from the traffic; it waits in virtual time."""

    prefill = False
    streaming = True
    prefers_streaming = True

    def __init__(self, name: str, traffic: Traffic, loop: asyncio.AbstractEventLoop, rng: Random) -> None:
        self._name, self._traffic, self._loop, self._rng = name, traffic, loop, rng

    def unsupported(self, request: ChatRequest) -> tuple[str, ...]:
        """Nothing: every request is supported."""
        return ()

    def classify(self, error: Exception) -> Outcome:
        """The outcome that the traffic states."""
        return error.outcome if isinstance(error, _Failure) else Outcome(Kind.SERVER, str(error))

    async def _answer(self, *, streaming: bool) -> Arrival:
        answer = self._traffic.upstreams.answer(self._name, self._loop.time(), self._rng, streaming=streaming)
        await asyncio.sleep(answer.seconds)
        if answer.kind is not Kind.OK:
            raise _Failure(Outcome(answer.kind, "as recorded", answer.status))
        return ARRIVAL.get()

    async def asend(self, request: ChatRequest, *, timeout: float) -> ChatReply:
        """A whole answer."""
        arrival = await self._answer(streaming=False)
        return ChatReply(text="ok", usage=Usage(arrival.input_tokens, arrival.output_tokens))

    async def astream(self, request: ChatRequest, *, timeout: float, stall: float) -> AsyncGenerator[ChatChunk]:
        """Two chunks: the first token, and the rest."""
        arrival = await self._answer(streaming=True)
        yield ChatChunk(text="o")
        await asyncio.sleep(min(arrival.after_first_token, stall / 2))
        yield ChatChunk(text="k", finish_reason="stop", usage=Usage(arrival.input_tokens, arrival.output_tokens))

    def send(self, request: ChatRequest, *, timeout: float) -> ChatReply:
        """Time is virtual in event loops only."""
        raise NotImplementedError("a simulation is asynchronous")

    def stream(self, request: ChatRequest, *, timeout: float, stall: float) -> Generator[ChatChunk]:
        """Time is virtual in event loops only."""
        raise NotImplementedError("a simulation is asynchronous")


def simulate(config: Config, traffic: Traffic, *, seed: int = 0, progress: Progress = lambda count: None) -> Figures:
    """The figures of this traffic with this configuration. `progress` is called with the number of calls started since its last call.

    The same `seed` gives the same figures. The cache is off, because every call counts as different. No ledger, spend file or
    recording is written.
    """

    async def main(loop: asyncio.AbstractEventLoop) -> Figures:
        figures = Figures()
        pool = _pool(config, traffic, loop, seed)
        pool.subscribe(lambda event: _count(figures, event), inline=True)
        async with asyncio.TaskGroup() as group:
            for place, arrival in enumerate(traffic.arrivals, 1):
                await asyncio.sleep(arrival.at - loop.time())
                group.create_task(_call(pool, arrival, figures))
                if place % _STEP == 0:
                    progress(_STEP)
        progress(len(traffic.arrivals) % _STEP)
        return figures

    with without_log(), config.reporting():
        found: Figures = run_in_virtual_time(main)
    return found


def _pool(config: Config, traffic: Traffic, loop: asyncio.AbstractEventLoop, seed: int) -> Pool:
    targets = [
        replace(one, backend=SimulatedBackend(one.name, traffic, loop, Random(f"{seed} {one.name}")), check=False)
        for one in config.targets
    ]
    policy = replace(config.policy, cache=None, spend_file=None)
    return Pool(
        targets, policy=policy, routes=config.routes, clock=loop.time, rng=Random(seed),
        calendar=lambda: traffic.began + loop.time(),
    )  # fmt: skip


async def _call(pool: Pool, arrival: Arrival, figures: Figures) -> None:
    ARRIVAL.set(arrival)
    try:
        with suppress(CallError):  # counted by its event
            if arrival.streaming:
                async for _ in pool.astream(_prompt(arrival.input_tokens), model=arrival.model, labels=arrival.labels):
                    pass
            else:
                await pool.achat(_prompt(arrival.input_tokens), model=arrival.model, labels=arrival.labels)
    except RequestError:  # rejected before the call started: no target may be used for it
        figures.add(answered=False, target=None, seconds=0.0, attempts=0, cost=None, rescued=False)


def _count(figures: Figures, event: Event) -> None:
    if isinstance(event, CallEnded):
        figures.add(
            answered=event.result is CallResult.ANSWERED, target=event.target, seconds=event.seconds,
            attempts=len(event.attempts), cost=event.cost, rescued=event.rescued,
        )  # fmt: skip


@lru_cache(maxsize=256)
def _prompt(tokens: int) -> str:
    return "abc " * min(tokens, 1_000_000)
