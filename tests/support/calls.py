"""Calls to a pool through each of its faces (threads, asyncio, trio), and everything that a caller sees of them."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import aclosing, closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest
from hotspare import CallError, ChatChunk, Pool
from hotspare.outcome import AttemptRecord
from hotspare.testing import VirtualClock

FACES = ("sync", "asyncio", "trio")
"""The ways to run a call."""
EACH_FACE = pytest.mark.parametrize("face", FACES)
"""The test runs once for each."""


@dataclass(frozen=True)
class Ask:
    """One call. `pause`: seconds before it. `work`: seconds for which the caller is busy with each chunk. `leave_after`: it
    stops to read after so many chunks (None: never)."""

    streaming: bool = True
    pause: float = 0.0
    work: float = 0.0
    leave_after: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass
class Seen:
    """What the caller saw. `chunks`: the time and the text of each. `error`: its type and text, "" if there was none.
    `records`: the attempts, as the reply, the stream's summary or the error lists them. `ended`: when it was over."""

    chunks: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])
    error: str = ""
    records: tuple[AttemptRecord, ...] = ()
    ended: float = 0.0

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(text for _, text in self.chunks)

    @property
    def attempts(self) -> list[str]:
        """Target, reason and kind of each attempt."""
        return [f"{one.target} {one.reason} {one.kind}" for one in self.records]

    def add(self, chunk: ChatChunk, now: float) -> None:
        """A chunk was handed out."""
        if chunk.text:
            self.chunks.append((round(now, 6), chunk.text))
        if chunk.summary is not None:
            self.records = chunk.summary.attempts

    @contextmanager
    def until(self, clock: VirtualClock) -> Generator[None]:
        """The call: its error and its end are kept."""
        try:
            yield
        except CallError as error:
            self.error, self.records = f"{type(error).__name__}: {error}", error.attempts
        self.ended = round(clock(), 6)


def run_calls(face: str, pool: Pool, clock: VirtualClock, asks: Sequence[Ask]) -> list[Seen]:
    """Make these calls, one after the other."""
    if face != "sync":
        return anyio.run(_arun_calls, pool, clock, asks, backend=face)
    found: list[Seen] = []
    for ask in asks:
        clock.sleep(ask.pause)
        seen = Seen()
        with seen.until(clock):
            if ask.streaming:
                with closing(pool.stream("q", **ask.options)) as chunks:
                    for number, chunk in enumerate(chunks, 1):
                        seen.add(chunk, clock())
                        if number == ask.leave_after:
                            break
                        clock.sleep(ask.work)
            else:
                reply = pool.chat("q", **ask.options)
                seen.chunks, seen.records = [(round(clock(), 6), reply.text)], reply.attempts
        found.append(seen)
    return found


async def _arun_calls(pool: Pool, clock: VirtualClock, asks: Sequence[Ask]) -> list[Seen]:
    found: list[Seen] = []
    for ask in asks:
        await clock.asleep(ask.pause)
        seen = Seen()
        with seen.until(clock):
            if ask.streaming:
                number = 0
                async with aclosing(pool.astream("q", **ask.options)) as chunks:
                    async for chunk in chunks:
                        number += 1
                        seen.add(chunk, clock())
                        if number == ask.leave_after:
                            break
                        await clock.asleep(ask.work)
            else:
                reply = await pool.achat("q", **ask.options)
                seen.chunks, seen.records = [(round(clock(), 6), reply.text)], reply.attempts
        found.append(seen)
    return found


def run_concurrently(face: str, pool: Pool, clock: VirtualClock, asks: Sequence[Ask]) -> list[Seen]:
    """Make these calls at the same time."""
    if face == "sync":
        return clock.run_in_threads(*(lambda ask=ask: run_calls(face, pool, clock, [ask])[0] for ask in asks))  # type: ignore[misc]
    return anyio.run(_all_at_once, pool, clock, asks, backend=face)


async def _all_at_once(pool: Pool, clock: VirtualClock, asks: Sequence[Ask]) -> list[Seen]:
    found: dict[int, Seen] = {}

    async def one(place: int) -> None:
        found[place] = (await _arun_calls(pool, clock, [asks[place]]))[0]

    async with anyio.create_task_group() as group:
        for place in range(len(asks)):
            group.start_soon(one, place)
    return [found[place] for place in range(len(asks))]


def stream(face: str, pool: Pool, clock: VirtualClock, **options: Any) -> Seen:
    """One streamed answer."""
    return run_calls(face, pool, clock, [Ask(options=options)])[0]


def chat(face: str, pool: Pool, clock: VirtualClock, **options: Any) -> Seen:
    """One whole answer."""
    return run_calls(face, pool, clock, [Ask(streaming=False, options=options)])[0]
