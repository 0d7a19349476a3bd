"""A stream after its first content: how each chunk and a break are handled.

One monitor serves a call: it moves from one attempt's stream to the next one's, and keeps the text that was delivered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import inf

from hotspare._engine.call import Attempt, Call
from hotspare._engine.commands import LATE, Broke, Event
from hotspare._engine.continuation import (
    EmittedText,
    SpliceError,
    Splicer,
    UnconfirmedEnd,
    estimate_usage,
    looks_unfinished,
    lost_in,
    may_continue,
    splicer_for,
)
from hotspare._engine.folding import reply_of
from hotspare._engine.refusals import refusal_in
from hotspare._engine.scheduler import Scheduler
from hotspare._engine.spending import call_cost
from hotspare._engine.timeouts import min_throughput
from hotspare._routing.acceptance import objection
from hotspare.errors import AllTargetsFailed, AnswerRejected, AttemptTimeout, IncompleteAnswer, StreamInterrupted
from hotspare.messages import SEVERAL, ChatChunk, ChatReply, StreamSummary, Usage
from hotspare.outcome import Kind, Outcome
from hotspare.policy import Policy
from hotspare.target import Target


class StreamMonitor:
    """Watches the streams of one call: time, throughput, the text delivered, and where its parts were joined.

    `done`: the answer is complete, and its last chunk was delivered. `error`: the latest break. `usage`: of the last part, once
    it is complete.
    """

    def __init__(self, call: Call, scheduler: Scheduler, policy: Policy, clock: Callable[[], float]) -> None:
        self.done = False
        self._time_left = 0.0
        self.error: Exception | None = None
        self.usage: Usage | None = None
        self._call = call
        self._scheduler = scheduler
        self._policy = policy
        self._clock = clock
        # For a whole answer the deadline bounds the content too; for a stream only the total deadline does.
        self._ends_at = call.total_deadline if call.streaming else call.deadline
        self._fails_over_on_refusal = Kind.CONTENT_FILTER in policy.failover_on
        self._emitted = EmittedText()
        self._keeps_chunks = not call.streaming or call.accept is not None
        self._chunks: list[ChatChunk] = []  # kept for a whole answer, or if the answer is judged at its end
        self._targets: list[Target] = []
        self._splice_points: list[int] = []
        self._broken_usage: list[Usage] = []
        self._unconfirmed: tuple[ChatChunk, Target] | None = None  # an end that one target has reported
        self._claimed_at = -1  # length of the text at that end
        self._max_attempts = call.max_attempts

    def attach(self, attempt: Attempt) -> None:
        """Switch to this attempt's stream: the first one, or one that continues a broken answer."""
        self._attempt = attempt
        self._started = self._last_progress = now = self._clock()
        self._pieces = self._bytes = 0
        self._start_window(now)
        self._longest_gap = 0.0
        self._last: ChatChunk | None = None  # the end of the answer, once its finish reason has arrived
        self._finish_by = inf
        self._min_throughput = min_throughput(attempt.state, self._policy)
        self._targets.append(attempt.target)
        if not self._call.streaming:
            self._emitted, self._chunks = EmittedText(), []  # a whole answer is restarted
        if self._unconfirmed is not None:
            self._call.max_attempts = self._max_attempts
        text = self._emitted.text
        self._splicer = splicer_for(text, attempt.request, self._policy) if text else None
        if len(self._targets) > 1:
            self._splice_points.append(len(text))

    def process(self, event: Event) -> ChatChunk | None:
        """The part of this chunk to hand out; None if it has no content, or is buffered until it can be joined.

        After the finish reason, the end of the stream, a break or silence ends the answer. Before it they raise
        IncompleteAnswer, the stream's own error, or AttemptTimeout. Also raises AttemptTimeout for a stream that is too slow,
        SpliceError, EmptyAnswer or UnconfirmedEnd if a continuation cannot be joined, is lost or may be, InBandError for a refusal,
        and AnswerRejected.
        """
        chunk = event if isinstance(event, ChatChunk) else self._without_chunk(event)
        self.done = chunk.finish_reason is not None
        if chunk.finishing is not None:
            chunk = self._finishing(chunk)
        has_content = bool(chunk.text) or chunk.is_content
        if has_content:
            self._record_progress(chunk)
        elif not self.done:
            self._update_time_left(self._clock())
            if self._last is None or self._time_left > 0:
                return None
            chunk, self.done = self._last, True
        if self._fails_over_on_refusal:
            self._raise_if_refused(chunk)
        if self._splicer is not None:
            chunk = self._joined(chunk, self._splicer)
            has_content = chunk.is_content
        if self.done:
            self._record_stream()
            self.usage = chunk.usage
            usage = chunk.usage or Usage()
            self._call.parts.append((self._attempt, usage))
            chunk = replace(chunk, summary=self._summary(usage, self._attempt.target))
        elif not has_content:
            return None
        self._emitted.add(chunk)
        if self._keeps_chunks:
            self._chunks.append(chunk)
        if self.done:
            self._raise_if_rejected()
        return chunk

    def reply(self) -> ChatReply:
        """The whole answer, built from the stream."""
        summary = self._chunks[-1].summary
        assert summary is not None
        return replace(
            reply_of(self._chunks),
            target=summary.target,
            attempts=summary.attempts,
            cost=summary.cost,
            signed_by=summary.signed_by,
        )

    def _raise_if_refused(self, chunk: ChatChunk) -> None:
        """Raise InBandError for a refusal if none of the answer was delivered: the call fails over."""
        error = refusal_in(chunk)
        if error is not None and (not self._call.streaming or self._emitted.is_blank):
            raise error

    def _raise_if_rejected(self) -> None:
        """Raise AnswerRejected if `accept` rejects the complete answer, before its end is delivered."""
        accept, is_judged = self._call.accept, isinstance(self._attempt.result, ChatReply) and not self._call.emitted
        if accept is not None and not is_judged:
            why = objection(reply_of(self._chunks), self._call.request, accept)
            if why:
                raise AnswerRejected(why)

    def _joined(self, chunk: ChatChunk, splicer: Splicer) -> ChatChunk:
        """The part of a continuation that follows the text delivered. Raises SpliceError, EmptyAnswer or UnconfirmedEnd."""
        text = splicer.feed(chunk.text)
        if self.done:
            if splicer.is_empty:
                self._raise_if_lost(chunk)
            text += splicer.finish()
        return replace(chunk, text=text, reasoning="", thinking=(), native=None)

    def _raise_if_lost(self, end: ChatChunk) -> None:
        """Raise EmptyAnswer if the text of an empty continuation was lost. If it may have been, raise UnconfirmedEnd once, if another
        target can be asked: the end of a text that looks finished needs no second opinion."""
        error = lost_in(end, self._policy)
        if error is not None:
            raise error
        call, text = self._call, self._emitted.text
        if end.finish_reason != "stop" or len(text) == self._claimed_at or not looks_unfinished(text) or call.accept:
            return  # `accept` judges the whole answer
        now = self._clock()
        has_time = self._ends_at is None or now < self._ends_at
        if has_time and call.attempts_left > 0 and self._scheduler.has_free_alternative(call, now):
            self._claimed_at = len(text)
            raise UnconfirmedEnd(end)

    def _finishing(self, chunk: ChatChunk) -> ChatChunk:
        """The finish reason has arrived. Returns the chunk's content."""
        if self._last is None:
            self._finish_by = self._clock() + self._policy.timeouts.after_finish
        self._last = ChatChunk(
            finish_reason=chunk.finishing, usage=chunk.usage or Usage(), model=chunk.model, id=chunk.id
        )
        return replace(chunk, finishing=None, usage=None, model="", id="")

    def _without_chunk(self, event: Event) -> ChatChunk:
        """The last chunk, if the stream ended after its finish reason without one."""
        if self._last is not None:
            return self._last
        if event is LATE:
            raise self.timeout_error()
        if isinstance(event, Broke):
            raise event.error
        raise IncompleteAnswer("the stream ended without its last chunk")

    # --- time and throughput -------------------------------------------------------------------------------------

    def _record_progress(self, chunk: ChatChunk) -> None:
        now = self._clock()
        if self._pieces and now - self._last_progress > self._longest_gap:
            self._longest_gap = now - self._last_progress
        self._last_progress = now
        if self._last is not None:
            self._finish_by = now + self._policy.timeouts.after_finish
            self._update_time_left(now)
        elif self._ends_at is not None:
            self._update_time_left(now)
        else:  # nearly always: what `_update_time_left` finds then
            self._time_left = self._attempt.stall
        self._pieces += 1
        text = chunk.text or chunk.reasoning
        self._window_bytes += len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
        if chunk.tool_calls:
            self._window_bytes += sum(len(delta.arguments) for delta in chunk.tool_calls)
        if now >= self._window_end:
            self._check_throughput(now)

    def _update_time_left(self, now: float) -> None:
        """Raises AttemptTimeout if the stream has stalled, or its deadline is exceeded."""
        left = (self._last_progress + self._attempt.stall if self._last is None else self._finish_by) - now
        self._time_left = left if self._ends_at is None else min(left, self._ends_at - now)
        if self._time_left <= 0 and self._last is None:
            raise self.timeout_error()

    def next_wait(self) -> float:
        """Seconds to wait for the next chunk. The caller's own processing time is not counted as silence of the target, but it counts
        towards the total deadline. After the deadline 0: only what has already arrived is read, since it may be the end."""
        if self._ends_at is None:
            return self._time_left if self._time_left > 0 else 0.0
        return max(0.0, min(self._time_left, self._ends_at - self._clock()))

    def is_flowing(self) -> bool:
        """Whether content arrived within the shortest silence that counts as a stall."""
        return self._clock() - self._last_progress < self._policy.timeouts.stall_min

    def _start_window(self, now: float) -> None:
        self._window_start, self._window_bytes = now, 0
        self._window_end = now + (self._policy.timeouts.throughput_window or inf)

    def _check_throughput(self, now: float) -> None:
        """Once per window: raise AttemptTimeout if the stream is too slow and another target can continue its answer."""
        too_slow = self._window_bytes < self._min_throughput * (now - self._window_start)
        self._bytes += self._window_bytes
        self._start_window(now)
        call = self._call
        movable = not call.streaming or (self._emitted.plain and may_continue(call, self._emitted, self._policy))
        if too_slow and movable and self._last is None and self._scheduler.has_free_alternative(call, now):
            raise AttemptTimeout(f"the stream is too slow: under {self._min_throughput:.0f} bytes a second")

    def timeout_error(self) -> AttemptTimeout:
        """The error of a stream that stalled, or exceeded its deadline."""
        if self._ends_at is not None and self._clock() >= self._ends_at:
            return AttemptTimeout(
                "total deadline of the stream exceeded" if self._call.streaming else "deadline exceeded"
            )
        return AttemptTimeout(f"the stream stalled for {self._attempt.stall:.0f} s")

    # --- breaks and the end --------------------------------------------------------------------------------------

    def record_break(self, error: Exception) -> None:
        """Record a break. Returns normally if another target can continue or restart the answer; else raises StreamInterrupted."""
        self.error = error
        self.done = False
        call, attempt = self._call, self._attempt
        end = error.end if isinstance(error, UnconfirmedEnd) else None
        usage = (end and end.usage) or estimate_usage(call, self._pieces)
        call.parts.append((attempt, usage))
        if isinstance(error, SpliceError):
            raise self.interrupted(str(error)) from error
        if end is None:
            outcome = attempt.state.classify(error)
        else:  # no failure of the target; one other target is asked
            outcome, self._unconfirmed = Outcome(Kind.REJECTED, str(error)), (end, attempt.target)
            self._max_attempts, call.max_attempts = call.max_attempts, len(call.attempts) + 1
        now = self._clock()
        self._scheduler.record_stream_break(call, attempt, outcome, self._emitted.text, now)
        self._broken_usage.append(usage)
        over = self._ends_at is not None and now >= self._ends_at
        if call.streaming and isinstance(error, AnswerRejected):
            raise self.interrupted(f"the answer of {attempt.state.name} was not accepted: {error}") from error
        if call.streaming and (over or not may_continue(call, self._emitted, self._policy)):
            message = f"the stream of {attempt.state.name} broke after its first content"
            raise self.interrupted(f"{message}: {outcome.kind}: {outcome.message or error}") from error

    def record_left(self) -> None:
        """The caller has closed the stream early: what was received until then is paid for."""
        if not self.done:
            self._call.parts.append((self._attempt, estimate_usage(self._call, self._pieces)))

    def not_continued(self, error: AllTargetsFailed) -> StreamInterrupted:
        """The error of a stream that no other target continued."""
        return self.interrupted(f"a stream broke, and no other target continued it: {error}")

    def unconfirmed_end(self) -> ChatChunk | None:
        """The end that a target reported, if the one other target that was asked for it has failed; None if there is none."""
        if self._unconfirmed is None or len(self._emitted.text) > self._claimed_at:
            return None
        end, target = self._unconfirmed
        return ChatChunk(
            finish_reason="stop",
            usage=end.usage,
            model=end.model,
            id=end.id,
            summary=self._summary(end.usage or Usage(), target),
        )

    def interrupted(self, message: str) -> StreamInterrupted:
        """The error of a stream that ends after its first content."""
        return StreamInterrupted(message, self._call.records, text=self._emitted.text)

    def _record_stream(self) -> None:
        seconds = (self._clock() if self._last is None else self._last_progress) - self._started
        if self._pieces > 1 and seconds > 0:
            throughput = (self._bytes + self._window_bytes) / seconds
            self._scheduler.record_stream(self._call, self._attempt, self._longest_gap, throughput)

    def _summary(self, usage: Usage, target: Target) -> StreamSummary:
        broken = self._broken_usage
        call = self._call
        call.usage, call.cost = usage, call_cost(call)
        call.duplicate_tokens = sum(part.input_tokens for part in broken) + (broken[-1].output_tokens if broken else 0)
        return StreamSummary(
            target=target.name,
            attempts=call.records,
            cost=call.cost,
            targets=tuple(target.name for target in self._targets),
            splice_points=tuple(self._splice_points),
            duplicate_tokens=call.duplicate_tokens,
            signed_by=SEVERAL if call.streaming and len(self._targets) > 1 else self._attempt.state.signer,
        )
