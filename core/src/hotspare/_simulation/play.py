"""Plays traffic against a configuration: the pool is a real one, its targets and its time are not."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import replace
from functools import lru_cache
from random import Random

from hotspare._config.loader import Config
from hotspare._simulation.figures import Figures
from hotspare._simulation.loop import run_virtually
from hotspare._simulation.traffic import Arrival, Traffic
from hotspare.errors import BackendError, CallError, RequestError
from hotspare.events import CallEnded, CallResult, Event
from hotspare.messages import ChatChunk, ChatReply, ChatRequest, Usage
from hotspare.outcome import Kind, Outcome
from hotspare.pool import Pool

_STEP = 100
"""Calls between two reports of progress."""
ARRIVAL: ContextVar[Arrival] = ContextVar("arrival")
"""The call that is replayed."""
Progress = Callable[[int], object]


class _Failure(BackendError):
    """An attempt that the traffic says fails."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.message)
        self.outcome = outcome


class SimulatedBackend:
    """The backend of one target: it answers as the traffic says, in virtual time."""

    prefill = False
    streaming = True
    prefers_streaming = True

    def __init__(self, name: str, traffic: Traffic, loop: asyncio.AbstractEventLoop, rng: Random) -> None:
        self._name, self._traffic, self._loop, self._rng = name, traffic, loop, rng

    def unsupported(self, request: ChatRequest) -> tuple[str, ...]:
        """It can be sent everything."""
        return ()

    def classify(self, error: Exception) -> Outcome:
        """What the traffic says."""
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
        """The first token, and the end."""
        arrival = await self._answer(streaming=True)
        yield ChatChunk(text="o")
        await asyncio.sleep(min(arrival.rest, stall / 2))
        yield ChatChunk(text="k", finish_reason="stop", usage=Usage(arrival.input_tokens, arrival.output_tokens))

    def send(self, request: ChatRequest, *, timeout: float) -> ChatReply:
        """Time is virtual in event loops only."""
        raise NotImplementedError("a simulation is asynchronous")

    def stream(self, request: ChatRequest, *, timeout: float, stall: float) -> Generator[ChatChunk]:
        """Time is virtual in event loops only."""
        raise NotImplementedError("a simulation is asynchronous")


def play(config: Config, traffic: Traffic, *, seed: int = 0, progress: Progress = lambda count: None) -> Figures:
    """What comes of this traffic with this configuration. `progress` is called with numbers of calls that are over.

    The same seed gives the same figures. The cache is off, since every call counts as different, and nothing is written: no ledger, no
    spend file, no recording.
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

    with _silent(), config.reporting():
        found: Figures = run_virtually(main)
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
    except RequestError:  # no call began: no target may be sent it
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


@contextmanager
def _silent() -> Generator[None]:
    """The log is for what happens."""
    log = logging.getLogger("hotspare")
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before
