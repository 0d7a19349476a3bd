# LangChain's messages and tools hold any JSON: what is narrowed from Any stays partly unknown to pyright.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""A LangChain model's response -> hotspare's reply and chunks. The original is kept in `native`."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

from hotspare import (
    IDLE,
    BackendError,
    ChatChunk,
    ChatReply,
    EmptyAnswer,
    FinishReason,
    IncompleteAnswer,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

_FINISH_REASONS: dict[str, FinishReason] = {
    "length": "length", "max_tokens": "length", "MAX_TOKENS": "length", "model_context_window_exceeded": "length",
    "tool_calls": "tool_calls", "tool_use": "tool_calls", "function_call": "tool_calls",
    "content_filter": "content_filter", "refusal": "content_filter", "SAFETY": "content_filter",
}  # fmt: skip
_ALLOW_EMPTY = frozenset({"stop_sequence", "pause_turn", "compaction"})
"""Anthropic's stop reasons after which an empty answer is valid."""
_PROPER_ENDS = frozenset({"stop", "end_turn", "completed", "complete", "eos", "eos_token"})
"""Finish reasons, in lower case, of a model that ended its turn by itself."""


_BROKEN = re.compile(
    r"malformed|unexpected_tool_call|too_many_tool_calls|missing_thought_signature|invalid_tool_call|^(\w+_)?error$",
    re.I,
)
"""Finish reasons of an answer that the provider could not parse or aborted. Any text of such an answer is part of a tool call."""


class AnswerBlocked(BackendError):
    """An answer without content because of a content filter or a refusal. `classify` recognizes it by its name."""


def reply_of(result: ChatResult, *, allow_empty: bool = False) -> ChatReply:
    """The whole answer. `allow_empty`: whether the model may have ended its turn without content.

    Raises IncompleteAnswer if the provider aborted it, AnswerBlocked or EmptyAnswer if it has no content and its finish reason does not
    explain that.
    """
    if not result.generations:
        raise EmptyAnswer("the answer has no choices")
    generation = result.generations[0]
    message = generation.message
    message.response_metadata = {**(result.llm_output or {}), **message.response_metadata}
    metadata = {**message.response_metadata, **(generation.generation_info or {})}
    _raise_if_broken(metadata)
    reply = ChatReply(
        text=str(message.text),
        tool_calls=_tool_calls(message),
        reasoning=_reasoning(message),
        refusal=message.additional_kwargs.get("refusal"),
        finish_reason=finish_reason_of(metadata) or "stop",
        usage=usage_of(message),
        model=_model(metadata),
        id=message.id or "",
        native=generation,
    )
    has_content = reply.text or reply.tool_calls or reply.refusal or reply.reasoning
    if not has_content and reply.finish_reason == "content_filter":
        raise AnswerBlocked(f"the answer was blocked ({_reason(metadata)})")
    if not (has_content or _may_be_empty(metadata, allow_empty=allow_empty)):
        tokens = reply.usage.answer_tokens
        raise EmptyAnswer("the answer is empty", proven=_ends_properly(metadata), output_tokens=tokens)
    return reply


def chunks_of(reply: ChatReply) -> tuple[ChatChunk, ...]:
    """A whole answer as a stream, for a model that cannot stream."""
    reader = StreamReader(needs_finish_reason=False, allow_empty=True)
    generation: ChatGeneration = reply.native
    once = {
        "response_metadata",
        "usage_metadata",
    }  # only on the last chunk, because merging chunks concatenates or adds them
    content = generation.message.model_dump(exclude={"type", *once})
    metadata = generation.message.model_dump(include=once)
    first = reader.read(ChatGenerationChunk(message=AIMessageChunk.model_validate(content)))
    last = AIMessageChunk.model_validate({"content": "", **metadata})
    reader.read(ChatGenerationChunk(message=last, generation_info=generation.generation_info))
    return first, *reader.end()


class StreamReader:
    """Reads one model's stream.

    Chunks without content are buffered and merged into the last one: an empty role chunk does not commit the call to
    its target, and no metadata is lost or repeated.

    Args:
        needs_finish_reason: whether a stream without one is incomplete.
        allow_empty: whether the model may have ended its turn without content.
    """

    def __init__(self, *, needs_finish_reason: bool, allow_empty: bool) -> None:
        self._needs_finish_reason = needs_finish_reason
        self._allow_empty = allow_empty
        self._has_content = self._may_be_empty = self._ends_properly = False
        self._finish_reason: FinishReason | None = None
        self._held_back: ChatGenerationChunk | None = None
        self._usage = Usage()
        self._model = self._id = ""

    def read(self, chunk: ChatGenerationChunk) -> ChatChunk:
        """The new content of a chunk; `IDLE` if it has none."""
        message = chunk.message
        metadata = {**message.response_metadata, **(chunk.generation_info or {})}
        _raise_if_broken(metadata)
        self._finish_reason = finish_reason_of(metadata) or self._finish_reason
        self._may_be_empty = self._may_be_empty or _may_be_empty(metadata, allow_empty=self._allow_empty)
        self._ends_properly = self._ends_properly or _ends_properly(metadata)
        self._model = self._model or _model(metadata)
        self._id = self._id or message.id or ""
        self._usage += usage_of(message)
        message.id = (
            None  # LangChain gives all chunks of a run one id; with the model's own id, they would become two messages
        )
        found = _chunk(chunk)
        if not found.is_content:
            self._held_back = chunk if self._held_back is None else self._held_back + chunk
            return self._finishing(IDLE)
        self._has_content = True
        return self._finishing(found)

    def _finishing(self, found: ChatChunk) -> ChatChunk:
        """The chunk; after the finish reason, with `finishing`: the answer is complete then, whatever follows."""
        if self._finish_reason is None or not (self._has_content or self._may_be_empty):
            return found
        return replace(found, finishing=self._finish_reason, usage=self._usage, model=self._model, id=self._id)

    def end(self) -> tuple[ChatChunk, ...]:
        """The last chunk, with the buffered ones merged into it.

        Raises IncompleteAnswer without a required finish reason, EmptyAnswer without required content, AnswerBlocked if a
        content filter left none.
        """
        if self._needs_finish_reason and self._finish_reason is None:
            raise IncompleteAnswer("the stream ended without a finish reason")
        if not self._has_content and self._finish_reason == "content_filter":
            raise AnswerBlocked("the answer was blocked by a content filter")
        if not (self._has_content or self._may_be_empty):
            tokens = self._usage.answer_tokens
            raise EmptyAnswer("the stream ended without content", proven=self._ends_properly, output_tokens=tokens)
        held_back = self._held_back or ChatGenerationChunk(message=AIMessageChunk(content=""))
        finish_reason = self._finish_reason or "stop"
        return (
            ChatChunk(finish_reason=finish_reason, usage=self._usage, model=self._model, id=self._id, native=held_back),
        )


def finish_reason_of(metadata: dict[str, Any]) -> FinishReason | None:
    """The finish reason, in any provider's naming; None if there is none."""
    reason = _reason(metadata)
    if reason is None:
        return None
    return "length" if reason == "incomplete" else _FINISH_REASONS.get(str(reason), "stop")


def _reason(metadata: dict[str, Any]) -> Any:
    reason = metadata.get("finish_reason") or metadata.get("stop_reason") or metadata.get("done_reason")
    if reason is None and metadata.get("status") in ("completed", "incomplete"):  # OpenAI's Responses API
        return metadata["status"]
    return None if reason == "null" else reason


def _raise_if_broken(metadata: dict[str, Any]) -> None:
    reason = _reason(metadata)
    if reason is not None and _BROKEN.search(str(reason)):
        raise IncompleteAnswer(f"the provider could not finish the answer (finish reason: {reason})")


def usage_of(message: BaseMessage) -> Usage:
    """The message's tokens: input counts cached tokens too, output counts reasoning too."""
    usage = message.usage_metadata if isinstance(message, AIMessage) else None
    if not usage:
        return Usage()
    inputs, outputs = usage.get("input_token_details") or {}, usage.get("output_token_details") or {}
    return Usage(
        input_tokens=usage["input_tokens"],
        output_tokens=usage["output_tokens"],
        cached_tokens=inputs.get("cache_read") or 0,
        cache_write_tokens=inputs.get("cache_creation") or 0,
        reasoning_tokens=outputs.get("reasoning") or 0,
    )


def _may_be_empty(metadata: dict[str, Any], *, allow_empty: bool) -> bool:
    """Whether an answer with this finish reason may have no content: it was cut at a limit, or the model ended its turn."""
    if metadata.get("stop_reason") in _ALLOW_EMPTY or finish_reason_of(metadata) == "length":
        return True
    return allow_empty and _ends_properly(metadata)


def _ends_properly(metadata: dict[str, Any]) -> bool:
    return str(_reason(metadata)).lower() in _PROPER_ENDS


def _model(metadata: dict[str, Any]) -> str:
    return str(metadata.get("model_name") or metadata.get("model") or "")


def _tool_calls(message: BaseMessage) -> tuple[ToolCall, ...]:
    if not isinstance(message, AIMessage):
        return ()
    valid = [ToolCall(c["id"] or "", c["name"], json.dumps(c["args"], ensure_ascii=False)) for c in message.tool_calls]
    invalid = [ToolCall(c["id"] or "", c["name"] or "", c["args"] or "") for c in message.invalid_tool_calls]
    return (*valid, *invalid)


def _reasoning(message: BaseMessage) -> str:
    if isinstance(message.content, str):
        return str(message.additional_kwargs.get("reasoning_content") or "")
    return "".join(
        str(block.get("reasoning") or "") for block in message.content_blocks if block["type"] == "reasoning"
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
        thinking=tuple(_opaque_blocks(message)),
        refusal=message.additional_kwargs.get("refusal") or "",
        native=chunk,
    )


def _index(index: Any, place: int) -> int:
    return index if isinstance(index, int) else place


def _opaque_blocks(message: BaseMessage) -> list[dict[str, Any]]:
    """Signatures and provider-specific blocks: content without text, which must keep its place in the stream."""
    if isinstance(message.content, str):
        return []
    return [
        {**block, "dialect": "native"}
        for block in message.content
        if isinstance(block, dict)
        and (block.get("signature") or block.get("type") not in ("text", "thinking", "reasoning", "tool_use"))
        and block.get("type") not in ("input_json_delta", "function_call")
    ]
