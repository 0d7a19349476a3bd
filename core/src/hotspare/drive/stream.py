"""A stream after its first content: watched for stalls, handed out, and ended with a receipt or an honest error."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator
from dataclasses import dataclass, replace
from typing import Any

import anyio

from hotspare.call import Attempt, Call
from hotspare.errors import AttemptTimeout, IncompleteAnswer, StreamInterrupted
from hotspare.gate import Gate
from hotspare.messages import ChatChunk, Receipt, Usage
from hotspare.outcome import Outcome


@dataclass(slots=True)
class Opened:
    """A backend's stream and the first chunk that came out of it."""

    chunks: Any
    first: ChatChunk


def first_of(chunk: ChatChunk) -> bool:
    """Whether this chunk is the verdict: content, or a proven end without any."""
    return chunk.is_content or chunk.finish_reason is not None


class Watch:
    """What both faces do with a running stream: keep the text, watch the clock, write the receipt."""

    def __init__(
        self, call: Call, attempt: Attempt, gate: Gate, clock: Callable[[], float], until: float | None
    ) -> None:
        self.call, self.attempt, self.gate, self.clock = call, attempt, gate, clock
        self.until = until
        self.text: list[str] = []
        self.progress = clock()
        self.done = False

    def left(self) -> float:
        """Seconds until the stream counts as stalled, or its total deadline is over."""
        now = self.clock()
        bound = self.progress + self.attempt.stall - now
        return bound if self.until is None else min(bound, self.until - now)

    def take(self, chunk: ChatChunk) -> ChatChunk | None:
        """What the caller is shown of this chunk; None for what is no progress."""
        if chunk.finish_reason is not None:
            self.done = True
            self.text.append(chunk.text)
            target = self.attempt.member.target
            usage = chunk.usage or Usage()
            return replace(chunk, receipt=Receipt(target.name, tuple(self.call.records), cost_of(target.price, usage)))
        if not chunk.is_content:
            if self.left() <= 0:
                raise self.late()
            return None
        self.progress = self.clock()
        self.text.append(chunk.text)
        return chunk

    def late(self) -> AttemptTimeout:
        """The error of a stream that stopped."""
        if self.until is not None and self.clock() >= self.until:
            return AttemptTimeout("the stream's total deadline is over")
        return AttemptTimeout(f"the stream stalled for {self.attempt.stall:.0f} s")

    def broken(self, error: Exception) -> StreamInterrupted:
        """Settle a break as a second observation, and say what came before it."""
        outcome: Outcome = self.attempt.member.backend.classify(error)
        self.gate.broke(self.call, self.attempt, outcome, self.clock())
        name = self.attempt.member.name
        message = f"the stream of {name} broke after its first content: {outcome.kind}: {outcome.message or error}"
        return StreamInterrupted(message, self.call.records, text="".join(self.text))


def read(watch: Watch) -> Generator[ChatChunk]:
    """Hand out a stream, in sync code. Closing it closes the connection."""
    opened: Opened = watch.attempt.result
    chunks: Generator[ChatChunk] = opened.chunks
    try:
        shown = watch.take(opened.first)
        if shown is not None:
            yield shown
        while not watch.done:
            try:
                chunk = next(chunks, None)
                if chunk is None:
                    raise IncompleteAnswer("the stream ended without its last chunk")
                shown = watch.take(chunk)
            except Exception as error:
                raise watch.broken(error) from error
            if shown is not None:
                yield shown
    finally:
        chunks.close()


async def aread(watch: Watch) -> AsyncGenerator[ChatChunk]:
    """Hand out a stream, in async code. `aclose()` closes the connection."""
    opened: Opened = watch.attempt.result
    chunks: AsyncGenerator[ChatChunk] = opened.chunks
    try:
        shown = watch.take(opened.first)
        if shown is not None:
            yield shown
        while not watch.done:
            try:
                shown = await _next(watch, chunks)
            except Exception as error:
                raise watch.broken(error) from error
            if shown is not None:
                yield shown
    finally:
        with anyio.CancelScope(shield=True):
            await chunks.aclose()


async def _next(watch: Watch, chunks: AsyncGenerator[ChatChunk]) -> ChatChunk | None:
    with anyio.move_on_after(max(0.0, watch.left())) as scope:
        chunk = await anext(chunks, None)
        if chunk is None:
            raise IncompleteAnswer("the stream ended without its last chunk")
        return watch.take(chunk)
    if scope.cancelled_caught:
        raise watch.late()
    return None


def cost_of(price: tuple[float, float, float | None] | None, usage: Usage) -> float | None:
    """USD of one answer; None without a price. Prices are per million tokens."""
    if price is None:
        return None
    per_input, per_output, per_cached = price
    fresh = usage.input_tokens - usage.cached_tokens
    cached = usage.cached_tokens * (per_input if per_cached is None else per_cached)
    return (fresh * per_input + cached + usage.output_tokens * per_output) / 1e6
