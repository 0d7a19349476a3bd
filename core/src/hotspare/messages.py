"""What goes in and what comes out, in OpenAI's chat shape: the shape that every framework already speaks.

Messages are plain dicts as OpenAI's Chat Completions documents them, with three additions that let a history move
between providers: an assistant message may carry `reasoning_content` (text) and `thinking_blocks` (signed blocks, each
with the `dialect` that signed it), and a tool call may carry `extra_content.google.thought_signature`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal, TypedDict

from hotspare.outcome import AttemptRecord

Message = Mapping[str, Any]
FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]
ReasoningEffort = Literal["none", "minimal", "low", "medium", "high", "xhigh"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """One question, in OpenAI's chat shape.

    `messages`: OpenAI-shaped dicts. `model`: a route, a model alias or a target's name (None: the default route).
    `tools`, `tool_choice`, `response_format`: as OpenAI's Chat Completions takes them. `max_tokens`: of the answer,
    reasoning included. `stop`: texts that end the answer. `reasoning_effort`: how hard to think.
    `extra`: body fields for one dialect only, e.g. ``{"anthropic": {"thinking": {...}}}``; keys are `openai`,
    `anthropic` and `gemini`. A field that a target's wire cannot carry keeps that target from being asked.
    `native`: what a framework's adapter hands through to its own backends, untouched and unread by hotspare's wires.
    """

    messages: Sequence[Message]
    model: str | None = None
    tools: Sequence[Mapping[str, Any]] = ()
    tool_choice: str | Mapping[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    response_format: Mapping[str, Any] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_tokens: int | None = None
    stop: Sequence[str] = ()
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    reasoning_effort: ReasoningEffort | None = None
    user: str | None = None
    extra: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    native: Any = field(default=None, repr=False, compare=False)


class RequestFields(TypedDict, total=False):
    """The fields of ChatRequest except `messages` as keywords, so that type checkers know those of a call."""

    model: str | None
    tools: Sequence[Mapping[str, Any]] | None
    tool_choice: str | Mapping[str, Any] | None
    parallel_tool_calls: bool | None
    response_format: Mapping[str, Any] | None
    temperature: float | None
    top_p: float | None
    top_k: int | None
    max_tokens: int | None
    stop: str | Sequence[str] | None
    seed: int | None
    frequency_penalty: float | None
    presence_penalty: float | None
    reasoning_effort: ReasoningEffort | None
    user: str | None
    extra: Mapping[str, Mapping[str, Any]] | None
    native: Any


class CallOptions(RequestFields, total=False):
    """What a call takes beside its messages. `deadline`: seconds. `completion`: as in Policy."""

    deadline: float | None
    max_attempts: int | None
    completion: Literal["wait", "stream"] | None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function the model wants called. `arguments` is JSON text as the model wrote it.

    `signature` is Gemini's thought signature, which must come back with the call.
    """

    id: str
    name: str
    arguments: str
    signature: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """OpenAI's shape, as it stands in an assistant message."""
        call: dict[str, Any] = {
            "id": self.id,
            "type": "function",
            "function": {"name": self.name, "arguments": self.arguments},
        }
        if self.signature:
            call["extra_content"] = {"google": {"thought_signature": self.signature}}
        return call


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A piece of a streamed tool call. `id` and `name` come with its first piece; `arguments` add up."""

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""
    signature: str | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one answer. `input_tokens` counts cached ones too, `output_tokens` counts reasoning too.

    `cached_tokens` were read from a prompt cache, `cache_write_tokens` written to one.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """Input and output together."""
        return self.input_tokens + self.output_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_tokens + other.cached_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
        )


class _WithAttempts:
    """What a whole answer and a stream's summary have in common: where the answer came from, and at what price."""

    __slots__ = ()
    target: str
    attempts: tuple[AttemptRecord, ...]
    cost: float | None

    @property
    def failovers(self) -> int:
        """How often the call went from one target to another."""
        return sum(one.target != following.target for one, following in pairwise(self.attempts))

    def as_metadata(self) -> dict[str, Any]:
        """Where the answer came from, as plain values: target, failovers, cost (USD), attempts."""
        return {
            "target": self.target,
            "failovers": self.failovers,
            "cost": self.cost,
            "attempts": [attempt.as_dict() for attempt in self.attempts],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatReply(_WithAttempts):
    """A whole answer.

    `text` and `reasoning` are "" where there is none; `refusal` is the model's own refusal text. `thinking` holds
    signed reasoning blocks to send back with the history. `target` is the name of the target that answered,
    `attempts` everything that was tried, in order. `cost`: USD, None where no price is known. `raw`: the provider's JSON.
    `native`: the framework's own answer, where a framework's model stands behind the target.
    """

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    reasoning: str = ""
    thinking: tuple[Mapping[str, Any], ...] = ()
    refusal: str | None = None
    finish_reason: FinishReason = "stop"
    usage: Usage = Usage()
    model: str = ""
    id: str = ""
    target: str = ""
    attempts: tuple[AttemptRecord, ...] = ()
    cost: float | None = None
    raw: Mapping[str, Any] | None = None
    native: Any = field(default=None, repr=False, compare=False)

    @property
    def message(self) -> dict[str, Any]:
        """This answer as an assistant message, ready to be appended to the history."""
        message: dict[str, Any] = {"role": "assistant", "content": self.text or None}
        if self.tool_calls:
            message["tool_calls"] = [call.as_dict() for call in self.tool_calls]
        if self.refusal:
            message["refusal"] = self.refusal
        if self.reasoning:
            message["reasoning_content"] = self.reasoning
        if self.thinking:
            message["thinking_blocks"] = [dict(block) for block in self.thinking]
        return message


@dataclass(frozen=True, slots=True)
class StreamSummary(_WithAttempts):
    """How a stream was made.

    `target`: where its end came from. `targets`: all that contributed, in order. `splice_points`: the places in the
    text, in characters, where one took over from another. `attempts`: everything that was tried. `cost`: USD, broken
    parts estimated; None where a price is not known. `duplicate_tokens`: estimated tokens that were paid more than once
    because of breaks.
    """

    target: str
    attempts: tuple[AttemptRecord, ...] = ()
    cost: float | None = None
    targets: tuple[str, ...] = ()
    splice_points: tuple[int, ...] = ()
    duplicate_tokens: int = 0

    def as_metadata(self) -> dict[str, Any]:
        """As of a whole answer; a spliced stream also has targets, splice points and duplicate tokens."""
        values = _WithAttempts.as_metadata(self)
        if self.splice_points:
            values |= {
                "targets": list(self.targets),
                "splice_points": list(self.splice_points),
                "duplicate_tokens": self.duplicate_tokens,
            }
        return values


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatChunk:
    """A piece of a streamed answer: what is new since the last one.

    Only the last chunk has `finish_reason`, `usage` and `summary`. A backend may yield a chunk with nothing in it (a
    keep-alive came): it is no progress and is never shown to callers. `native`: the framework's own chunk, where a
    framework's model stands behind the target and the text was not changed at a seam.
    """

    text: str = ""
    tool_calls: tuple[ToolCallDelta, ...] = ()
    reasoning: str = ""
    thinking: tuple[Mapping[str, Any], ...] = ()
    refusal: str = ""
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    model: str = ""
    id: str = ""
    summary: StreamSummary | None = None
    native: Any = field(default=None, repr=False, compare=False)

    @property
    def is_content(self) -> bool:
        """Whether this chunk is semantic progress: text, reasoning, a tool call, a refusal."""
        return bool(self.text or self.tool_calls or self.reasoning or self.refusal or self.thinking)


IDLE = ChatChunk()
"""Something came over the wire, but no progress: a keep-alive, a ping, an empty role chunk."""
