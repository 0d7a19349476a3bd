"""What a scripted target does when it is called, as data: `answer`, `fail`, `break_after`, `hang`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from math import inf
from typing import Any, TypeGuard, cast

from hotspare.errors import BackendError, ConfigError, Problem
from hotspare.messages import ChatChunk, ChatReply, FinishReason, ToolCall, ToolCallDelta, Usage
from hotspare.outcome import Kind, Outcome

Pieces = str | Sequence[str | ChatChunk]
"""An answer's text: a text, which is streamed word by word, or the pieces that it is streamed in. Nothing is added between
them and nothing is lost. A `ChatChunk` among the pieces is streamed as it is, e.g. `hotspare.messages.IDLE` (a keep-alive).
"""


class ScriptedError(BackendError):
    """What a scripted target raises, with the outcome that it is classified as."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        super().__init__(outcome.message or str(outcome.kind), status=outcome.status)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One answer or failure, the result of `answer`, `fail`, `break_after` and `hang`.

    chunks: what is streamed, without the last chunk.
    last: the last chunk, with finish reason and usage; None for an answer without an end.
    error: what is raised after `chunks`, instead of `last`. With neither, the target hangs.
    delay: seconds before the first chunk, or before the failure.
    gap: seconds between two chunks, and between the last of `chunks` and the end or the error.
    reply: the reply of a call that does not stream, if it contains more than the chunks.
    """

    chunks: tuple[ChatChunk, ...] = ()
    last: ChatChunk | None = None
    error: Exception | None = None
    delay: float = 0.0
    gap: float = 0.0
    reply: ChatReply | None = None

    def __post_init__(self) -> None:
        for name in ("delay", "gap"):
            if not getattr(self, name) >= 0:
                raise ConfigError(Problem.at(f"step.{name}", getattr(self, name), "must be seconds, 0 or more"))


StepLike = Step | str | Sequence[str | ChatChunk] | Outcome | Kind | Exception | ChatReply
"""A step, or its shorthand: a text or pieces (`answer`), an Outcome, a Kind or an exception (`fail`), a ChatReply."""

RESET = Outcome(Kind.TRANSPORT, "the connection was reset")
"""How an answer breaks by default."""
_USAGE = Usage(1, 1)

Action = float | ChatChunk
"""What running a step yields: a number of seconds to wait, or a chunk to deliver."""


def actions(step: Step) -> Iterator[Action]:
    """Run a step. Raises its error after its chunks."""
    pause = step.delay
    for chunk in step.chunks:
        if pause:
            yield pause
        yield chunk
        pause = step.gap
    if pause:
        yield pause
    if step.error is not None:
        raise _another(step.error)
    yield inf if step.last is None else step.last


def _another(error: Exception) -> Exception:
    """The error to raise. A script's own errors are copied: a raised error holds the frames of its traceback, and with them the pool."""
    return copy(error) if isinstance(error, ScriptedError) else error.with_traceback(None)


def answer(
    text: Pieces = "",
    *,
    reasoning: Pieces = "",
    tool_calls: Sequence[ToolCall] = (),
    finish_reason: FinishReason | None = None,
    usage: Usage = _USAGE,
    delay: float = 0.0,
    gap: float = 0.0,
) -> Step:
    """A whole answer: reasoning first, then text, then tool calls.

    Args:
        text: streamed word by word, or in the given pieces.
        reasoning: the same for the reasoning.
        tool_calls: as `tool_call` makes them.
        finish_reason: default `tool_calls` if there are any, else `stop`.
        usage: tokens. Default: one in, one out.
        delay: seconds before the first piece. A call that does not stream takes as long as one that does.
        gap: seconds between two pieces.
    """
    thoughts = (ChatChunk(reasoning=piece) if isinstance(piece, str) else piece for piece in _pieces(reasoning))
    words = (ChatChunk(text=piece) if isinstance(piece, str) else piece for piece in _pieces(text))
    reason = finish_reason or ("tool_calls" if tool_calls else "stop")
    return Step(
        chunks=(*thoughts, *words, *_deltas(tool_calls)),
        last=ChatChunk(finish_reason=reason, usage=usage),
        delay=delay,
        gap=gap,
    )


def tool_call(name: str, /, *, id: str = "call_1", **arguments: Any) -> ToolCall:
    """A function call for `answer`: ``tool_call("get_weather", city="Seoul")``."""
    return ToolCall(id, name, json.dumps(arguments, ensure_ascii=False))


def fail(
    what: Outcome | Kind | int | Exception, message: str = "", *, retry_after: float | None = None, delay: float = 0.0
) -> Step:
    """A failure.

    Args:
        what: an Outcome, a Kind, an HTTP status (classified like a provider's), or an exception, which is raised unchanged.
        message: the provider's message, for a Kind or a status.
        retry_after: seconds that the provider asks to wait, for a Kind or a status.
        delay: seconds before it.
    """
    return Step(error=_error(what, message, retry_after), delay=delay)


def break_after(
    pieces: int,
    whole: Pieces | Step,
    what: Outcome | Kind | int | Exception = RESET,
    *,
    delay: float = 0.0,
    gap: float = 0.0,
) -> Step:
    """An answer that ends in a failure after a number of pieces (of a text: words).

    Args:
        pieces: how many are streamed. A call that does not stream gets the failure only.
        whole: the answer, as for `answer`, or a result of `answer`, with its own delay and gap.
        what: the failure, as for `fail`. Default: TRANSPORT, a reset connection.
        delay: seconds before the first piece.
        gap: seconds between two pieces.
    """
    step = whole if isinstance(whole, Step) else answer(whole, delay=delay, gap=gap)
    return replace(step, chunks=_first(pieces, step), last=None, error=_error(what, "", None))


def hang(after: int = 0, whole: Pieces | Step = "", *, delay: float = 0.0, gap: float = 0.0) -> Step:
    """Endless silence: from the start, or after a number of pieces of an answer (a stall).

    The target's timeout, or the call's deadline, ends it. Arguments as for `break_after`.
    """
    step = whole if isinstance(whole, Step) else answer(whole, delay=delay, gap=gap)
    return replace(step, chunks=_first(after, step), last=None, error=None)


def step_of(given: StepLike) -> Step:
    """A step, from its shorthand. Raises ConfigError for anything else."""
    if isinstance(given, Step):
        return given
    if isinstance(given, Outcome | Kind | Exception):  # a Kind is a str, too: before the texts
        return fail(given)
    if isinstance(given, ChatReply):
        return _whole(given)
    if isinstance(given, str) or _is_pieces(given):
        return answer(given)
    raise ConfigError(
        Problem.at("step", given, "must be a text, pieces, an Outcome, an exception, a ChatReply or a Step")
    )


def _is_pieces(given: object) -> TypeGuard[Pieces]:
    pieces = cast("Sequence[object]", given) if isinstance(given, list | tuple) else [None]
    return all(isinstance(piece, str | ChatChunk) for piece in pieces)


def _whole(reply: ChatReply) -> Step:
    extra = ChatChunk(thinking=reply.thinking, media=reply.media, refusal=reply.refusal or "")
    step = answer(reply.text, reasoning=reply.reasoning, tool_calls=reply.tool_calls)
    chunks = (*step.chunks, extra) if extra.is_content else step.chunks
    last = ChatChunk(finish_reason=reply.finish_reason, usage=reply.usage, model=reply.model, id=reply.id)
    return replace(step, chunks=chunks, last=last, reply=reply)


def _pieces(given: Pieces) -> Sequence[str | ChatChunk]:
    """A text in words, each with the white space behind it."""
    return re.findall(r"\s*\S+\s*|\s+", given) if isinstance(given, str) else given


def _deltas(calls: Sequence[ToolCall]) -> Iterator[ChatChunk]:
    """Each call in two chunks, as providers stream it: its name, then its arguments."""
    for index, call in enumerate(calls):
        yield ChatChunk(tool_calls=(ToolCallDelta(index, call.id, call.name, signature=call.signature),))
        yield ChatChunk(tool_calls=(ToolCallDelta(index, arguments=call.arguments),))


def _first(count: int, step: Step) -> tuple[ChatChunk, ...]:
    if not 0 <= count <= len(step.chunks):
        raise ConfigError(
            Problem.at("step.pieces", count, f"must be between 0 and {len(step.chunks)}, the number of pieces")
        )
    return step.chunks[:count]


def _error(what: Outcome | Kind | int | Exception, message: str, retry_after: float | None) -> Exception:
    if isinstance(what, Exception):
        return what
    if isinstance(what, Kind):
        what = Outcome(what, message, retry_after=retry_after)
    elif isinstance(what, int):
        what = _of_status(what, message, retry_after)
    if what.ok:
        raise ConfigError(Problem.at("step", what, "is not a failure: write the answer instead"))
    return ScriptedError(what)


def _of_status(status: int, message: str, retry_after: float | None) -> Outcome:
    from hotspare._classify.rules import classify
    from hotspare.errors import StatusError

    found = classify(StatusError(message or f"HTTP {status}", status=status))
    return replace(found, retry_after=retry_after)
