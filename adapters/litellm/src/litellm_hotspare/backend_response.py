"""LiteLLM's ModelResponse and stream chunks -> hotspare's reply and chunks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hotspare import (
    IDLE,
    ChatChunk,
    ChatReply,
    EmptyAnswer,
    FinishReason,
    IncompleteAnswer,
    ToolCall,
    ToolCallDelta,
    Usage,
)

_FINISH_REASONS: Mapping[str, FinishReason] = {
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}


def reply_of(response: Any) -> ChatReply:
    """A whole answer; `native` is LiteLLM's response. Raises EmptyAnswer without content, which LiteLLM counts as a success."""
    if not response.choices:
        raise EmptyAnswer("the answer has no choices")
    choice = response.choices[0]
    message = choice.message
    reply = ChatReply(
        text=message.content or "",
        tool_calls=tuple(
            ToolCall(call.id or "", call.function.name or "", call.function.arguments or "", _signature(call))
            for call in message.tool_calls or ()
        ),
        reasoning=getattr(message, "reasoning_content", None) or "",
        thinking=tuple(getattr(message, "thinking_blocks", None) or ()),
        refusal=_refusal(message),
        finish_reason=finish_reason_of(choice.finish_reason),
        usage=usage_of(getattr(response, "usage", None)),
        model=response.model or "",
        id=response.id or "",
        native=response,
    )
    if not (reply.text or reply.tool_calls or reply.refusal) and reply.finish_reason == "stop":
        raise EmptyAnswer(f"the answer is empty (finish_reason: {reply.finish_reason})")
    return reply


class StreamReader:
    """Reads one of LiteLLM's streams. Usage and the finish reason are known only at its end."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._usage: Any = None
        self._has_content = False
        self._model = ""

    def read(self, chunk: Any) -> ChatChunk:
        """The new content of a chunk; `IDLE` if it has none."""
        self._usage = getattr(chunk, "usage", None) or self._usage
        self._model = chunk.model or self._model
        found = chunk_of(chunk)
        self._has_content = self._has_content or found.is_content
        found = found if found.is_content else IDLE
        reason = self._stream.received_finish_reason
        if not (reason and self._has_content):
            return found
        return replace(found, finishing=finish_reason_of(reason), model=self._model)

    def end(self) -> tuple[ChatChunk, ...]:
        """The last chunk. Raises IncompleteAnswer without the provider's finish reason, EmptyAnswer without content.

        If the provider sent no finish reason, LiteLLM's last chunk has an invented one; its wrapper has the real one.
        """
        reason = self._stream.received_finish_reason or self._stream.intermittent_finish_reason
        if not reason:
            raise IncompleteAnswer("the stream ended without a finish reason")
        if not self._has_content and reason not in ("length", "content_filter"):
            raise EmptyAnswer(f"the stream ended without content (finish_reason: {reason})")
        return (ChatChunk(finish_reason=finish_reason_of(reason), usage=usage_of(self._usage), model=self._model),)


def chunk_of(chunk: Any) -> ChatChunk:
    """The new content of one of LiteLLM's chunks."""
    if not chunk.choices:
        return IDLE
    delta = chunk.choices[0].delta
    return ChatChunk(
        text=delta.content or "",
        tool_calls=tuple(
            ToolCallDelta(
                call.index, call.id or None, call.function.name or None, call.function.arguments or "", _signature(call)
            )
            for call in delta.tool_calls or ()
        ),
        reasoning=getattr(delta, "reasoning_content", None) or "",
        thinking=tuple(getattr(delta, "thinking_blocks", None) or ()),
        refusal=_refusal(delta) or "",
        model=chunk.model or "",
        id=chunk.id or "",
        native=chunk,
    )


def finish_reason_of(reason: str | None) -> FinishReason:
    """The finish reason. LiteLLM has already mapped the providers' reasons to OpenAI's; any other reason counts as `stop`."""
    return _FINISH_REASONS.get(reason or "", "stop")


def usage_of(usage: Any) -> Usage:
    """Token counts; 0 for missing ones."""
    if usage is None:
        return Usage()
    inputs = getattr(usage, "prompt_tokens_details", None)
    outputs = getattr(usage, "completion_tokens_details", None)
    return Usage(
        usage.prompt_tokens or 0,
        usage.completion_tokens or 0,
        getattr(inputs, "cached_tokens", None) or 0,
        getattr(usage, "cache_creation_input_tokens", None) or 0,
        getattr(outputs, "reasoning_tokens", None) or 0,
    )


def _signature(call: Any) -> str | None:
    fields: Mapping[str, Any] = getattr(call, "provider_specific_fields", None) or {}
    return fields.get("thought_signature")


def _refusal(message: Any) -> str | None:
    fields: Mapping[str, Any] = getattr(message, "provider_specific_fields", None) or {}
    return fields.get("refusal")
