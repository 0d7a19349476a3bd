"""LiteLLM's ModelResponse and stream chunks -> ChatReply and ChatChunk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hotspare import ChatChunk, ChatReply, ToolCall, ToolCallDelta, Usage
from hotspare.errors import EmptyAnswer

_FINISH: Mapping[str, Any] = {
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}


def finish_of(reason: str | None) -> Any:
    """LiteLLM has mapped the providers' words to OpenAI's already; whatever is left is a plain end."""
    return _FINISH.get(reason or "", "stop")


def reply_of(response: Any) -> ChatReply:
    """A whole answer; `native` is LiteLLM's own. Raises EmptyAnswer for one without a choice, a success to LiteLLM."""
    if not response.choices:
        raise EmptyAnswer("the answer has no choices")
    choice = response.choices[0]
    message = choice.message
    return ChatReply(
        text=message.content or "",
        tool_calls=tuple(
            ToolCall(call.id or "", call.function.name or "", call.function.arguments or "", _signature(call))
            for call in message.tool_calls or ()
        ),
        reasoning=getattr(message, "reasoning_content", None) or "",
        thinking=tuple(getattr(message, "thinking_blocks", None) or ()),
        refusal=_refusal(message),
        finish_reason=finish_of(choice.finish_reason),
        usage=usage_of(getattr(response, "usage", None)),
        model=response.model or "",
        id=response.id or "",
        native=response,
    )


def chunk_of(chunk: Any) -> ChatChunk:
    """What is new in one of LiteLLM's stream chunks; one with nothing in it is no progress."""
    if not chunk.choices:
        return ChatChunk()
    delta = chunk.choices[0].delta
    return ChatChunk(
        text=delta.content or "",
        tool_calls=tuple(
            ToolCallDelta(piece.index, piece.id or None, piece.function.name or None, piece.function.arguments or "",
                          _signature(piece))
            for piece in delta.tool_calls or ()
        ),
        reasoning=getattr(delta, "reasoning_content", None) or "",
        thinking=tuple(getattr(delta, "thinking_blocks", None) or ()),
        refusal=_refusal(delta) or "",
        model=chunk.model or "",
        id=chunk.id or "",
        native=chunk,
    )  # fmt: skip


def usage_of(usage: Any) -> Usage:
    """Tokens, whether LiteLLM counts details or not."""
    if usage is None:
        return Usage()
    prompt = getattr(usage, "prompt_tokens_details", None)
    answer = getattr(usage, "completion_tokens_details", None)
    return Usage(
        usage.prompt_tokens or 0,
        usage.completion_tokens or 0,
        getattr(prompt, "cached_tokens", None) or 0,
        getattr(usage, "cache_creation_input_tokens", None) or 0,
        getattr(answer, "reasoning_tokens", None) or 0,
    )


def _signature(call: Any) -> str | None:
    fields: Mapping[str, Any] = getattr(call, "provider_specific_fields", None) or {}
    return fields.get("thought_signature")


def _refusal(message: Any) -> str | None:
    fields: Mapping[str, Any] = getattr(message, "provider_specific_fields", None) or {}
    return fields.get("refusal")
