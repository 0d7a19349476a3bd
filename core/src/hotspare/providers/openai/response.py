"""A chat completion -> ChatReply. Proof of completion: a finish reason."""

import hashlib
from collections.abc import Mapping
from typing import Any, NoReturn

from hotspare.errors import EmptyAnswer, InBandError, IncompleteAnswer, MalformedAnswer
from hotspare.messages import ChatReply, ChatRequest, FinishReason, ToolCall, Usage
from hotspare.providers.content import json_text
from hotspare.providers.json_access import Json, as_count, as_list, as_map, as_maps, as_text, dump, is_map, must_map

FINISH_REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "stop_sequence": "stop",
    "end_turn": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "safety": "content_filter",
    "refusal": "content_filter",
}
"""OpenAI's finish reasons, and what Together, TGI, Mistral and relays of other dialects send instead."""
_ABORTED = frozenset({"insufficient_system_resource", "aborted", "abort"})
"""Finish reasons of DeepSeek and vLLM for a generation that the provider aborted."""


def raise_in_band_error(body: Mapping[str, Any]) -> None:
    """Raise InBandError if this JSON is an error, in any of the shapes that providers and relays use."""
    error = body.get("error")
    if not error:
        nested = [choice.get("error") for choice in as_maps(body.get("choices")) if choice.get("error")]
        error = nested[0] if nested else None
    if error:
        message = error if isinstance(error, str) else as_text(as_map(error).get("message"))
        raise InBandError(message or "an error inside a 200", body=dump({"error": error}))
    if "choices" not in body and (body.get("object") == "error" or body.get("type") == "error" or "detail" in body):
        raise InBandError(as_text(body.get("message")) or "an error inside a 200", body=dump(body))
    for choice in as_maps(body.get("choices")):
        raise_if_aborted(as_text(choice.get("finish_reason")), body)


def raise_if_aborted(reason: str, body: Mapping[str, Any]) -> None:
    """Raise if the finish reason says that the provider aborted the answer."""
    if reason == "error":
        raise InBandError("the provider ended the answer with an error (finish_reason: error)", body=dump(body))
    if reason in _ABORTED:
        raise IncompleteAnswer(f"the provider broke the answer off (finish_reason: {reason})", body=dump(body))


def usage_of(usage: Mapping[str, Any]) -> Usage:
    """Token counts. xAI and Gemini count reasoning outside `completion_tokens`; `total_tokens` includes it."""
    prompt, completion = (as_count(usage.get("prompt_tokens")), as_count(usage.get("completion_tokens")))
    prompt_details, completion_details = (
        as_map(usage.get("prompt_tokens_details")),
        as_map(usage.get("completion_tokens_details")),
    )
    cached = (
        prompt_details.get("cached_tokens"),
        usage.get("prompt_cache_hit_tokens"),  # DeepSeek
        usage.get("num_cached_tokens"),  # Mistral
        usage.get("cached_tokens"),  # Together
    )
    written = (
        prompt_details.get("cache_write_tokens"),
        usage.get("cache_creation_input_tokens"),
    )  # OpenRouter; LiteLLM
    return Usage(
        input_tokens=prompt,
        output_tokens=max(completion, as_count(usage.get("total_tokens")) - prompt),
        cached_tokens=max(map(as_count, cached)),
        cache_write_tokens=max(map(as_count, written)),
        reasoning_tokens=max(
            as_count(completion_details.get("reasoning_tokens")), as_count(usage.get("reasoning_tokens"))
        ),
    )


def split_content(content: object) -> tuple[str, str]:
    """Text and reasoning of a message's content: a string, or parts, as Mistral's reasoning models send them."""
    if isinstance(content, str):
        return content, ""
    text = reasoning = ""
    for part in as_list(content):
        if isinstance(part, str):
            text += part
            continue
        block = as_map(part)
        if block.get("type") == "thinking":
            inner = block.get("thinking")
            reasoning += inner if isinstance(inner, str) else split_content(inner)[0]
        else:
            text += as_text(block.get("text"))
    return text, reasoning


def reasoning_text(message: Mapping[str, Any]) -> str:
    """The reasoning text of a message or delta, in any provider's field."""
    for field in ("reasoning_content", "reasoning"):  # DeepSeek, xAI, Z.ai; OpenRouter, Groq, vLLM, Ollama
        if as_text(message.get(field)):
            return as_text(message[field])
    details = as_maps(message.get("reasoning_details"))
    return "".join(as_text(detail.get("text")) or as_text(detail.get("summary")) for detail in details)


def arguments_of(value: object) -> str:
    """A tool call's arguments as text: some servers send an object."""
    return value if isinstance(value, str) else json_text(as_map(value)) if is_map(value) else ""


def generated_id(response_id: str, index: int, name: str) -> str:
    """An id for a tool call that came without one; always the same for the same answer."""
    return "call_" + hashlib.sha256(dump([response_id, index, name])).hexdigest()[:24]


def signature_of(call: Mapping[str, Any]) -> str | None:
    """Gemini's thought signature, which Google's OpenAI endpoint sends with a tool call."""
    return as_text(as_map(as_map(call.get("extra_content")).get("google")).get("thought_signature")) or None


def read_answer(body: Json, request: ChatRequest, signer: str | None) -> ChatReply:
    """A whole answer."""
    raise_in_band_error(body)
    choices = as_maps(body.get("choices"))
    if not choices:
        _no_choices(body)
    choice = next((item for item in choices if not item.get("index")), choices[0])
    message = must_map(choice.get("message"), "choices[0].message")
    text, inline_reasoning = split_content(message.get("content"))
    response_id = as_text(body.get("id"))
    calls = _calls(message, response_id)
    refusal = as_text(message.get("refusal")) or None
    content = bool(text or calls or refusal)
    reason = as_text(choice.get("finish_reason"))
    return ChatReply(
        text=text,
        tool_calls=calls,
        reasoning=reasoning_text(message) or inline_reasoning,
        thinking=signed_blocks(as_maps(message.get("reasoning_details")), signer),
        refusal=refusal,
        finish_reason=finish_of(reason, content=content, calls=bool(calls), request=request, body=body),
        usage=usage_of(as_map(body.get("usage"))),
        model=as_text(body.get("model")),
        id=response_id,
        raw=body,
    )


def signed_blocks(details: list[Json], signer: str | None) -> tuple[Json, ...]:
    """Reasoning details as blocks of a history, each with the dialect that signed it; none without a signer."""
    return tuple({**detail, "dialect": signer} for detail in details) if signer else ()


def _no_choices(body: Json) -> NoReturn:
    if body.get("choices") == []:
        raise EmptyAnswer("the answer has no choices", body=dump(body))
    if as_text(body.get("message")):  # a relay's {"code": …, "message": …}
        raise InBandError(as_text(body["message"]), body=dump(body))
    raise MalformedAnswer("the answer has no choices", body=dump(body))


def _calls(message: Json, response_id: str) -> tuple[ToolCall, ...]:
    found: list[ToolCall] = []
    for call in as_maps(message.get("tool_calls")):
        function = as_map(call.get("function"))
        if not as_text(function.get("name")):
            function = as_map(call.get("custom")) or function
        name = as_text(function.get("name"))
        if not name:
            raise MalformedAnswer("a tool call without a name", body=dump(call))
        arguments = arguments_of(function.get("arguments", function.get("input"))) or "{}"
        call_id = as_text(call.get("id")) or generated_id(response_id, len(found), name)
        found.append(ToolCall(call_id, name, arguments, signature_of(call)))
    legacy = as_map(message.get("function_call"))
    if not found and as_text(legacy.get("name")):
        name = as_text(legacy["name"])
        found.append(ToolCall(generated_id(response_id, 0, name), name, arguments_of(legacy.get("arguments")) or "{}"))
    return tuple(found)


def finish_of(
    reason: str, *, content: bool, calls: bool, request: ChatRequest, body: Mapping[str, Any]
) -> FinishReason:
    """The finish reason. Raises the error that this ending means, if it is none.

    A whole body without a reason (Snowflake) is complete. An answer without content is valid only if the reason explains
    it: the limit on tokens, or a stop text that came first.
    """
    raise_if_aborted(reason, body)
    finish = FINISH_REASONS.get(reason.lower(), "stop")
    if content:
        return "tool_calls" if calls and finish == "stop" else finish
    if finish == "content_filter":
        error = {"message": "the answer was blocked (finish_reason: content_filter)", "code": "content_filter"}
        raise InBandError(error["message"], body=dump({"error": error}))
    if finish == "length" or (reason in ("stop", "stop_sequence") and request.stop):
        return finish
    message = f"the answer is empty (finish_reason: {reason or 'none'})"
    raise EmptyAnswer(message, proven=bool(reason) and finish == "stop", body=dump(body))
