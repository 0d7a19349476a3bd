"""An Anthropic message -> ChatReply. Proof of completion: a stop reason."""

from hotspare.errors import InBandError, IncompleteAnswer, MalformedAnswer
from hotspare.messages import ChatReply, ChatRequest, FinishReason, ToolCall, Usage
from hotspare.providers.content import json_text
from hotspare.providers.finish_reasons import ending_of, reason_of
from hotspare.providers.json_access import Json, as_count, as_map, as_text, dump, is_usage, must_list, must_map

MEDIA_BLOCKS = frozenset({"image", "audio", "document"})


def in_band_error(body: Json) -> InBandError:
    """The error inside a 200, with the provider's own message."""
    error = as_map(body.get("error"))
    message = as_text(error.get("message")) or as_text(error.get("type")) or "an error inside a 200"
    return InBandError(message, body=dump(body))


def finish_of(body: Json, request: ChatRequest, usage: Usage, *, has_content: bool) -> FinishReason:
    """The finish reason of a message. Raises IncompleteAnswer without one, or the error that it stands for."""
    reason = reason_of(body.get("stop_reason"))
    if not reason:
        raise IncompleteAnswer("the answer has no stop_reason", body=dump(body))
    explanation = as_text(as_map(body.get("stop_details")).get("explanation"))
    return ending_of(reason, request, body, content=has_content, usage=usage, explanation=explanation)


def usage_of(usage: Json) -> Usage:
    """Token counts. Anthropic counts cached tokens outside `input_tokens`; hotspare includes them."""
    if not is_usage(usage):
        return Usage()
    cached = as_count(usage.get("cache_read_input_tokens"))
    written = as_count(usage.get("cache_creation_input_tokens"))
    return Usage(
        input_tokens=as_count(usage.get("input_tokens")) + cached + written,
        output_tokens=as_count(usage.get("output_tokens")),
        cached_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=as_count(as_map(usage.get("output_tokens_details")).get("thinking_tokens")),
    )


def read_message(body: Json, request: ChatRequest) -> ChatReply:
    """A whole answer."""
    if body.get("type") == "error" or body.get("error"):
        raise in_band_error(body)
    blocks = [must_map(block, "content[]") for block in must_list(body.get("content"), "content")]
    calls = tuple(_tool_call_of(block) for block in blocks if block.get("type") == "tool_use")
    text = "".join(_required_text(block, "text") for block in blocks if block.get("type") == "text")
    media = tuple(block for block in blocks if as_text(block.get("type")) in MEDIA_BLOCKS)
    usage = usage_of(as_map(body.get("usage")))
    return ChatReply(
        text=text,
        tool_calls=calls,
        reasoning="".join(_required_text(block, "thinking") for block in blocks if block.get("type") == "thinking"),
        thinking=tuple(
            signed_block(block) for block in blocks if block.get("type") in ("thinking", "redacted_thinking")
        ),
        media=media,
        finish_reason=finish_of(body, request, usage, has_content=bool(text or calls or media)),
        usage=usage,
        model=as_text(body.get("model")),
        id=as_text(body.get("id")),
        raw=body,
    )


def signed_block(block: Json) -> Json:
    """A thinking block for a history, with the dialect that signed it."""
    return {**block, "dialect": "anthropic"}


def _required_text(block: Json, field: str) -> str:
    if not isinstance(block.get(field), str):
        raise MalformedAnswer(f"a {block.get('type')} block without its {field}", body=dump(block))
    return as_text(block[field])


def _tool_call_of(block: Json) -> ToolCall:
    name, call_id = as_text(block.get("name")), as_text(block.get("id"))
    if not name or not call_id:
        raise MalformedAnswer("a tool_use block without name or id", body=dump(block))
    return ToolCall(call_id, name, json_text(must_map(block.get("input") or {}, "tool_use.input")))
