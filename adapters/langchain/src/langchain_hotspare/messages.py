# LangChain's messages and tools hold any JSON: what is narrowed from Any stays partly unknown to pyright.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""LangChain's messages -> OpenAI's chat shape, which every hotspare target takes.

LangChain's own `convert_to_openai_messages` converts envelopes and media. This module keeps what that function loses: reasoning,
moved from `content` to `reasoning_content` and `thinking_blocks`; `cache_control`; the error flag of tool results; and tool calls
whose arguments are not JSON, as the model wrote them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from hotspare import Problem, RequestError
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
    convert_to_openai_messages,
)

from langchain_hotspare.history import SIGNATURES_KEY, with_tool_calls
from langchain_hotspare.metadata import METADATA_KEY
from langchain_hotspare.tools import Json

_ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
_NOT_CONTENT = frozenset(
    {
        "tool_use", "tool_call", "tool_call_chunk", "invalid_tool_call", "function_call", "server_tool_call",
        "non_standard",
    }
)  # fmt: skip
"""Content blocks that `tool_calls` repeats, or that only their own provider supports."""

_PLAIN_ROLES: Mapping[type[BaseMessage], str] = {HumanMessage: "user", AIMessage: "assistant", SystemMessage: "system"}
_REASONING = frozenset({"thinking", "redacted_thinking", "reasoning", "reasoning_content"})


def openai_messages(messages: Sequence[BaseMessage], *, keep_unknown: bool = False) -> list[Json]:
    """The history in OpenAI's shape.

    Raises RequestError, with its place, for a content block or a role without a counterpart. With `keep_unknown` such
    content becomes a part of the type `native`, which only LangChain's own models support.
    """
    if all(map(_is_plain, messages)):
        return [{"role": _PLAIN_ROLES[type(message)], "content": message.content} for message in messages]
    history = with_tool_calls(messages)
    return [
        found
        for place, message in enumerate(history)
        for found in _message(message, f"messages[{place}]", keep_unknown)
    ]


def _is_plain(message: BaseMessage) -> bool:
    """Whether the message has a text only."""
    if type(message) not in _PLAIN_ROLES or message.additional_kwargs or message.name or not message.content:
        return False
    calls = isinstance(message, AIMessage) and (message.tool_calls or message.invalid_tool_calls)
    return isinstance(message.content, str) and not calls


def _message(message: BaseMessage, place: str, keep_unknown: bool) -> list[Json]:
    blocks = _blocks(message.content)
    if any(block.get("type") == "tool_result" for block in blocks):  # Anthropic's shape: results inside a user message
        return _converted(message, place)
    if isinstance(message, ChatMessage) and keep_unknown and message.role not in _ROLES:
        return [{"role": "user", "content": [_native(message.role)]}]
    envelope = _converted(message.model_copy(update={"content": ""}), place)[0]
    if isinstance(message, AIMessage):
        return [_assistant(envelope, message, blocks, place, keep_unknown)]
    if isinstance(message, ToolMessage):
        envelope["tool_call_id"] = message.tool_call_id or ""
        if message.status == "error":
            envelope["is_error"] = True
    envelope["content"] = _content(message.content, blocks, place, keep_unknown)
    return [envelope]


def _assistant(envelope: Json, message: AIMessage, blocks: list[Json], place: str, keep_unknown: bool) -> Json:
    content = _content(message.content, blocks, place, keep_unknown)
    envelope["content"] = content or None
    calls: list[Json] = [*envelope.get("tool_calls", []), *_invalid_calls(message), *_content_calls(message, blocks)]
    signatures = cast("Mapping[str, str]", message.additional_kwargs.get(SIGNATURES_KEY) or {})
    for call in calls:
        call["id"] = call.get("id") or ""
        if call["id"] in signatures:
            call["extra_content"] = {"google": {"thought_signature": signatures[call["id"]]}}
    if calls:
        envelope["tool_calls"] = calls
    reasoning, thinking = _reasoning(message, blocks)
    if reasoning:
        envelope["reasoning_content"] = reasoning
    if thinking:
        envelope["thinking_blocks"] = thinking
    metadata = cast("Json", message.response_metadata.get(METADATA_KEY) or {})
    if (thinking or signatures) and metadata.get("signed_by"):
        envelope["signed_by"] = metadata["signed_by"]
    return envelope


def _invalid_calls(message: AIMessage) -> list[Json]:
    """Tool calls whose arguments are not JSON."""
    return [
        _call(call["id"] or "", call["name"], call["args"] or "") for call in message.invalid_tool_calls if call["name"]
    ]


def _content_calls(message: AIMessage, blocks: list[Json]) -> list[Json]:
    """Anthropic's `tool_use` blocks that the message's `tool_calls` do not repeat."""
    known = {call["id"] for call in message.tool_calls}
    found = [block for block in blocks if block.get("type") == "tool_use" and block.get("id") not in known]
    return [_call(b["id"], b["name"], json.dumps(b.get("input", {}), ensure_ascii=False)) for b in found]


def _call(call_id: str, name: str, arguments: str) -> Json:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def _reasoning(message: AIMessage, blocks: list[Json]) -> tuple[str, list[Json]]:
    """The reasoning as text and as signed blocks."""
    extra = message.additional_kwargs
    texts = [str(extra.get("reasoning_content") or "")]
    thinking = [dict(block) for block in cast("Iterable[Json]", extra.get("thinking_blocks") or ())]
    has_text = bool(texts[0])
    for block in blocks:
        kind = block.get("type")
        if kind not in _REASONING:
            continue
        if kind == "redacted_thinking" or block.get("signature"):
            signed = {name: value for name, value in block.items() if name != "index"}
            thinking.append({"dialect": "anthropic", **signed})
        if not has_text:
            texts.append(_text_of(block.get("thinking") or block.get("reasoning") or ""))
    return "".join(texts), thinking


def _text_of(thinking: object) -> str:
    """Reasoning as text; Mistral's is a list of text parts."""
    return "".join(str(part.get("text", "")) for part in _blocks(thinking)) or str(thinking or "")


def _content(content: object, blocks: list[Json], place: str, keep_unknown: bool) -> str | list[Json]:
    if isinstance(content, str):
        return content
    parts: list[Json] = []
    for number, block in enumerate(blocks):
        kind = block.get("type")
        if kind in _REASONING or kind in _NOT_CONTENT:
            continue
        if kind is None and "cachePoint" in block:  # Bedrock: a separate block after the one to cache
            if parts:
                parts[-1].setdefault("cache_control", {"type": "ephemeral"})
            continue
        try:
            parts.append(_part(block, f"{place}.content[{number}]"))
        except RequestError:
            if not keep_unknown:
                raise
            parts.append(_native(kind))
    return parts


def _native(kind: object) -> Json:
    return {"type": "native", "native": str(kind)}


def _part(block: Json, place: str) -> Json:
    """A content block in OpenAI's shape, with its `cache_control`."""
    named = {"filename": "document.pdf", **block} if block.get("type") == "file" and "file" not in block else block
    part = _text_part(block) or _media_part(block) or _converted(HumanMessage([named]), place)[0]["content"][0]
    if not part.get("type"):
        raise RequestError(Problem.at(place, block, "is not a content block: it has no type"))
    return {**part, "cache_control": block["cache_control"]} if "cache_control" in block else part


def _text_part(block: Json) -> Json | None:
    kind, text = block.get("type"), block.get("text")
    is_text = kind == "text" or (kind in ("text-plain", None) and isinstance(text, str))
    return {"type": "text", "text": text or ""} if is_text else None


def _media_part(block: Json) -> Json | None:
    """Media that LangChain's own conversion does not support: files by URL, and `media`, the block of Google's classes."""
    kind, media_type = str(block.get("type")), str(block.get("mime_type") or "")
    data, url = block.get("base64") or block.get("data"), block.get("url") or block.get("file_uri")
    if not isinstance(data, str) and not isinstance(url, str):
        return None
    if kind == "media" and media_type.startswith("image/"):
        return {"type": "image_url", "image_url": {"url": url or f"data:{media_type};base64,{data}"}}
    if kind not in ("media", "file") or "source_type" in block:
        return None
    name = block.get("filename") or (block.get("extras") or {}).get("filename") or "document.pdf"
    if data:
        return {"type": "file", "file": {"filename": name, "file_data": f"data:{media_type};base64,{data}"}}
    return {"type": "file", "file": {"filename": name, "file_id": url, "format": media_type or None}}


def _converted(message: BaseMessage, place: str) -> list[Json]:
    try:
        return convert_to_openai_messages([message], text_format="block" if message.content else "string")
    except (ValueError, KeyError, TypeError) as error:
        raise RequestError(
            Problem.at(place, message.type, f"cannot be converted to OpenAI's shape: {error}")
        ) from error


def _blocks(content: object) -> list[Json]:
    if not isinstance(content, list):
        return []
    return [{"type": "text", "text": block} if isinstance(block, str) else cast("Json", block) for block in content]
