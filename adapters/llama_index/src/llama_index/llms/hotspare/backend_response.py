# Responses hold any JSON: what is narrowed from Any stays partly unknown to pyright.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""A LlamaIndex LLM's response -> hotspare's reply and chunks.

Each integration stores usage, finish reasons and tool calls in a different place.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from typing import Any

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, ThinkingBlock, ToolCallBlock
from llama_index.llms.hotspare.model_families import ModelFamily
from pydantic_core import to_jsonable_python

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

Json = dict[str, Any]

_FINISH_REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "length": "length",
    "max_tokens": "length",
    "tool_calls": "tool_calls",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "refusal": "content_filter",
    "safety": "content_filter",
}


_PROPER_ENDS = frozenset({"stop", "end_turn"})
"""Finish reasons, in lower case, of a model that ended its turn by itself."""


_BROKEN = re.compile(
    r"malformed|unexpected_tool_call|too_many_tool_calls|missing_thought_signature|invalid_tool_call|^(\w+_)?error$",
    re.I,
)
"""Finish reasons of an answer that the provider could not parse or aborted. Any text of such an answer is part of a tool call."""


class AnswerBlocked(BackendError):
    """An answer without content because of a content filter or a refusal. `classify` recognizes it by its name."""


def reply_of(response: ChatResponse, model: str, *, allow_empty: bool = False) -> ChatReply:
    """A whole answer. `model`: used for a response without a model name. `allow_empty`: whether the model may have ended its turn without
    content, if the finish reason proves that.

    Raises IncompleteAnswer if the provider aborted it, AnswerBlocked or EmptyAnswer if it has no content.
    """
    message = response.message
    text, calls, thinking = message.content or "", _tool_calls(message), _thinking_blocks(message)
    raw = _mapping(response.raw)
    _raise_if_broken(response)
    finish = finish_reason_of(response) or "stop"
    refusal = _refusal(raw, "message")
    if not (text or calls or thinking or refusal):
        proven = _ends_properly(response)
        _raise_if_empty(finish, usage_of(response), proven=proven, allow_empty=allow_empty)
    return ChatReply(
        text=text,
        tool_calls=calls,
        reasoning="".join(block.content or "" for block in thinking),
        thinking=_signed(thinking),
        refusal=refusal or None,
        finish_reason="tool_calls" if calls and finish == "stop" else finish,
        usage=usage_of(response),
        model=_text(raw.get("model")) or model,
        id=_text(raw.get("id")),
        raw=to_jsonable_python(raw, serialize_unknown=True, inf_nan_mode="strings") or None,
        native=response,
    )


class StreamReader:
    """Reads one LLM's stream, whose responses are cumulative: each becomes a chunk with the new content.

    `model`: used for responses without a model name. `allow_empty`: whether the model may have ended its turn without
    content.
    """

    def __init__(self, family: ModelFamily, model: str, *, allow_empty: bool = False) -> None:
        self._family = family
        self._allow_empty = allow_empty
        self._text = ""
        self._sent_arguments: dict[int, str] = {}
        self._calls: tuple[ToolCall, ...] = ()
        self._finish_reason: FinishReason | None = None
        self._usage = Usage()
        self._thinking: list[ThinkingBlock] = []
        self._has_content = self._ends_properly = False
        self._raw: Json = {"model": model}

    def read(self, response: ChatResponse) -> ChatChunk:
        """The new content of a response; `IDLE` if it has none. Usage and finish reason are stored for the end."""
        raw = _mapping(response.raw)
        self._raw = {**self._raw, **{name: raw[name] for name in ("id", "model") if isinstance(raw.get(name), str)}}
        _raise_if_broken(response)
        self._finish_reason = finish_reason_of(response) or self._finish_reason
        self._ends_properly = self._ends_properly or _ends_properly(response)
        usage = usage_of(response)
        self._usage = usage if usage.total_tokens else self._usage
        self._thinking = _thinking_blocks(response.message) or self._thinking
        text = self._new_text(response)
        reasoning = _text(_additional(response, "thinking_delta"))
        refusal = _refusal(raw, "delta")
        deltas = self._new_calls(_tool_calls(response.message), are_text=_arguments_are_text(response.message))
        has_content = bool(text or reasoning or refusal or deltas)
        self._has_content = self._has_content or has_content
        # An answer with tool calls is not complete before the end, where the rest of their arguments follows.
        finishing = self._finish_reason if self._has_content and not self._calls else None
        if not has_content and finishing is None:
            return IDLE
        known = None if finishing is None else self._usage
        return ChatChunk(
            text=text, reasoning=reasoning, refusal=refusal, tool_calls=deltas, finishing=finishing, usage=known
        )

    def end(self) -> tuple[ChatChunk, ...]:
        """The last chunks.

        Raises IncompleteAnswer without a finish reason if the family reports one, AnswerBlocked or EmptyAnswer without
        content.
        """
        if self._finish_reason is None and self._family.reports_finish_reason:
            raise IncompleteAnswer("the stream ended without a finish reason")
        finish = self._finish_reason or "stop"
        rest = tuple(
            ToolCallDelta(index, arguments=call.arguments[len(self._sent_arguments[index]) :], signature=call.signature)
            for index, call in enumerate(self._calls)
        )
        signed = _signed(self._thinking)
        if not self._has_content:
            proven = self._ends_properly and self._family.reports_finish_reason
            _raise_if_empty(finish, self._usage, proven=proven, allow_empty=self._allow_empty)
        content = [ChatChunk(tool_calls=rest, thinking=signed)] if rest or signed else []
        last = ChatChunk(
            finish_reason="tool_calls" if rest and finish == "stop" else finish,
            usage=self._usage,
            model=_text(self._raw.get("model")),
            id=_text(self._raw.get("id")),
        )
        return (*content, last)

    def _new_text(self, response: ChatResponse) -> str:
        """The new text. Content is used only without a delta: it is not cumulative in every integration."""
        if response.delta is not None:
            new = response.delta
        else:
            content = response.message.content or ""
            new = content[len(self._text) :] if content.startswith(self._text) else ""
        self._text += new
        return new

    def _new_calls(self, calls: tuple[ToolCall, ...], *, are_text: bool) -> tuple[ToolCallDelta, ...]:
        """The new parts of tool calls: id and name of a new call, and appended text of the arguments.

        Arguments that arrive as objects are sent at the end only, because an object may still change.
        """
        deltas: list[ToolCallDelta] = []
        for index, call in enumerate(calls):
            known = self._calls[index].arguments if index < len(self._calls) else None
            if known is None:
                self._sent_arguments[index] = ""
                deltas.append(ToolCallDelta(index, call.id, call.name))
            sent = self._sent_arguments[index]
            if are_text and call.arguments.startswith(sent):
                self._sent_arguments[index] = call.arguments
                new = call.arguments[len(sent) :]
                deltas += [ToolCallDelta(index, arguments=new)] if new else []
            elif call.arguments != known:
                deltas.append(ToolCallDelta(index))  # counts as progress, although no arguments can be sent yet
        self._calls = calls or self._calls
        return tuple(deltas)


def finish_reason_of(response: ChatResponse) -> FinishReason | None:
    """The provider's finish reason, wherever the integration keeps it; None if there is none yet."""
    reason = _reason(response)
    return None if reason is None else _FINISH_REASONS.get(reason, "stop")


def _reason(response: ChatResponse) -> str | None:
    raw = _mapping(response.raw)
    choices = raw.get("choices")
    places = (
        _mapping(choices[0]).get("finish_reason") if isinstance(choices, list) and choices else None,
        response.message.additional_kwargs.get("stop_reason"),
        raw.get("stop_reason"),
        raw.get("finish_reason"),
    )
    reason = next((place for place in places if place and place != "null"), None)
    return None if reason is None else str(getattr(reason, "name", reason)).lower()


def _raise_if_broken(response: ChatResponse) -> None:
    reason = _reason(response)
    if reason is not None and _BROKEN.search(reason):
        raise IncompleteAnswer(f"the provider could not finish the answer (finish reason: {reason})")


def _ends_properly(response: ChatResponse) -> bool:
    return _reason(response) in _PROPER_ENDS


def _raise_if_empty(finish: FinishReason, usage: Usage, *, proven: bool, allow_empty: bool) -> None:
    """For an answer without content: raise unless its finish reason explains that."""
    if finish == "content_filter":
        raise AnswerBlocked("the answer was blocked by a content filter")
    if finish != "length" and not (allow_empty and proven):
        raise EmptyAnswer("the answer is empty", proven=proven, output_tokens=usage.answer_tokens)


def usage_of(response: ChatResponse) -> Usage:
    """The tokens that the provider reported, in any provider's naming; zero if it reported none."""
    raw = _mapping(response.raw)
    usage = _mapping(raw.get("usage")) or _mapping(raw.get("usage_metadata"))
    usage = usage or _mapping(response.message.additional_kwargs.get("usage")) or response.additional_kwargs
    cached = _count(usage, "cache_read_input_tokens")
    written = _count(usage, "cache_creation_input_tokens")
    reasoning = _count(usage, "thoughts_token_count")
    inputs = _mapping(usage.get("prompt_tokens_details"))
    outputs = _mapping(usage.get("completion_tokens_details"))
    # Anthropic does not include cached tokens in the input tokens, nor Gemini reasoning tokens in the output tokens.
    return Usage(
        input_tokens=_count(usage, "prompt_tokens", "prompt_token_count")
        or _count(usage, "input_tokens") + cached + written,
        output_tokens=_count(usage, "completion_tokens", "output_tokens", "candidates_token_count") + reasoning,
        cached_tokens=cached or _count(inputs, "cached_tokens") or _count(usage, "cached_content_token_count"),
        cache_write_tokens=written,
        reasoning_tokens=reasoning or _count(outputs, "reasoning_tokens"),
    )


def _tool_calls(message: ChatMessage) -> tuple[ToolCall, ...]:
    blocks = [block for block in message.blocks if isinstance(block, ToolCallBlock)]
    if not blocks:
        calls = [_mapping(call) for call in message.additional_kwargs.get("tool_calls") or ()]
        return tuple(
            ToolCall(_text(call.get("id")), _text(f.get("name")), _text(f.get("arguments")))
            for call in calls
            if (f := _mapping(call.get("function")))
        )
    signatures = message.additional_kwargs.get("thought_signatures") or []
    places = [message.blocks.index(block) for block in blocks]
    return tuple(
        ToolCall(
            block.tool_call_id or block.tool_name,
            block.tool_name,
            block.tool_kwargs if isinstance(block.tool_kwargs, str) else json.dumps(block.tool_kwargs),
            _signature(signatures[place]) if place < len(signatures) else None,
        )
        for block, place in zip(blocks, places, strict=True)
    )


def _arguments_are_text(message: ChatMessage) -> bool:
    """Whether the tool calls' arguments are the model's text, which only grows, instead of objects parsed from it."""
    blocks = [block for block in message.blocks if isinstance(block, ToolCallBlock)]
    return all(isinstance(block.tool_kwargs, str) for block in blocks)


def _signature(value: object) -> str | None:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else None


def _thinking_blocks(message: ChatMessage) -> list[ThinkingBlock]:
    return [block for block in message.blocks if isinstance(block, ThinkingBlock)]


def _signed(blocks: list[ThinkingBlock]) -> tuple[Json, ...]:
    """Anthropic's signed thinking, which must be sent back with the history."""
    return tuple(
        {"type": "thinking", "thinking": block.content or "", "signature": signature, "dialect": "anthropic"}
        for block in blocks
        if isinstance(signature := block.additional_information.get("signature"), str) and signature
    )


def _refusal(raw: Json, key: str) -> str:
    choices = raw.get("choices")
    return (
        _text(_mapping(_mapping(choices[0]).get(key)).get("refusal")) if isinstance(choices, list) and choices else ""
    )


def _additional(response: ChatResponse, name: str) -> Any:
    """A value of `additional_kwargs`: OpenAI's class puts it on the response, Anthropic's on the message."""
    return response.additional_kwargs.get(name) or response.message.additional_kwargs.get(name)


def _mapping(value: Any) -> Json:
    """A mapping as it is, or the fields of an SDK's object; {} for anything else."""
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "model_dump"):
        return {name: getattr(value, name, None) for name in type(value).model_fields} | (value.model_extra or {})
    return {}


def _count(usage: Mapping[str, Any], *names: str) -> int:
    return next((usage[name] for name in names if isinstance(usage.get(name), int) and usage[name] > 0), 0)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
