# Reads any JSON that comes: what is narrowed from Any stays partly unknown to pyright, which is the point here.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""What a native LLM answers -> hotspare's reply and chunks. Integrations keep usage, reasons and calls in many places."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, ThinkingBlock, ToolCallBlock
from llama_index.llms.hotspare.native.families import Family
from pydantic_core import to_jsonable_python

from hotspare import ChatChunk, ChatReply, ToolCall, ToolCallDelta, Usage
from hotspare.errors import EmptyAnswer, IncompleteAnswer
from hotspare.messages import IDLE, FinishReason

Json = dict[str, Any]

_REASONS: dict[str, FinishReason] = {
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


def reply_of(response: ChatResponse, model: str) -> ChatReply:
    """A whole answer. `model`: its name, where the response has none. Raises EmptyAnswer for one with nothing in it."""
    message = response.message
    text, calls, thoughts = message.content or "", _calls(message), _thoughts(message)
    raw = _map(response.raw)
    finish = finish_of(response) or "stop"
    refusal = _refusal(raw, "message")
    if not (text or calls or thoughts or refusal) and finish in ("stop", "tool_calls"):
        raise EmptyAnswer("a complete answer with nothing in it")
    return ChatReply(
        text=text,
        tool_calls=calls,
        reasoning="".join(block.content or "" for block in thoughts),
        thinking=_signed(thoughts),
        refusal=refusal or None,
        finish_reason="tool_calls" if calls and finish == "stop" else finish,
        usage=usage_of(response),
        model=_text(raw.get("model")) or model,
        id=_text(raw.get("id")),
        raw=to_jsonable_python(raw, serialize_unknown=True, inf_nan_mode="strings") or None,
        native=response,
    )


class Listener:
    """A native stream's responses, one after another, as chunks of what is new in each.

    `model`: its name, where the responses have none.
    """

    def __init__(self, family: Family, model: str) -> None:
        self._family = family
        self._text = ""
        self._said: dict[int, str] = {}
        self._whole: tuple[ToolCall, ...] = ()
        self._finish: FinishReason | None = None
        self._usage = Usage()
        self._thoughts: list[ThinkingBlock] = []
        self._heard = False
        self._raw: Json = {"model": model}

    def hear(self, response: ChatResponse) -> ChatChunk:
        """What is new. Usage and finish reason are kept for the end, whenever they come."""
        raw = _map(response.raw)
        self._raw = {**self._raw, **{name: raw[name] for name in ("id", "model") if isinstance(raw.get(name), str)}}
        self._finish = finish_of(response) or self._finish
        usage = usage_of(response)
        self._usage = usage if usage.total_tokens else self._usage
        self._thoughts = _thoughts(response.message) or self._thoughts
        text = self._new_text(response)
        reasoning = _text(_extra(response, "thinking_delta"))
        refusal = _refusal(raw, "delta")
        deltas = self._new_calls(_calls(response.message), as_text=_as_text(response.message))
        if not (text or reasoning or refusal or deltas):
            return IDLE
        self._heard = True
        return ChatChunk(text=text, reasoning=reasoning, refusal=refusal, tool_calls=deltas)

    def end(self) -> list[ChatChunk]:
        """The last chunks. Raises IncompleteAnswer where the provider's own proof of completion did not come."""
        if self._finish is None and self._family.proves_end:
            raise IncompleteAnswer("the stream ended without a finish reason")
        finish = self._finish or "stop"
        rest = tuple(
            ToolCallDelta(index, arguments=call.arguments[len(self._said[index]) :], signature=call.signature)
            for index, call in enumerate(self._whole)
        )
        signed = _signed(self._thoughts)
        if not self._heard and finish in ("stop", "tool_calls"):
            raise EmptyAnswer("a complete answer with nothing in it")
        content = [ChatChunk(tool_calls=rest, thinking=signed)] if rest or signed else []
        last = ChatChunk(
            finish_reason="tool_calls" if rest and finish == "stop" else finish,
            usage=self._usage,
            model=_text(self._raw.get("model")),
            id=_text(self._raw.get("id")),
        )
        return [*content, last]

    def _new_text(self, response: ChatResponse) -> str:
        """Deltas are right in all integrations; content is not always cumulative, and may be missing until a block ends."""
        if response.delta is not None:
            new = response.delta
        else:
            content = response.message.content or ""
            new = content[len(self._text) :] if content.startswith(self._text) else ""
        self._text += new
        return new

    def _new_calls(self, calls: tuple[ToolCall, ...], *, as_text: bool) -> tuple[ToolCallDelta, ...]:
        """A call's beginning at once; of its arguments what was appended. Objects that still grow wait for the end."""
        deltas: list[ToolCallDelta] = []
        for index, call in enumerate(calls):
            known = self._whole[index].arguments if index < len(self._whole) else None
            if known is None:
                self._said[index] = ""
                deltas.append(ToolCallDelta(index, call.id, call.name))
            said = self._said[index]
            if as_text and call.arguments.startswith(said):
                self._said[index] = call.arguments
                new = call.arguments[len(said) :]
                deltas += [ToolCallDelta(index, arguments=new)] if new else []
            elif call.arguments != known:
                deltas.append(ToolCallDelta(index))  # progress, though nothing of it can be shown yet
        self._whole = calls or self._whole
        return tuple(deltas)


def finish_of(response: ChatResponse) -> FinishReason | None:
    """The provider's own reason for the end, wherever the integration keeps it; None while there is none."""
    raw = _map(response.raw)
    choices = raw.get("choices")
    places = (
        _map(choices[0]).get("finish_reason") if isinstance(choices, list) and choices else None,
        response.message.additional_kwargs.get("stop_reason"),
        raw.get("stop_reason"),
        raw.get("finish_reason"),
    )
    told = next((place for place in places if place), None)
    if told is None:
        return None
    return _REASONS.get(str(getattr(told, "name", told)).lower(), "stop")


def usage_of(response: ChatResponse) -> Usage:
    """The tokens that the provider told, in whichever words; zero where it told none."""
    raw = _map(response.raw)
    told = _map(raw.get("usage")) or _map(raw.get("usage_metadata"))
    told = told or _map(response.message.additional_kwargs.get("usage")) or response.additional_kwargs
    cached = _count(told, "cache_read_input_tokens")
    written = _count(told, "cache_creation_input_tokens")
    thought = _count(told, "thoughts_token_count")
    inside = _map(told.get("prompt_tokens_details"))
    reasoned = _map(told.get("completion_tokens_details"))
    # Anthropic counts what its cache served beside the input, Gemini what was thought beside the output.
    return Usage(
        input_tokens=_count(told, "prompt_tokens", "prompt_token_count")
        or _count(told, "input_tokens") + cached + written,
        output_tokens=_count(told, "completion_tokens", "output_tokens", "candidates_token_count") + thought,
        cached_tokens=cached or _count(inside, "cached_tokens") or _count(told, "cached_content_token_count"),
        cache_write_tokens=written,
        reasoning_tokens=thought or _count(reasoned, "reasoning_tokens"),
    )


def _calls(message: ChatMessage) -> tuple[ToolCall, ...]:
    blocks = [block for block in message.blocks if isinstance(block, ToolCallBlock)]
    if not blocks:
        told = [_map(call) for call in message.additional_kwargs.get("tool_calls") or ()]
        return tuple(
            ToolCall(_text(call.get("id")), _text(f.get("name")), _text(f.get("arguments")))
            for call in told
            if (f := _map(call.get("function")))
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


def _as_text(message: ChatMessage) -> bool:
    """Whether the calls' arguments are the model's own text, which is appended to, and not objects read from it."""
    blocks = [block for block in message.blocks if isinstance(block, ToolCallBlock)]
    return all(isinstance(block.tool_kwargs, str) for block in blocks)


def _signature(value: object) -> str | None:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else None


def _thoughts(message: ChatMessage) -> list[ThinkingBlock]:
    return [block for block in message.blocks if isinstance(block, ThinkingBlock)]


def _signed(thoughts: list[ThinkingBlock]) -> tuple[Json, ...]:
    """Anthropic's signatures, which must come back with the history."""
    return tuple(
        {"type": "thinking", "thinking": t.content or "", "signature": signature, "dialect": "anthropic"}
        for t in thoughts
        if isinstance(signature := t.additional_information.get("signature"), str) and signature
    )


def _refusal(raw: Json, where: str) -> str:
    choices = raw.get("choices")
    return _text(_map(_map(choices[0]).get(where)).get("refusal")) if isinstance(choices, list) and choices else ""


def _extra(response: ChatResponse, name: str) -> Any:
    """OpenAI's puts it on the response, Anthropic's on the message."""
    return response.additional_kwargs.get(name) or response.message.additional_kwargs.get(name)


def _map(value: Any) -> Json:
    """A mapping, or the fields of an SDK's object."""
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "model_dump"):
        return {name: getattr(value, name, None) for name in type(value).model_fields} | (value.model_extra or {})
    return {}


def _count(told: Mapping[str, Any], *names: str) -> int:
    return next((told[name] for name in names if isinstance(told.get(name), int) and told[name] > 0), 0)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
