# LangChain's messages and tools hold any JSON: what is narrowed from Any stays partly unknown to pyright.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""A native model's answers -> hotspare's, with the original riding along in `native`."""

from __future__ import annotations

import json
from typing import Any

from hotspare import ChatChunk, ChatReply, ToolCall, ToolCallDelta, Usage
from hotspare.messages import FinishReason
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk

_FINISH: dict[str, FinishReason] = {
    "length": "length", "max_tokens": "length", "MAX_TOKENS": "length", "model_context_window_exceeded": "length",
    "tool_calls": "tool_calls", "tool_use": "tool_calls", "function_call": "tool_calls",
    "content_filter": "content_filter", "refusal": "content_filter", "SAFETY": "content_filter",
}  # fmt: skip
_EMPTY_IS_RIGHT = frozenset({"stop_sequence", "pause_turn", "compaction"})
"""Reasons of Anthropic's after which nothing need have been said."""


def reply_of(generation: ChatGeneration) -> ChatReply:
    """A whole answer, in hotspare's shape."""
    message = generation.message
    metadata = {**message.response_metadata, **(generation.generation_info or {})}
    return ChatReply(
        text=str(message.text),
        tool_calls=_calls(message),
        reasoning=_reasoning(message),
        refusal=message.additional_kwargs.get("refusal"),
        finish_reason=finish_of(metadata) or "stop",
        usage=usage_of(message),
        model=model_of(metadata),
        id=message.id or "",
        native=generation,
    )


def finish_of(metadata: dict[str, Any]) -> FinishReason | None:
    """The finish reason in whatever words the provider has; None if it said none."""
    said = metadata.get("finish_reason") or metadata.get("stop_reason") or metadata.get("done_reason")
    if said is None and metadata.get("status") in ("completed", "incomplete"):  # OpenAI's Responses
        said = metadata["status"]
    if said is None:
        return None
    return "length" if said == "incomplete" else _FINISH.get(str(said), "stop")


def may_be_empty(metadata: dict[str, Any]) -> bool:
    """Whether the reason for the end allows an answer with nothing in it."""
    return metadata.get("stop_reason") in _EMPTY_IS_RIGHT or finish_of(metadata) not in (None, "stop")


def model_of(metadata: dict[str, Any]) -> str:
    """The model that answered, by its own word."""
    return str(metadata.get("model_name") or metadata.get("model") or "")


def usage_of(message: BaseMessage) -> Usage:
    """Tokens, as hotspare counts them: cached ones inside the input, reasoning inside the output."""
    told = message.usage_metadata if isinstance(message, AIMessage) else None
    if not told:
        return Usage()
    read, written = told.get("input_token_details") or {}, told.get("output_token_details") or {}
    return Usage(
        input_tokens=told["input_tokens"],
        output_tokens=told["output_tokens"],
        cached_tokens=read.get("cache_read") or 0,
        cache_write_tokens=read.get("cache_creation") or 0,
        reasoning_tokens=written.get("reasoning") or 0,
    )


def _calls(message: BaseMessage) -> tuple[ToolCall, ...]:
    if not isinstance(message, AIMessage):
        return ()
    right = [ToolCall(c["id"] or "", c["name"], json.dumps(c["args"], ensure_ascii=False)) for c in message.tool_calls]
    wrong = [ToolCall(c["id"] or "", c["name"] or "", c["args"] or "") for c in message.invalid_tool_calls]
    return (*right, *wrong)


def _reasoning(message: BaseMessage) -> str:
    if isinstance(message.content, str):
        return str(message.additional_kwargs.get("reasoning_content") or "")
    return "".join(
        str(block.get("reasoning") or "") for block in message.content_blocks if block["type"] == "reasoning"
    )


class ChunkReader:
    """Reads one native stream. Chunks with nothing to see are kept back, and ride with the last one, merged.

    So an empty role chunk commits nothing, and no metadata is lost or said twice.
    """

    def __init__(self) -> None:
        self.said = False
        """Whether there was anything to see."""
        self.may_be_empty = False
        self._finish: FinishReason | None = None
        self._silent: ChatGenerationChunk | None = None
        self._usage = Usage()
        self._model = self._id = ""

    @property
    def proved(self) -> bool:
        """Whether the stream named the reason of its end."""
        return self._finish is not None

    def take(self, chunk: ChatGenerationChunk) -> ChatChunk:
        """What is new in this chunk; nothing, where there is nothing to see in it."""
        message = chunk.message
        metadata = {**message.response_metadata, **(chunk.generation_info or {})}
        self._finish = finish_of(metadata) or self._finish
        self.may_be_empty = self.may_be_empty or may_be_empty(metadata)
        self._model = self._model or model_of(metadata)
        self._id = self._id or message.id or ""
        self._usage += usage_of(message)
        message.id = None  # LangChain gives all chunks of a run one id; a member's own would make two messages of one
        read = _chunk(chunk)
        if not read.is_content:
            self._silent = chunk if self._silent is None else self._silent + chunk
            return ChatChunk()
        self.said = True
        return read

    def last(self) -> ChatChunk:
        """The end of the stream, with everything that was kept back."""
        silent = self._silent or ChatGenerationChunk(message=AIMessageChunk(content=""))
        return ChatChunk(
            finish_reason=self._finish or "stop", usage=self._usage, model=self._model, id=self._id, native=silent
        )


def _chunk(chunk: ChatGenerationChunk) -> ChatChunk:
    message = chunk.message
    calls = message.tool_call_chunks if isinstance(message, AIMessageChunk) else []
    return ChatChunk(
        text=str(message.text),
        tool_calls=tuple(
            ToolCallDelta(_index(call["index"], place), call["id"], call["name"], call["args"] or "")
            for place, call in enumerate(calls)
        ),
        reasoning=_reasoning(message),
        thinking=tuple(_unseen(message)),
        refusal=message.additional_kwargs.get("refusal") or "",
        native=chunk,
    )


def _index(index: Any, place: int) -> int:
    return index if isinstance(index, int) else place


def _unseen(message: BaseMessage) -> list[dict[str, Any]]:
    """Signatures and a provider's own blocks: content that must keep its place in the stream."""
    if isinstance(message.content, str):
        return []
    return [
        {**block, "dialect": "native"}
        for block in message.content
        if isinstance(block, dict)
        and (block.get("signature") or block.get("type") not in ("text", "thinking", "reasoning", "tool_use"))
        and block.get("type") not in ("input_json_delta", "function_call")
    ]
