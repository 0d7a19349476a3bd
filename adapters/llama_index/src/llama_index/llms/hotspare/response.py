"""hotspare's replies and chunks -> LlamaIndex's responses: cumulative content, deltas, blocks, usage and metadata.

`raw` is a dict with `usage` in OpenAI's naming, which LlamaIndex's `TokenCountingHandler` reads. `additional_kwargs` has
the three token counts. Both have the call's metadata under `METADATA_KEY`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    ContentBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)
from llama_index.llms.hotspare.metadata import METADATA_KEY, token_counts
from pydantic_core import from_json

from hotspare import ChatChunk, ChatReply, ToolCall, ToolCallDelta, Usage

Json = dict[str, Any]


def response_of(reply: ChatReply, *, single_tool_call: bool = False) -> ChatResponse:
    """A whole answer. `single_tool_call` keeps only the first of several tool calls."""
    calls = reply.tool_calls[:1] if single_tool_call else reply.tool_calls
    message = message_of(_text_of(reply), calls, reply.reasoning, reply.thinking, reply.signed_by)
    return ChatResponse(message=message, **_facts(reply))


def completion_of(reply: ChatReply) -> CompletionResponse:
    """A whole answer to one prompt: its text."""
    return CompletionResponse(text=_text_of(reply), **_facts(reply))


def _text_of(reply: ChatReply) -> str:
    return reply.text or reply.refusal or ""


def _facts(reply: ChatReply) -> Json:
    metadata = reply.as_metadata()
    return {
        "raw": {**_raw(reply.usage, reply.finish_reason, reply.model, reply.id, reply.raw), METADATA_KEY: metadata},
        "logprobs": getattr(reply.native, "logprobs", None),
        "additional_kwargs": {**token_counts(reply.usage), METADATA_KEY: metadata},
    }


def message_of(
    text: str,
    calls: Sequence[ToolCall],
    reasoning: str = "",
    thinking: Sequence[Mapping[str, Any]] = (),
    signed_by: str = "",
) -> ChatMessage:
    """The assistant message: thinking, text and tool calls as blocks, and the calls in OpenAI's shape beside them.

    All text is in one TextBlock, without an empty one beside other blocks, because LlamaIndex joins text blocks with newlines.
    """
    blocks: list[ContentBlock] = _thinking_blocks(reasoning, thinking) if reasoning or thinking else []
    if text or not (calls or blocks):
        blocks.append(TextBlock(text=text))
    blocks += [
        ToolCallBlock(tool_call_id=call.id, tool_name=call.name, tool_kwargs=arguments_of(call.arguments))
        for call in calls
    ]
    # LlamaIndex's structured streaming, memory buffers and chat engines read the calls from here.
    extra: Json = {"tool_calls": [call.as_dict() for call in calls]} if calls else {}
    if signed_by and (thinking or any(call.signature for call in calls)):
        extra["signed_by"] = signed_by
    if not extra:  # nearly always; an empty one takes LlamaIndex 2 of 5 µs
        return ChatMessage(role=MessageRole.ASSISTANT, blocks=blocks)
    return ChatMessage(role=MessageRole.ASSISTANT, blocks=blocks, additional_kwargs=extra)


def _thinking_blocks(reasoning: str, thinking: Sequence[Mapping[str, Any]]) -> list[ContentBlock]:
    signed = [ThinkingBlock(content=b.get("thinking"), additional_information=dict(b)) for b in thinking]
    if signed and not any(
        block.content for block in signed
    ):  # reasoning items of Responses: the text is a summary of them
        signed[0].content = reasoning
    return [*signed] if signed else [ThinkingBlock(content=reasoning)]


def arguments_of(text: str) -> Json:
    """A tool call's arguments. Truncated JSON gives the fields so far; anything but an object gives {}."""
    try:
        value = from_json(text or "{}", allow_partial="trailing-strings")
    except ValueError:
        return {}
    return cast("Json", value) if isinstance(value, dict) else {}


def _raw(
    usage: Usage, finish_reason: str, model: str, answer_id: str, provider: Mapping[str, Any] | None = None
) -> Json:
    """The provider's JSON, if there is any, with usage under the names that LlamaIndex's counters read."""
    reported = (provider or {}).get("usage")
    details: Json = dict(cast("Json", reported)) if isinstance(reported, Mapping) else {}
    known = {"id": answer_id, "model": model, "finish_reason": finish_reason}
    return {**known, **(provider or {}), "usage": {**details, **token_counts(usage)}}


class ChunkConverter:
    """Converts one stream's chunks. Every response has the whole message so far, and in `delta` the new text.

    `single_tool_call` keeps only the first of several tool calls.
    """

    def __init__(self, *, single_tool_call: bool = False) -> None:
        self._single_tool_call = single_tool_call
        self._text = self._reasoning = ""
        self._thinking: list[Mapping[str, Any]] = []
        self._calls: dict[int, ToolCall] = {}
        self._is_plain = True  # only text so far

    def convert(self, chunk: ChatChunk) -> ChatResponse:
        """The response after this chunk. The last one has usage and metadata."""
        if self._is_plain and not (
            chunk.reasoning or chunk.thinking or chunk.tool_calls or chunk.refusal or chunk.finish_reason
        ):  # nearly always
            self._text += chunk.text
            message = ChatMessage(role=MessageRole.ASSISTANT, blocks=[TextBlock(text=self._text)])
            return ChatResponse(message=message, delta=chunk.text)
        self._is_plain = False
        facts = self._take(chunk)
        self._thinking += chunk.thinking
        if chunk.tool_calls:
            self._add(chunk.tool_calls)
        signed_by = "" if chunk.summary is None else chunk.summary.signed_by
        message = message_of(self._text, [*self._calls.values()], self._reasoning, self._thinking, signed_by)
        return ChatResponse(message=message, **facts)

    def convert_completion(self, chunk: ChatChunk) -> CompletionResponse:
        """The completion after this chunk: the text so far, without a message, whose blocks a completion does not have."""
        facts = self._take(chunk)
        return CompletionResponse(text=self._text, **facts)

    def _take(self, chunk: ChatChunk) -> Json:
        delta = chunk.text + chunk.refusal
        self._text += delta
        self._reasoning += chunk.reasoning
        kwargs: Json = {"thinking_delta": chunk.reasoning} if chunk.reasoning else {}
        if chunk.finish_reason is None:
            return {"delta": delta, "additional_kwargs": kwargs} if kwargs else {"delta": delta}
        usage = chunk.usage or Usage()
        raw = _raw(usage, chunk.finish_reason, chunk.model, chunk.id)
        kwargs |= token_counts(usage)
        if chunk.summary is not None:
            kwargs[METADATA_KEY] = raw[METADATA_KEY] = chunk.summary.as_metadata()
        return {"delta": delta, "raw": raw, "additional_kwargs": kwargs}

    def _add(self, deltas: Iterable[ToolCallDelta]) -> None:
        for delta in deltas:
            if self._single_tool_call and self._calls and delta.index not in self._calls:
                continue
            known = self._calls.get(delta.index, ToolCall("", "", ""))
            self._calls[delta.index] = ToolCall(
                delta.id or known.id,
                delta.name or known.name,
                known.arguments + delta.arguments,
                delta.signature or known.signature,
            )
