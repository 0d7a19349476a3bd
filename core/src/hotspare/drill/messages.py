"""Requests and answers in the form that all dialects share: a dialect reads its JSON into a `Request` and writes an `Answer`."""

import json
from dataclasses import dataclass, field
from typing import Any

from hotspare.drill.answers import estimate_tokens

Json = dict[str, Any]

_TOKENS_PER_MESSAGE = 3
_TOKENS_PER_IMAGE = 85


@dataclass(slots=True)
class Tool:
    """A tool that the request offers. `schema` is the JSON schema of its parameters."""

    name: str
    schema: Json


@dataclass(slots=True)
class Turn:
    """One message. `images`: size of each image in bytes (0 for a link). `results`: tool results.

    tools_called: names of the tools that the message calls. prefix: the message is to be continued (Mistral, DeepSeek).
    """

    role: str
    text: str = ""
    images: list[int] = field(default_factory=list[int])
    results: list[str] = field(default_factory=list[str])
    tools_called: tuple[str, ...] = ()
    prefix: bool = False


@dataclass(slots=True)
class Request:
    """One request. `tool_choice` is auto, none, any or the name of a tool; `json_mode` requests JSON, by `json_schema` if given.

    prefill: how a trailing assistant message is continued, see `hotspare.drill.conversation.PREFILL_MODES`.
    stream_as_array: the stream is one JSON array instead of server-sent events (Gemini without `alt=sse`).
    dimensions: numbers of each vector, where the request is for embeddings (its turns are the texts).
    """

    model: str
    turns: list[Turn]
    system: str = ""
    stream: bool = False
    tools: list[Tool] = field(default_factory=list[Tool])
    tool_choice: str = "auto"
    parallel_tool_calls: bool = True
    json_mode: bool = False
    json_schema: Json | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    reasoning: bool = False
    include_usage: bool = True
    prefill: str = "continue"
    stream_as_array: bool = False
    dimensions: int | None = None

    @property
    def prompt_tokens(self) -> int:
        """Estimated tokens of the prompt: a quarter of the characters of its texts, 3 for each message, 85 for each image."""
        texts = [*([self.system] if self.system else []), *(turn.text or " ".join(turn.results) for turn in self.turns)]
        images = sum(len(turn.images) for turn in self.turns)
        return sum(estimate_tokens(text) + _TOKENS_PER_MESSAGE for text in texts) + _TOKENS_PER_IMAGE * images


@dataclass(slots=True)
class ToolCall:
    """A tool call of the answer. Its id is derived from `seed`."""

    name: str
    arguments: Json
    seed: str

    @property
    def pieces(self) -> list[str]:
        """The arguments as JSON, in the pieces in which they are streamed."""
        text = json.dumps(self.arguments, ensure_ascii=False)
        return [text[i : i + 7] for i in range(0, len(text), 7)]


@dataclass(slots=True)
class Answer:
    """One answer. `reasoning` and `text` are lists of tokens; ids are derived from `seed`.

    finish_reason: stop, stop_sequence, length, tool_calls or refusal; null and malformed are faults.
    """

    seed: str
    reasoning: list[str] = field(default_factory=list[str])
    text: list[str] = field(default_factory=list[str])
    tool_calls: list[ToolCall] = field(default_factory=list[ToolCall])
    finish_reason: str = "stop"
    stop_sequence: str | None = None
    prompt_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0

    @property
    def output_tokens(self) -> int:
        """Tokens of the answer, reasoning included. An empty answer counts as 1, because inference engines count its end token."""
        return len(self.reasoning) + len(self.text) + sum(len(call.pieces) for call in self.tool_calls) or 1
