"""A stream after its first content: watched for stalls, handed out, and ended with a receipt or an honest error."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator, Iterable
from dataclasses import dataclass, replace
from typing import Any

import anyio

from hotspare._engine.call import Attempt, Call, min_throughput
from hotspare._engine.continuation import EmittedText, SpliceError, Splicer, estimate_usage, may_recover
from hotspare._engine.scheduler import Scheduler
from hotspare.errors import AllTargetsFailed, AttemptTimeout, EmptyAnswer, IncompleteAnswer, StreamInterrupted
from hotspare.messages import ChatChunk, ChatReply, StreamSummary, Usage
from hotspare.outcome import OK, Outcome
from hotspare.providers.folding import chunks_of
from hotspare.target import Price, Target


@dataclass(slots=True)
class Opened:
    """A backend's stream and the first chunk that came out of it."""

    chunks: Any
    first: ChatChunk

    @classmethod
    def of(cls, reply: ChatReply) -> Opened:
        """A whole answer as a stream, for sync code."""
        first, last = chunks_of(reply)

        def rest() -> Generator[ChatChunk]:
            yield last

        return cls(rest(), first)

    @classmethod
    def aof(cls, reply: ChatReply) -> Opened:
        """A whole answer as a stream, for async code."""
        first, last = chunks_of(reply)

        async def rest() -> AsyncGenerator[ChatChunk]:
            yield last

        return cls(rest(), first)


def first_of(chunk: ChatChunk) -> bool:
    """Whether this chunk is the verdict: content, or a proven end without any."""
    return chunk.is_content or chunk.finish_reason is not None


def outcome_of(error: Exception, attempt: Attempt) -> Outcome:
    """What an error means for its attempt. One that was asked for the rest of an answer, and proves that there is none,
    has answered."""
    if attempt.continues and isinstance(error, EmptyAnswer) and error.proven:
        attempt.result = ChatReply()
        return OK
    return attempt.target_state.backend.classify(error)


class Watch:
    """What both faces do with a running stream: keep the text, watch the clock, close seams, write the receipt."""

    def __init__(
        self, call: Call, attempt: Attempt, gate: Scheduler, clock: Callable[[], float], until: float | None
    ) -> None:
        self.call, self.gate, self.clock, self.until = call, gate, clock, until
        self.shown = EmittedText()
        self.done = False
        self.seams: list[int] = []
        self.targets: list[Target] = []
        self.lost: list[Usage] = []
        self.error: Exception | None = None
        self.follow(attempt)

    def follow(self, attempt: Attempt) -> None:
        """Read on from here: the first target, or whoever continues a broken stream."""
        self.attempt = attempt
        self.progress = self.window = self.clock()
        self.pieces = self.bytes = self.all_bytes = 0
        self.gap = 0.0
        self.drip = min_throughput(attempt.target_state, self.gate.policy)
        self.begun = self.progress
        self.targets.append(attempt.target_state.target)
        if not self.call.streaming:
            self.shown = EmittedText()  # a whole answer is begun anew
        text = self.shown.text
        self.seam = Splicer(text, restart=self.gate.policy.on_break == "restart") if text else None
        if len(self.targets) > 1:
            self.seams.append(len(text))

    def left(self) -> float:
        """Seconds until the stream counts as stalled, or its total deadline is over."""
        now = self.clock()
        bound = self.progress + self.attempt.stall - now
        return bound if self.until is None else min(bound, self.until - now)

    def take(self, chunk: ChatChunk | None) -> ChatChunk | None:
        """What the caller is shown of this chunk; None for what is no progress, or held back at a seam. A stream that has no
        next chunk before its last one (None) is broken."""
        if chunk is None:
            raise IncompleteAnswer("the stream ended without its last chunk")
        last = chunk.finish_reason is not None
        if chunk.is_content:
            self._progressed(chunk)
        elif not last:
            if self.left() <= 0:
                raise self.late()
            return None
        if self.seam is not None:
            text = self.seam.feed(chunk.text) + (self.seam.finish() if last else "")
            chunk = replace(chunk, text=text, reasoning="", thinking=(), native=None)
        if last:
            self.done = True
            self._record()
            chunk = replace(chunk, summary=self._receipt(chunk.usage or Usage()))
        elif not chunk.is_content:
            return None
        self.shown.add(chunk)
        return chunk

    def _record(self) -> None:
        """Keep what this target's streams are like: the longest gap, and the rate behind the first piece."""
        seconds = self.clock() - self.begun
        if self.pieces > 1 and seconds > 0:
            self.attempt.target_state.gaps.add(self.gap)
            self.attempt.target_state.rates.add((self.all_bytes + self.bytes) / seconds)

    def _progressed(self, chunk: ChatChunk) -> None:
        """Keep the longest gap, and look at the throughput once a window."""
        now = self.clock()
        if self.pieces:
            self.gap = max(self.gap, now - self.progress)
        self.progress = now
        self.pieces += 1
        self.bytes += len((chunk.text or chunk.reasoning).encode()) + sum(len(d.arguments) for d in chunk.tool_calls)
        knobs = self.gate.policy.timeouts
        seconds = now - self.window
        if seconds >= knobs.throughput_window > 0:
            slow = self.bytes < self.drip * seconds
            self.all_bytes += self.bytes
            self.window, self.bytes = now, 0
            free = not self.call.streaming or may_recover(self.call, self.shown, self.gate.policy)
            if slow and free and self.gate.has_free_alternative(self.call, self.attempt.target_state, now):
                raise AttemptTimeout(f"the stream drips: under {self.drip:.0f} bytes a second")

    def _receipt(self, usage: Usage) -> StreamSummary:
        parts = zip(self.targets, [*self.lost, usage], strict=True)
        repaid = sum(lost.input_tokens for lost in self.lost) + (self.lost[-1].output_tokens if self.lost else 0)
        return StreamSummary(
            self.targets[-1].name,
            tuple(self.call.records),
            cost_of(self.call, parts),
            tuple(target.name for target in self.targets),
            tuple(self.seams),
            repaid,
        )

    def late(self) -> AttemptTimeout:
        """The error of a stream that stopped."""
        if self.until is not None and self.clock() >= self.until:
            return AttemptTimeout("the stream's total deadline is over")
        return AttemptTimeout(f"the stream stalled for {self.attempt.stall:.0f} s")

    def broken(self, error: Exception) -> None:
        """Settle a break as a second observation. Returns if the stream may be continued, or its answer begun anew; else
        raises."""
        self.error = error
        if isinstance(error, SpliceError):
            raise self.interrupted(str(error)) from error
        outcome: Outcome = self.attempt.target_state.backend.classify(error)
        self.gate.record_stream_break(self.call, self.attempt, outcome, self.shown.text, self.clock())
        self.lost.append(estimate_usage(self.call, self.pieces))
        if not self.call.streaming:
            return
        over = self.until is not None and self.clock() >= self.until
        if over or not may_recover(self.call, self.shown, self.gate.policy):
            name = self.attempt.target_state.name
            why = f"the stream of {name} broke after its first content: {outcome.kind}: {outcome.message or error}"
            raise self.interrupted(why) from error

    def unfinished(self, error: AllTargetsFailed) -> StreamInterrupted:
        """The end of a stream that nobody was there to continue."""
        return self.interrupted(f"a stream broke, and nobody could continue it: {error}")

    def interrupted(self, why: str) -> StreamInterrupted:
        """The honest end of a stream that nobody could continue."""
        return StreamInterrupted(why, self.call.records, text=self.shown.text)


def read(watch: Watch) -> Generator[ChatChunk]:
    """Hand out a stream until it is done or breaks, in sync code. Closing it closes the connection."""
    result: Opened | ChatReply = watch.attempt.result
    opened = Opened.of(result) if isinstance(result, ChatReply) else result
    chunks: Generator[ChatChunk] = opened.chunks
    chunk: ChatChunk | None = opened.first
    try:
        while True:
            shown = watch.take(chunk)
            if shown is not None:
                yield shown
            if watch.done:
                return
            chunk = next(chunks, None)
    except Exception as error:
        watch.broken(error)
    finally:
        chunks.close()


async def aread(watch: Watch) -> AsyncGenerator[ChatChunk]:
    """Hand out a stream until it is done or breaks, in async code. `aclose()` closes the connection."""
    result: Opened | ChatReply = watch.attempt.result
    opened = Opened.aof(result) if isinstance(result, ChatReply) else result
    chunks: AsyncGenerator[ChatChunk] = opened.chunks
    chunk: ChatChunk | None = opened.first
    try:
        while True:
            shown = watch.take(chunk)
            if shown is not None:
                yield shown
            if watch.done:
                return
            chunk = await _next(watch, chunks)
    except Exception as error:
        watch.broken(error)
    finally:
        with anyio.CancelScope(shield=True):
            await chunks.aclose()


async def _next(watch: Watch, chunks: AsyncGenerator[ChatChunk]) -> ChatChunk | None:
    with anyio.move_on_after(max(0.0, watch.left())):
        return await anext(chunks, None)
    raise watch.late()


def cost_of(call: Call, parts: Iterable[tuple[Target, Usage]]) -> float | None:
    """USD of a call: of each part of its answer, and of the prompts of attempts that lost against another. None where a
    price is not known. Prices are per million tokens."""
    prompt = estimate_usage(call, 0)
    costs = [_cost(target.price, usage) for target, usage in (*parts, *((target, prompt) for target in call.lost))]
    known = [cost for cost in costs if cost is not None]
    return sum(known) if len(known) == len(costs) else None


def _cost(price: Price | None, usage: Usage) -> float | None:
    if price is None:
        return None
    fresh = usage.input_tokens - usage.cached_tokens
    cached = usage.cached_tokens * (price.input if price.cached is None else price.cached)
    return (fresh * price.input + cached + usage.output_tokens * price.output) / 1e6
