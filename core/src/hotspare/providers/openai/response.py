"""A chat completion -> ChatReply. Proof of completion: a finish reason."""

import hashlib
from collections.abc import Mapping
from typing import Any, NoReturn

from hotspare.errors import EmptyAnswer, InBandError, IncompleteAnswer, MalformedAnswer
from hotspare.messages import ChatReply, ChatRequest, FinishReason, ToolCall, Usage
from hotspare.providers.content import compact
from hotspare.providers.json_access import Json, as_count, as_list, as_map, as_maps, as_text, dump, is_map, must_map

FINISH: dict[str, FinishReason] = {
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
"""OpenAI's finish reasons, and what Together, TGI, Mistral and relays of other dialects say instead."""
_CUT = frozenset({"insufficient_system_resource", "aborted", "abort"})
"""DeepSeek's and vLLM's words for a generation that the provider broke off."""


def raise_in_band(body: Mapping[str, Any]) -> None:
    """Raises InBandError if this JSON is an error, in any of the shapes that providers and relays give it."""
    error = body.get("error")
    if not error:
        nested = [choice.get("error") for choice in as_maps(body.get("choices")) if choice.get("error")]
        error = nested[0] if nested else None
    if error:
        words = error if isinstance(error, str) else as_text(as_map(error).get("message"))
        raise InBandError(words or "an error inside a 200", body=dump({"error": error}))
    if "choices" not in body and (body.get("object") == "error" or body.get("type") == "error" or "detail" in body):
        raise InBandError(as_text(body.get("message")) or "an error inside a 200", body=dump(body))
    for choice in as_maps(body.get("choices")):
        raise_broken(as_text(choice.get("finish_reason")), body)


def raise_broken(reason: str, body: Mapping[str, Any]) -> None:
    """Raises for the finish reasons that say the provider broke the answer off."""
    if reason == "error":
        raise InBandError("the provider ended the answer with an error (finish_reason: error)", body=dump(body))
    if reason in _CUT:
        raise IncompleteAnswer(f"the provider broke the answer off (finish_reason: {reason})", body=dump(body))


def usage_of(usage: Mapping[str, Any]) -> Usage:
    """The tokens. Where reasoning is counted beside `completion_tokens` (xAI, Gemini) the total says so."""
    prompt, completion = (as_count(usage.get("prompt_tokens")), as_count(usage.get("completion_tokens")))
    paid, made = (as_map(usage.get("prompt_tokens_details")), as_map(usage.get("completion_tokens_details")))
    cached = (
        paid.get("cached_tokens"),
        usage.get("prompt_cache_hit_tokens"),  # DeepSeek
        usage.get("num_cached_tokens"),  # Mistral
        usage.get("cached_tokens"),  # Together
    )
    written = (paid.get("cache_write_tokens"), usage.get("cache_creation_input_tokens"))  # OpenRouter; LiteLLM
    return Usage(
        input_tokens=prompt,
        output_tokens=max(completion, as_count(usage.get("total_tokens")) - prompt),
        cached_tokens=max(map(as_count, cached)),
        cache_write_tokens=max(map(as_count, written)),
        reasoning_tokens=max(as_count(made.get("reasoning_tokens")), as_count(usage.get("reasoning_tokens"))),
    )


def split_content(content: object) -> tuple[str, str]:
    """Text and reasoning of a message's content: a string, or parts as Mistral's reasoning models give them."""
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
    """The reasoning text of a message or delta, wherever this provider puts it."""
    for field in ("reasoning_content", "reasoning"):  # DeepSeek, xAI, Z.ai; OpenRouter, Groq, vLLM, Ollama
        if as_text(message.get(field)):
            return as_text(message[field])
    details = as_maps(message.get("reasoning_details"))
    return "".join(as_text(detail.get("text")) or as_text(detail.get("summary")) for detail in details)


def arguments_of(value: object) -> str:
    """A call's arguments as text: some servers send the object itself."""
    return value if isinstance(value, str) else compact(as_map(value)) if is_map(value) else ""


def made_up_id(response_id: str, index: int, name: str) -> str:
    """An id for a call that came without one: the same for the same answer."""
    return "call_" + hashlib.sha256(dump([response_id, index, name])).hexdigest()[:24]


def signature_of(call: Mapping[str, Any]) -> str | None:
    """Gemini's thought signature, as Google's OpenAI endpoint sends it along with a call."""
    return as_text(as_map(as_map(call.get("extra_content")).get("google")).get("thought_signature")) or None


def read_answer(body: Json, request: ChatRequest, signer: str | None) -> ChatReply:
    """A whole answer."""
    raise_in_band(body)
    choices = as_maps(body.get("choices"))
    if not choices:
        _no_choices(body)
    choice = next((item for item in choices if not item.get("index")), choices[0])
    message = must_map(choice.get("message"), "choices[0].message")
    text, inline = split_content(message.get("content"))
    reasoning = reasoning_text(message) or inline
    response_id = as_text(body.get("id"))
    calls = _calls(message, response_id)
    refusal = as_text(message.get("refusal")) or None
    content = bool(text or calls or refusal)
    reason = as_text(choice.get("finish_reason"))
    return ChatReply(
        text=text,
        tool_calls=calls,
        reasoning=reasoning,
        thinking=signed(as_maps(message.get("reasoning_details")), signer),
        refusal=refusal,
        finish_reason=finish_of(reason, content=content, calls=bool(calls), request=request, body=body),
        usage=usage_of(as_map(body.get("usage"))),
        model=as_text(body.get("model")),
        id=response_id,
        raw=body,
    )


def signed(details: list[Json], signer: str | None) -> tuple[Json, ...]:
    """Reasoning details as they stand in a history: with the dialect that can read them."""
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
        call_id = as_text(call.get("id")) or made_up_id(response_id, len(found), name)
        found.append(ToolCall(call_id, name, arguments, signature_of(call)))
    legacy = as_map(message.get("function_call"))
    if not found and as_text(legacy.get("name")):
        name = as_text(legacy["name"])
        found.append(ToolCall(made_up_id(response_id, 0, name), name, arguments_of(legacy.get("arguments")) or "{}"))
    return tuple(found)


def finish_of(
    reason: str, *, content: bool, calls: bool, request: ChatRequest, body: Mapping[str, Any]
) -> FinishReason:
    """The finish reason, or the error that this ending is.

    A whole body without a reason (Snowflake) is whole by its JSON. Nothing said is an answer only if the reason
    explains it: the bound on tokens, or a stop text that came at once.
    """
    raise_broken(reason, body)
    finish = FINISH.get(reason.lower(), "stop")
    if content:
        return "tool_calls" if calls and finish == "stop" else finish
    if finish == "content_filter":
        error = {"message": "the answer was blocked (finish_reason: content_filter)", "code": "content_filter"}
        raise InBandError(error["message"], body=dump({"error": error}))
    if finish == "length" or (reason in ("stop", "stop_sequence") and request.stop):
        return finish
    said = f"the answer is empty (finish_reason: {reason or 'none'})"
    raise EmptyAnswer(said, proven=bool(reason) and finish == "stop", body=dump(body))
