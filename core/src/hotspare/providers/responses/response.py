"""A response of the Responses API -> ChatReply. Proof of completion: its status.

A response is a list of output items: messages, reasoning, function calls, and calls of server tools.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from hotspare.errors import InBandError, IncompleteAnswer, MalformedAnswer
from hotspare.messages import ChatReply, ChatRequest, FinishReason, ToolCall, Usage
from hotspare.providers.finish_reasons import ending_of, finish_reason_of, reason_of
from hotspare.providers.json_access import (
    Json,
    as_count,
    as_map,
    as_maps,
    as_text,
    dump,
    is_arguments,
    is_usage,
    must_list,
    must_map,
)

_UNFINISHED = frozenset({"in_progress", "queued"})
_CALLS = {"function_call": "arguments", "custom_tool_call": "input"}
"""The types of items that call the caller's tools, and the field with the model's output."""
_NOT_ANSWERS = frozenset({"reasoning", "mcp_list_tools"})
"""Items that alone are not an answer."""


def raise_in_band_error(body: Mapping[str, Any]) -> None:
    """Raise InBandError if this JSON, an event or a whole response, is an error."""
    error = body.get("error")
    if not error and (body.get("type") == "error" or body.get("object") == "error"):
        error = {name: value for name, value in body.items() if name != "type"}
    if not error and body.get("status") == "failed":
        error = {"message": "the response failed without a reason"}
    if error:
        message = error if isinstance(error, str) else as_text(as_map(error).get("message"))
        code = as_text(as_map(error).get("code"))
        raise InBandError(message or "an error inside a 200", code=code, body=dump({"error": error}))


def usage_of(usage: Json) -> Usage:
    """Token counts."""
    if not is_usage(usage):
        return Usage()
    input_details, output_details = (
        as_map(usage.get("input_tokens_details")),
        as_map(usage.get("output_tokens_details")),
    )
    return Usage(
        input_tokens=as_count(usage.get("input_tokens")),
        output_tokens=as_count(usage.get("output_tokens")),
        cached_tokens=as_count(input_details.get("cached_tokens")),
        cache_write_tokens=as_count(input_details.get("cache_write_tokens")),
        reasoning_tokens=as_count(output_details.get("reasoning_tokens")),
    )


def status_reason(body: Json) -> str:
    """How a response ended: its status, or why it is incomplete; "" if it has not ended. A response without the field has ended; one
    whose status is null has not."""
    status = reason_of(body.get("status", "completed"))
    if status in _UNFINISHED:
        return ""
    if status == "incomplete":
        return reason_of(as_map(body.get("incomplete_details")).get("reason")) or status
    return status


class Item(NamedTuple):
    """The content of an output item. `call`: its arguments may be incomplete."""

    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    call: ToolCall | None = None
    thinking: tuple[Json, ...] = ()
    media: tuple[Json, ...] = ()
    is_answer: bool = False


def item_of(item: Json) -> Item:
    """The content of an output item. Raises MalformedAnswer for a message without content, and a call without a name."""
    kind = as_text(item.get("type"))
    if kind == "message":
        parts = [must_map(part, "content[]") for part in must_list(item.get("content"), "content")]
        text = "".join(as_text(part.get("text")) for part in parts if part.get("type") in ("output_text", "text"))
        refusal = "".join(as_text(part.get("refusal")) for part in parts)
        return Item(text, refusal=refusal, is_answer=bool(text or refusal))
    if kind == "reasoning":
        return Item(reasoning=reasoning_text(item), thinking=(signed_block(item),))
    if kind in _CALLS:
        return Item(call=call_of(item), is_answer=True)
    media = (item,) if kind == "image_generation_call" and item.get("result") else ()
    return Item(media=media, is_answer=kind not in _NOT_ANSWERS)


def call_of(item: Json) -> ToolCall:
    """A call of one of the caller's tools. Raises MalformedAnswer without a name or an id."""
    name, call_id = as_text(item.get("name")), as_text(item.get("call_id")) or as_text(item.get("id"))
    if not name or not call_id:
        raise MalformedAnswer("a function call without name or call_id", body=dump(item))
    return ToolCall(call_id, name, as_text(item.get(_CALLS[as_text(item.get("type"))])))


def is_call(item: Json) -> bool:
    """Whether an output item is a call of one of the caller's tools."""
    return item.get("type") in _CALLS


def is_text_call(item: Json) -> bool:
    """Whether the input of this call is text instead of JSON."""
    return item.get("type") == "custom_tool_call"


def reasoning_text(item: Json) -> str:
    """The summary of a reasoning item, or the reasoning itself if the server shows it (DeepSeek, gpt-oss)."""
    summary = "\n\n".join(as_text(part.get("text")) for part in as_maps(item.get("summary")))
    return summary + "".join(as_text(part.get("text")) for part in as_maps(item.get("content")))


def signed_block(item: Json) -> Json:
    """A reasoning item for a history, with the dialect that it belongs to."""
    return {**item, "dialect": "responses"}


def check_arguments(name: str, arguments: str) -> None:
    """Raise MalformedAnswer unless these arguments are complete."""
    if not is_arguments(arguments):
        raise MalformedAnswer(f"the arguments of the tool call {name} are not a JSON object")


def finish_of(
    reason: str, request: ChatRequest, body: Json, *, content: bool, calls: bool, usage: Usage
) -> FinishReason:
    """The finish reason. Raises IncompleteAnswer without one, or the error that it stands for."""
    if not reason:
        raise IncompleteAnswer(f"the response has not ended (status: {body.get('status')})", body=dump(body))
    finish = ending_of(reason, request, body, content=content, usage=usage)
    return "tool_calls" if calls and finish == "stop" else finish


def read_answer(body: Json, request: ChatRequest) -> ChatReply:
    """A whole answer."""
    raise_in_band_error(body)
    output = [must_map(item, "output[]") for item in must_list(body.get("output"), "output")]
    reason, items = status_reason(body), [item_of(item) for item in output]
    calls = [item.call for item in items if item.call is not None]
    content, usage = any(item.is_answer for item in items), usage_of(as_map(body.get("usage")))
    finish = finish_of(reason, request, body, content=content, calls=bool(calls), usage=usage)
    whole = [
        call
        if is_text_call(item)
        else ToolCall(call.id, call.name, (call.arguments.strip() and call.arguments) or "{}")
        for item, call in zip(filter(is_call, output), calls, strict=True)
    ]
    if finish_reason_of(reason) != "length":
        for item, call in zip(filter(is_call, output), whole, strict=True):
            if not is_text_call(item):
                check_arguments(call.name, call.arguments)
    return ChatReply(
        text="".join(item.text for item in items),
        tool_calls=tuple(whole),
        reasoning="".join(item.reasoning for item in items),
        thinking=tuple(block for item in items for block in item.thinking),
        media=tuple(one for item in items for one in item.media),
        refusal="".join(item.refusal for item in items) or None,
        finish_reason=finish,
        usage=usage,
        model=as_text(body.get("model")),
        id=as_text(body.get("id")),
        raw=body,
    )
