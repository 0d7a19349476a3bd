"""Requests and answers in the shape of OpenAI's Chat Completions, which every framework can produce.

Messages are plain dicts; `MessageDict` documents their fields for editors and type checkers. Three fields are hotspare's
own, so that a history can move between providers: an assistant message may carry `reasoning_content` (text),
`thinking_blocks` (signed blocks, each with the `dialect` that signed it) and `signed_by` (the model and account that signed
them), and a tool call may carry `extra_content.google.thought_signature`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, Required, TypedDict

from hotspare._values import sparse
from hotspare.outcome import AttemptRecord, RateLimit

if TYPE_CHECKING:
    from hotspare._routing.acceptance import Accept
    from hotspare.secret import Secret
    from hotspare.target import Capability, Target

Role = Literal["system", "developer", "user", "assistant", "tool", "function"]
"""`function`: results of a `function_call`, OpenAI's shape of 2023. They are sent as results of tool calls."""
FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]
Dialect = Literal["openai", "responses", "anthropic", "gemini"]
"""A family of wire formats: the keys of `ChatRequest.extra`, and the rules of `portable_history`."""
ReasoningEffort = Literal["none", "minimal", "low", "medium", "high", "xhigh"]
ToolChoice = Literal["auto", "none", "required"] | Mapping[str, Any]
"""`auto`, `none`, `required`, or ``{"type": "function", "function": {"name": "…"}}``."""

NATIVE_PART = "native"
"""The type of a content part that OpenAI's format cannot express: only an adapter's own backend can send it."""
SEVERAL = "several"
"""`signed_by` of an answer that one target began and another one continued: its signatures are valid for none of them."""
ANTHROPIC_TOOL_FIELDS = ("cache_control", "defer_loading", "allowed_callers", "eager_input_streaming", "input_examples")
"""Fields for Anthropic that a tool may have beside its `function` or inside it. They are not sent to other providers."""


class FunctionCallDict(TypedDict):
    """The function of a tool call; `arguments` is JSON text."""

    name: str
    arguments: str


class ToolCallDict(TypedDict, total=False):
    """A tool call of an assistant message. `extra_content`: ``{"google": {"thought_signature": "…"}}`` (Gemini)."""

    id: Required[str]
    type: Literal["function"]
    function: Required[FunctionCallDict]
    extra_content: Mapping[str, Any]


class MessageDict(TypedDict, total=False):
    """The fields of a message, all roles together.

    `content`: text, or parts like ``{"type": "text", "text": "…"}`` and
    ``{"type": "image_url", "image_url": {"url": "https://…"}}``. Of an assistant: `tool_calls`, `refusal`,
    `reasoning_content`, `thinking_blocks`, `signed_by`. Of a tool's result: `tool_call_id`, `is_error`. `cache_control` is Anthropic's;
    parts, tools and tool calls may have it too, and it is not sent to other providers.
    """

    role: Required[Role]
    content: str | Sequence[str | Mapping[str, Any]] | None
    name: str
    tool_calls: Sequence[ToolCallDict]
    function_call: FunctionCallDict | None
    refusal: str | None
    reasoning_content: str
    thinking_blocks: Sequence[Mapping[str, Any]]
    signed_by: str
    tool_call_id: str
    is_error: bool
    cache_control: Mapping[str, Any]


Message = MessageDict | Mapping[str, Any]
"""The type of a message: any mapping, so that plain dicts of every type are accepted."""


@dataclass(frozen=True, kw_only=True)
class ChatRequest:
    """One request, in the shape of OpenAI's Chat Completions.

    `messages`: see `MessageDict`. `model`: a route, a target's name, its model or one of its aliases (None: the default
    route). `tools`, `tool_choice`, `response_format`: as in Chat Completions. `max_tokens`: upper bound of the answer,
    reasoning included. `stop`: texts that end the answer. `reasoning_effort`: how much the model is to reason.
    `extra`: body fields for one dialect only, e.g. ``{"anthropic": {"thinking": {...}}}``; the keys are `openai`
    (Chat Completions), `responses`, `anthropic` and `gemini`. A target that cannot carry a field of the request is skipped.
    `native`: data that an adapter passes through to its own backends; hotspare's wire formats for chat do not read it.
    """

    messages: Sequence[Message]
    model: str | None = None
    tools: Sequence[Mapping[str, Any]] = ()
    tool_choice: ToolChoice | None = None
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

    @property
    def follows_tool_result(self) -> bool:
        """Whether the last message, apart from system messages, is a tool's result: after one, a model may end its turn
        without text."""
        roles = (message.get("role") for message in reversed(self.messages))
        return next((role in ("tool", "function") for role in roles if role not in ("system", "developer")), False)


class RequestFields(TypedDict, total=False):
    """The fields of ChatRequest except `messages`, as the keywords of a call for type checkers."""

    model: str | None
    tools: Sequence[Mapping[str, Any]] | None
    tool_choice: ToolChoice | None
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


Prompt = str | Sequence[Message] | ChatRequest
"""The prompt of a call: one user message, OpenAI-shaped messages, or a whole request."""


class CallOptions(RequestFields, total=False):
    """The options of a call beside its prompt. `messages`: the prompt, if it is not the first argument. `deadline` (seconds),
    `max_attempts`, `completion`: as in Policy. `labels`: names and values for events, the ledger and reports. `cache`: as in `Cache`.

    Options for the choice of targets: `regions`, `max_price`, `substitute` and `prefer_regions` as in Policy (a call can only
    narrow what the policy allows); `require`: capabilities, e.g. ``{"json_schema"}``; `only`, `avoid`: names of targets, models, aliases or
    providers. `session`: the conversation that the call belongs to, so that it goes to the target with its prompt cache. `accept`: as in
    Policy.

    `api_key`: the caller's own key, or keys by provider or target: the pool's targets are called with it, and it counts as a
    separate account. `targets`: `Target`s or ids for this call alone, in place of the pool's."""

    messages: Sequence[Message]
    deadline: float | None
    max_attempts: int | None
    completion: Literal["auto", "wait", "stream"] | None
    labels: Mapping[str, str] | None
    regions: Collection[str] | None
    prefer_regions: Collection[str] | None
    max_price: float | None
    substitute: bool | None
    require: Collection[Capability] | None
    only: Collection[str] | None
    avoid: Collection[str] | None
    session: str | None
    cache: Literal["off", "read", "refresh"] | None
    accept: Accept | None
    api_key: Secret | str | Mapping[str, Secret | str] | None
    targets: Target | str | Sequence[Target | str] | None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function call that the model requests. `arguments` is JSON text as the model wrote it.

    `signature`: Gemini's thought signature, which must be sent back with the call.
    """

    id: str
    name: str
    arguments: str
    signature: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The call in OpenAI's shape, as an item of an assistant message's `tool_calls`."""
        function = {"name": self.name, "arguments": self.arguments}
        call: dict[str, Any] = {"id": self.id, "type": "function", "function": function}
        if self.signature:
            call["extra_content"] = {"google": {"thought_signature": self.signature}}
        return call


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A piece of a streamed tool call. Its first piece has `id` and `name`; the pieces of `arguments` are concatenated."""

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""
    signature: str | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one answer. `input_tokens` includes cached ones, `output_tokens` includes reasoning.

    `cached_tokens`: read from a prompt cache. `cache_write_tokens`: written to one. Without reported usage all are 0."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """Input and output together."""
        return self.input_tokens + self.output_tokens

    @property
    def answer_tokens(self) -> int:
        """Output without reasoning."""
        return self.output_tokens - self.reasoning_tokens

    @property
    def known(self) -> bool:
        """Whether the provider reported usage: every answer has at least one token."""
        return self.total_tokens > 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_tokens + other.cached_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
        )


Cached = Literal["hit", "shared", "stale"]
"""The origin of an answer for which no attempt was made: the cache, an identical call, or an expired entry of the cache."""


class _WithAttempts:
    """The fields that a whole answer and a stream's summary share: the target, its cost, and the attempts."""

    __slots__ = ()
    target: str
    attempts: tuple[AttemptRecord, ...]
    cost: float | None
    signed_by: str

    @property
    def failovers(self) -> int:
        """How often the call went from one target to another."""
        return sum(one.target != following.target for one, following in pairwise(self.attempts))

    def as_metadata(self) -> dict[str, Any]:
        """Target, failovers, cost (USD) and attempts as plain values, for JSON and the metadata of frameworks."""
        return {
            "target": self.target,
            "failovers": self.failovers,
            "cost": self.cost,
            "attempts": [attempt.as_dict() for attempt in self.attempts],
            "signed_by": self.signed_by,
        }


@sparse
@dataclass(frozen=True, kw_only=True)
class ChatReply(_WithAttempts):
    """A whole answer.

    `text`, `reasoning`: "" if there is none. `refusal`: the model's refusal text. `thinking`: signed reasoning blocks, to be sent
    back with the history. `signed_by`: the model and the account that signed these blocks and the tool calls; the signatures are sent
    back only to it. `media`: images, audio and files, as the provider sent them. `target`: the name of the target that answered.
    `attempts`: every attempt, in order. `cost`: USD, None if no price or no usage is known. `cached`: the origin of an answer that
    needed no attempt (None: an attempt was made). `limits`: the provider's limits as stated in the answer. `raw`: the provider's JSON.
    `native`: the framework's own response, where a framework's model is behind the target.
    """

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    reasoning: str = ""
    thinking: tuple[Mapping[str, Any], ...] = ()
    media: tuple[Mapping[str, Any], ...] = ()
    refusal: str | None = None
    finish_reason: FinishReason = "stop"
    usage: Usage = Usage()
    model: str = ""
    id: str = ""
    target: str = ""
    attempts: tuple[AttemptRecord, ...] = ()
    cost: float | None = None
    cached: Cached | None = None
    limits: tuple[RateLimit, ...] = ()
    signed_by: str = field(default="", compare=False)
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
        if self.signed_by and self.is_signed:
            message["signed_by"] = self.signed_by
        return message

    @property
    def is_signed(self) -> bool:
        """Whether any part of it is valid only for the model that wrote it: signed or encrypted reasoning, or a signed tool call."""
        return bool(self.thinking) or any(call.signature for call in self.tool_calls)


@dataclass(frozen=True, slots=True)
class StreamSummary(_WithAttempts):
    """Where the content of a stream came from.

    `target`: the target that sent the end. `targets`: all targets that contributed, in order. `splice_points`: offsets in the text, in
    characters, at which the next target continued. `attempts`: every attempt, in order. `cost`: USD, broken attempts estimated; None
    if a price, or the usage of the last part, is not known. `duplicate_tokens`: estimated tokens that were paid twice because of
    breaks. `signed_by`: as in ChatReply; `several` for an answer that was continued.
    """

    target: str
    attempts: tuple[AttemptRecord, ...] = ()
    cost: float | None = None
    targets: tuple[str, ...] = ()
    splice_points: tuple[int, ...] = ()
    duplicate_tokens: int = 0
    cached: Cached | None = None
    signed_by: str = field(default="", compare=False)

    def as_metadata(self) -> dict[str, Any]:
        """Like `ChatReply.as_metadata`; a spliced stream adds targets, splice points and duplicate tokens."""
        values = _WithAttempts.as_metadata(self)
        if self.splice_points:
            values |= {
                "targets": list(self.targets),
                "splice_points": list(self.splice_points),
                "duplicate_tokens": self.duplicate_tokens,
            }
        return values


@sparse
@dataclass(frozen=True, kw_only=True)
class ChatChunk:
    """A piece of a streamed answer: the content that is new since the previous chunk.

    Only the last chunk has `finish_reason`, `usage` and `summary`. `media`: images, audio and files, as the provider sent
    them. `limits`: the provider's limits as stated in the answer, in the first chunk with content. `native`: the framework's own
    chunk, where a framework's model is behind the target and the text was not changed at a
    splice point.

    Callers never see two things that backends yield. An empty chunk (`IDLE`) is a keep-alive, which is not progress. A chunk
    with `finishing` and the usage so far means that the finish reason has arrived: the answer is complete, and the rest (usage,
    the regular end) is awaited for at most `Timeouts.after_finish`.
    """

    text: str = ""
    tool_calls: tuple[ToolCallDelta, ...] = ()
    reasoning: str = ""
    thinking: tuple[Mapping[str, Any], ...] = ()
    media: tuple[Mapping[str, Any], ...] = ()
    refusal: str = ""
    finish_reason: FinishReason | None = None
    finishing: FinishReason | None = None
    usage: Usage | None = None
    model: str = ""
    id: str = ""
    summary: StreamSummary | None = None
    limits: tuple[RateLimit, ...] = ()
    native: Any = field(default=None, repr=False, compare=False)

    @property
    def is_content(self) -> bool:
        """Whether this chunk has content: text, reasoning, a tool call, a refusal or media."""
        return bool(self.text or self.tool_calls or self.reasoning or self.refusal or self.thinking or self.media)


IDLE = ChatChunk()
"""Data without content: a keep-alive, a ping, an empty role chunk."""
