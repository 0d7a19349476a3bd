"""LlamaIndex's messages -> OpenAI's chat shape, which every hotspare target takes. The messages are not changed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from llama_index.core.base.llms.types import (
    AudioBlock,
    CachePoint,
    ChatMessage,
    CitableBlock,
    CitationBlock,
    ContentBlock,
    DocumentBlock,
    ImageBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
    VideoBlock,
)

from hotspare import Problem, RequestError

Json = dict[str, Any]

_ROLES = {
    MessageRole.FUNCTION: "tool",
    MessageRole.CHATBOT: "assistant",
    MessageRole.MODEL: "assistant",
}


def openai_messages(messages: Iterable[ChatMessage], *, keep_unknown: bool = False) -> list[Json]:
    """The history in OpenAI's shape, one message for each, with signed thinking blocks and thought signatures.

    Raises RequestError, with its place, for a block that cannot be read or has no counterpart. With `keep_unknown` a block
    without counterpart becomes a part of the type `native`, which only LlamaIndex's own LLMs support.
    """
    result: list[Json] = []
    unanswered: list[Json] = []
    for index, message in enumerate(messages):
        converted = _message(message, f"messages[{index}]", keep_unknown)
        if converted["role"] == "tool":
            converted["tool_call_id"] = _call_id(message, unanswered)
            unanswered = [call for call in unanswered if call["id"] != converted["tool_call_id"]]
        elif converted["role"] == "assistant":
            unanswered = list(converted.get("tool_calls", ()))
        result.append(converted)
    return result


def _call_id(message: ChatMessage, unanswered: Sequence[Json]) -> str:
    """The id of the call to which a result belongs. Results of the role `function`, and of servers without ids, have none; they get that of
    the first call without a result, of the function that they name."""
    extra = message.additional_kwargs
    if extra.get("tool_call_id"):
        return str(extra["tool_call_id"])
    name = extra.get("name")
    matching = (call["id"] for call in unanswered if name in (None, call["function"]["name"]))
    return next(matching, str(name or ""))


def _message(message: ChatMessage, place: str, keep_unknown: bool) -> Json:
    role = _ROLES.get(message.role, message.role.value)
    content = _content(message.blocks, place, keep_unknown)
    result: Json = {"role": role, "content": content}
    if mark := message.additional_kwargs.get("cache_control"):
        result["cache_control"] = mark
    if role != "assistant":
        return {**result, "content": "" if content is None else content}
    if isinstance(
        content, list
    ):  # most providers reject images in assistant messages; LlamaIndex's classes drop them too
        result["content"] = [part for part in content if part["type"] == "text"] or None
    calls = tool_calls(message, place)
    thinking = [block for block in message.blocks if isinstance(block, ThinkingBlock)]
    signed = [block for block in map(_signed, thinking) if block]
    reasoning = "".join(block.content or "" for block in thinking)
    mark = message.additional_kwargs.get("signed_by")
    found = {"tool_calls": calls, "thinking_blocks": signed, "reasoning_content": reasoning, "signed_by": mark}
    return {**result, **{name: value for name, value in found.items() if value}}


def _content(blocks: Sequence[ContentBlock], place: str, keep_unknown: bool) -> str | list[Json] | None:
    """A single text as a string, anything else as a list of parts, None without content."""
    parts: list[Json] = []
    for index, block in enumerate(blocks):
        if isinstance(block, CachePoint):
            if parts:
                parts[-1]["cache_control"] = block.cache_control.model_dump(exclude_none=True)
            continue
        parts += _parts(block, f"{place}.blocks[{index}]", keep_unknown)
    if len(parts) == 1 and parts[0].keys() == {"type", "text"}:
        text: str = parts[0]["text"]
        return text
    return [part for part in parts if part.get("text") != ""] or None


def _parts(block: Any, place: str, keep_unknown: bool) -> list[Json]:
    if isinstance(block, TextBlock):
        return [{"type": "text", "text": block.text}]
    if isinstance(block, CitableBlock):
        return [part for inner in block.content for part in _parts(inner, place, keep_unknown)]
    if isinstance(block, ThinkingBlock | ToolCallBlock | CitationBlock):
        return []  # thinking and calls are not content; a citation repeats the answer's text
    if not isinstance(block, ImageBlock | AudioBlock | VideoBlock | DocumentBlock):
        if keep_unknown:
            return [{"type": "native", "native": type(block).__name__}]
        raise RequestError(Problem.at(place, type(block).__name__, "has no counterpart in OpenAI's shape"))
    try:
        return [_media(block)]
    except (OSError, ValueError, TypeError) as error:
        raise RequestError(Problem.at(place, type(block).__name__, f"cannot be read: {error}")) from error


def _media(block: ImageBlock | AudioBlock | VideoBlock | DocumentBlock) -> Json:
    if isinstance(block, ImageBlock):
        detail = {"detail": block.detail} if block.detail else {}
        return {"type": "image_url", "image_url": {"url": _image_url(block), **detail}}
    if isinstance(block, AudioBlock):
        data = block.resolve_audio(as_base64=True).read().decode()
        return {"type": "input_audio", "input_audio": {"data": data, "format": block.format or "mp3"}}
    if isinstance(block, VideoBlock):
        where = {"file_id": str(block.url)} if block.url else {"file_data": block.inline_url()}
        return {"type": "file", "file": {"filename": "video", **where}}
    where = {"file_id": block.url} if block.url and not block.data else {"file_data": _document_url(block)}
    return {"type": "file", "file": {"filename": block.title or "document", **where}}


def _image_url(block: ImageBlock) -> str:
    if block.url:
        return str(block.url)
    if block.image_mimetype:
        return block.inline_url()
    guessed = ImageBlock(image=block.resolve_image().read())
    if guessed.image_mimetype is None:
        raise ValueError("its media type is unknown: set image_mimetype")
    return guessed.inline_url()


def _document_url(block: DocumentBlock) -> str:
    if isinstance(block.data, bytes):  # LlamaIndex stores base64
        return f"data:{block.document_mimetype or 'application/pdf'};base64,{block.data.decode()}"
    return block.inline_url()


def _signed(block: ThinkingBlock) -> Json | None:
    """A thinking block that its provider signed or encrypted; None for plain reasoning text."""
    info = block.additional_information
    if info.get("dialect") and info.get("type"):  # a block of one of hotspare's own targets, unchanged
        return dict(info)
    if not (isinstance(info.get("signature"), str) and info["signature"]) and not info.get("data"):
        return None
    kept = {name: info[name] for name in ("signature", "data", "dialect") if isinstance(info.get(name), str)}
    if "data" in kept:
        return {"type": "redacted_thinking", **kept}
    return {"type": "thinking", "thinking": block.content or "", **kept}


def tool_calls(message: ChatMessage, place: str = "message") -> list[Json]:
    """The tool calls of an assistant message, from its blocks, else from `additional_kwargs`, where older integrations store
    them.

    Raises RequestError for a value that is not a tool call.
    """
    listed = [_plain(call, place) for call in message.additional_kwargs.get("tool_calls") or ()]
    if function := message.additional_kwargs.get(
        "function_call"
    ):  # OpenAI's shape of 2023, without an id: the name serves as one
        listed.append({"id": function["name"], "type": "function", "function": dict(function)})
    blocks = [block for block in message.blocks if isinstance(block, ToolCallBlock)]
    if not blocks:
        return listed
    extra = {call.get("id"): call["extra_content"] for call in listed if call.get("extra_content")}
    calls: list[Json] = []
    for block in blocks:
        call_id = block.tool_call_id or block.tool_name
        signature = {"extra_content": extra[call_id]} if call_id in extra else {}
        function = {"name": block.tool_name, "arguments": _arguments(block.tool_kwargs)}
        calls.append({"id": call_id, "type": "function", "function": function, **signature})
    return calls


def _plain(call: Any, place: str) -> Json:
    """A tool call as a dict. It may be an SDK's object."""
    if isinstance(call, Mapping):
        return dict(cast("Json", call))
    if hasattr(call, "model_dump"):
        dumped: Json = call.model_dump(exclude_none=True)
        return dumped
    way_out = "must be a dict like {'id': …, 'type': 'function', 'function': {'name': …, 'arguments': '…'}}"
    raise RequestError(Problem.at(f"{place}.additional_kwargs['tool_calls']", call, way_out))


def _arguments(value: dict[str, Any] | str) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
