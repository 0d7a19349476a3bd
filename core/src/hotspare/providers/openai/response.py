"""A chat completion -> ChatReply. Proof of completion: a finish reason."""

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple, NoReturn

from hotspare.errors import EmptyAnswer, InBandError, IncompleteAnswer, MalformedAnswer
from hotspare.messages import ChatReply, ChatRequest, FinishReason, ToolCall, Usage
from hotspare.providers.content import json_text
from hotspare.providers.finish_reasons import ending_of, finish_reason_of, is_malformed, raise_if_broken, reason_of
from hotspare.providers.json_access import (
    Json,
    as_count,
    as_list,
    as_map,
    as_maps,
    as_text,
    dump,
    is_arguments,
    is_list,
    is_map,
    is_usage,
    must_map,
    view_map,
)
from hotspare.providers.openai.flavors import MISTRAL, Flavor

_MEDIA = ("image", "audio", "video", "file")
"""Words in the types of media parts: `image_url`, `output_image`, `audio_url`, `input_audio`…"""


def raise_in_band_error(body: Mapping[str, Any]) -> None:
    """Raise InBandError if this JSON is an error, in any of the shapes that providers and relays use."""
    error, choices = body.get("error"), body.get("choices")
    if not error and choices:
        error = _error_in(as_list(choices))
    if error:
        message = error if isinstance(error, str) else as_text(as_map(error).get("message"))
        raise InBandError(message or "an error inside a 200", body=dump({"error": error}))
    if "choices" not in body and (body.get("object") == "error" or body.get("type") == "error" or "detail" in body):
        raise InBandError(as_text(body.get("message")) or "an error inside a 200", body=dump(body))


def _error_in(choices: list[Any]) -> Any:
    """The error of a choice, if one has any."""
    for choice in choices:
        if is_map(choice) and (error := choice.get("error")):
            return error
    return None


def usage_of(usage: Mapping[str, Any]) -> Usage:
    """Token counts. xAI and Gemini count reasoning outside `completion_tokens`; `total_tokens` includes it."""
    if not is_usage(usage):
        return Usage()
    prompt, completion = (as_count(usage.get("prompt_tokens")), as_count(usage.get("completion_tokens")))
    prompt_details, completion_details = (
        view_map(usage.get("prompt_tokens_details")),
        view_map(usage.get("completion_tokens_details")),
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
        cached_tokens=_largest(cached),
        cache_write_tokens=_largest(written),
        reasoning_tokens=_largest((completion_details.get("reasoning_tokens"), usage.get("reasoning_tokens"))),
    )


def _largest(counts: tuple[object, ...]) -> int:
    """The largest of these counts, of which most are absent; 0 without any."""
    return max([as_count(count) for count in counts if count]) if any(counts) else 0


class Content(NamedTuple):
    """The content of a message or a delta, except tool calls."""

    text: str
    reasoning: str
    refusal: str
    media: tuple[Json, ...]

    @property
    def is_answer(self) -> bool:
        """Whether there is anything but reasoning."""
        return bool(self.text or self.refusal or self.media)


def content_of(message: Json) -> Content:
    """The content of a message or a delta: a string, or parts; media also from separate fields (OpenRouter, OpenAI).

    Raises MalformedAnswer for content of another type.
    """
    content = message.get("content")
    if type(content) is str or content is None:
        text, inline, refusal, media = content or "", "", "", list[Json]()
    else:
        text, inline, refusal, media = _parts(content)
    if "images" in message:
        media += as_maps(message["images"])
    if message.get("audio"):
        audio = as_map(message["audio"])
        if audio.get("data") or audio.get("transcript"):
            media.append({"type": "audio", "audio": audio})
    refusal = as_text(message.get("refusal")) or refusal
    return Content(text, reasoning_text(message) or inline, refusal, tuple(media))


def _parts(content: object) -> tuple[str, str, str, list[Json]]:
    """Text, reasoning, refusal and media of content parts; Mistral's reasoning models send these too."""
    if not is_list(content):
        raise MalformedAnswer("the content is neither a text nor a list", body=dump(content))
    text = reasoning = refusal = ""
    media: list[Json] = []
    for part in as_list(content):
        block = as_map(part)
        kind = as_text(block.get("type"))
        if isinstance(part, str):
            text += part
        elif kind == "thinking":
            inner = block.get("thinking")
            reasoning += inner if isinstance(inner, str) else _parts(inner or [])[0]
        elif kind == "refusal":
            refusal += as_text(block.get("refusal"))
        elif any(word in kind for word in _MEDIA):
            media.append(block)
        else:
            text += as_text(block.get("text"))
    return text, reasoning, refusal, media


def reasoning_text(message: Mapping[str, Any]) -> str:
    """The reasoning text of a message or delta, in any provider's field."""
    for field in ("reasoning_content", "reasoning"):  # DeepSeek, xAI, Z.ai; OpenRouter, Groq, vLLM, Ollama
        if field in message and as_text(message[field]):
            return as_text(message[field])
    details = as_maps(message.get("reasoning_details"))
    return (
        ""
        if not details
        else "".join(as_text(detail.get("text")) or as_text(detail.get("summary")) for detail in details)
    )


def choice_reason(choice: Json) -> str:
    """The finish reason of a choice. OpenRouter writes `stop` even if the provider's own reason says that the answer is
    malformed; then the provider's is used."""
    reason, native = reason_of(choice.get("finish_reason")), reason_of(choice.get("native_finish_reason"))
    return native if reason and is_malformed(native) else reason


def arguments_of(value: object) -> str:
    """A tool call's arguments as text: some servers send an object."""
    return value if isinstance(value, str) else json_text(as_map(value)) if is_map(value) else ""


def generated_id(response_id: str, index: int, name: str) -> str:
    """An id for a tool call that came without one; always the same for the same answer."""
    return "call_" + hashlib.sha256(dump([response_id, index, name])).hexdigest()[:24]


def signature_of(call: Mapping[str, Any]) -> str | None:
    """Gemini's thought signature, which Google's OpenAI endpoint sends with a tool call."""
    return as_text(as_map(as_map(call.get("extra_content")).get("google")).get("thought_signature")) or None


def read_answer(body: Json, request: ChatRequest, flavor: Flavor) -> ChatReply:
    """A whole answer. Without a finish reason it is incomplete: relays send null, or the text "null", for a stream that broke upstream of
    them. An answer of a compatible server that never states reasons (Snowflake: "") counts as complete."""
    raise_in_band_error(body)
    choices = as_maps(body.get("choices"))
    if not choices:
        _no_choices(body)
    choice = choices[0]
    if choice.get("index"):
        choice = next((item for item in choices if not item.get("index")), choice)
    message = must_map(choice.get("message"), "choices[0].message")
    content = content_of(message)
    response_id = as_text(body.get("id"))
    reason = choice_reason(choice)
    raise_if_broken(reason, body)
    calls: tuple[ToolCall, ...] = ()
    if message.get("tool_calls") or message.get("function_call"):
        calls = _calls(message, response_id, cut=finish_reason_of(reason) == "length")
    has_content = content.is_answer or bool(calls)
    states_none = flavor.done_completes and choice.get("finish_reason", "") == ""
    if has_content and not reason and not states_none:
        raise IncompleteAnswer("the answer has no finish_reason", body=dump(body))
    usage, called = usage_of(view_map(body.get("usage"))), bool(calls)
    return ChatReply(
        text=content.text,
        tool_calls=calls,
        reasoning=content.reasoning,
        thinking=signed_blocks(reasoning_blocks(message, flavor.reasoning_signer), flavor.reasoning_signer),
        media=content.media,
        refusal=content.refusal or None,
        finish_reason=finish_of(reason, content=has_content, calls=called, request=request, usage=usage, body=body),
        usage=usage,
        model=as_text(body.get("model")),
        id=response_id,
        raw=body,
    )


def reasoning_blocks(message: Json, signer: str | None) -> list[Json]:
    """The reasoning in a message or a delta that is sent back to its model: `reasoning_details`, or Mistral's parts as one block."""
    if signer != MISTRAL:
        return as_maps(message.get("reasoning_details")) if signer else []
    content = message.get("content")
    thinking = _parts(content)[1] if is_list(content) else ""
    return [{"type": "thinking", "thinking": thinking}] if thinking else []


def signed_blocks(details: list[Json], signer: str | None) -> tuple[Json, ...]:
    """Reasoning details as blocks of a history, each with the dialect that signed it; none without a signer."""
    return tuple([{**detail, "dialect": signer} for detail in details]) if details and signer else ()


def _no_choices(body: Json) -> NoReturn:
    if body.get("choices") == []:
        raise EmptyAnswer("the answer has no choices", body=dump(body))
    if as_text(body.get("message")):  # a relay's {"code": …, "message": …}
        raise InBandError(as_text(body["message"]), body=dump(body))
    raise MalformedAnswer("the answer has no choices", body=dump(body))


def _calls(message: Json, response_id: str, *, cut: bool) -> tuple[ToolCall, ...]:
    """The tool calls. `cut`: the token limit ended the answer, so that the arguments of the last call may be incomplete."""
    found: list[ToolCall] = []
    for call in as_maps(message.get("tool_calls")):
        function, custom = as_map(call.get("function")), as_map(call.get("custom"))
        is_text = not as_text(function.get("name")) and bool(custom)
        function = custom if is_text else function
        name = as_text(function.get("name"))
        if not name:
            raise MalformedAnswer("a tool call without a name", body=dump(call))
        arguments = arguments_of(function.get("arguments", function.get("input")))
        arguments = arguments if arguments.strip() or is_text else "{}"
        if not (is_text or cut or is_arguments(arguments)):
            raise MalformedAnswer(f"the arguments of the tool call {name} are not a JSON object", body=dump(call))
        call_id = as_text(call.get("id")) or generated_id(response_id, len(found), name)
        found.append(ToolCall(call_id, name, arguments, signature_of(call)))
    legacy = as_map(message.get("function_call"))
    if not found and as_text(legacy.get("name")):
        return _calls({"tool_calls": [{"function": legacy}]}, response_id, cut=cut)
    return tuple(found)


def finish_of(
    reason: str, *, content: bool, calls: bool, request: ChatRequest, usage: Usage, body: Mapping[str, Any]
) -> FinishReason:
    """The finish reason. Raises the error that it stands for, if any."""
    finish = ending_of(reason, request, body, content=content, usage=usage)
    return "tool_calls" if calls and finish == "stop" else finish
