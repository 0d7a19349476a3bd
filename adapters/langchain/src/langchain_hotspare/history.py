# LangChain's messages hold any JSON: what is narrowed from Any stays partly unknown to pyright.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""Makes a LangChain history valid for one LangChain model, by hotspare's rules, with LangChain's own messages.

Messages that need no change are the caller's own objects.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from hotspare import portable_history
from langchain_core.messages import AIMessage, BaseMessage, FunctionMessage, ToolMessage

from langchain_hotspare.model_families import IdRuleName

Json = dict[str, Any]

SIGNATURES_KEY = "__gemini_function_call_thought_signatures__"
"""The key in `additional_kwargs` under which LangChain's Google models keep thought signatures by tool-call id."""

_CALL_IDS = {
    "tool_use": "id", "tool_call": "id", "tool_call_chunk": "id", "invalid_tool_call": "id", "function_call": "call_id",
}  # fmt: skip
"""Content blocks that repeat a tool call, and their field with its id."""


def with_tool_calls(messages: Iterable[BaseMessage]) -> list[BaseMessage]:
    """The history with tool calls in place of `function_call`, and their results in place of FunctionMessage.

    They have no ids: the function's name becomes the id of the call and of its result.
    """
    return [_modern(message) for message in messages]


def _modern(message: BaseMessage) -> BaseMessage:
    if isinstance(message, FunctionMessage):
        return ToolMessage(message.content, tool_call_id=message.name, name=message.name, id=message.id)
    call = message.additional_kwargs.get("function_call")
    if not isinstance(message, AIMessage) or message.tool_calls or not isinstance(call, Mapping):
        return message
    name, arguments = str(call.get("name") or ""), str(call.get("arguments") or "{}")
    extra = {key: value for key, value in message.additional_kwargs.items() if key != "function_call"}
    try:
        parsed: Any = json.loads(arguments)
    except ValueError:
        parsed = None
    if isinstance(parsed, dict):
        calls: Json = {"tool_calls": [{"type": "tool_call", "id": name, "name": name, "args": parsed}]}
    else:
        invalid = {"type": "invalid_tool_call", "id": name, "name": name, "args": arguments, "error": None}
        calls = {"invalid_tool_calls": [invalid]}
    return message.model_copy(update={**calls, "additional_kwargs": extra})


def with_valid_ids(messages: Sequence[BaseMessage], ids: IdRuleName) -> list[BaseMessage]:
    """The history with tool-call ids that the model's provider accepts, without calls that have no result, results that
    have no call, and empty assistant messages."""
    outlines = [outline for place, message in enumerate(messages) for outline in _outlines(message, place)]
    kept = portable_history(outlines, "anthropic", id_rule=ids)
    results = {(one["place"], one["block"]): one["tool_call_id"] for one in kept if "block" in one}
    rebuilt = [_rebuilt(messages[one["place"]], one, results) for one in kept if "block" not in one]
    return [message for message in rebuilt if message is not None]


def _outlines(message: BaseMessage, place: int) -> Iterator[Json]:
    """The data that `portable_history` needs: roles, ids, and whether there is content."""
    if isinstance(message, AIMessage):
        calls = [
            {"id": call_id, "function": {"name": ""}, "slot": slot} for slot, call_id in enumerate(_call_ids(message))
        ]
        content = "content" if _has_content(message) else None
        yield {"role": "assistant", "place": place, "tool_calls": calls, "content": content}
    elif isinstance(message, ToolMessage):
        yield {"role": "tool", "place": place, "tool_call_id": message.tool_call_id or "", "content": ""}
    else:
        for number, block in _results(message):
            result_id = str(block.get("tool_use_id") or "")
            yield {"role": "tool", "place": place, "block": number, "tool_call_id": result_id, "content": ""}
        yield {"role": "user", "place": place, "content": ""}


def _call_ids(message: AIMessage) -> list[str]:
    """The ids of its calls: the valid calls, the invalid ones, then those that are only in its content (Anthropic's shape)."""
    listed = [call["id"] or "" for call in (*message.tool_calls, *message.invalid_tool_calls)]
    in_content = [block.get("id") for block in _blocks(message) if block.get("type") == "tool_use"]
    return [*listed, *(str(call_id) for call_id in in_content if call_id not in listed)]


def _has_content(message: AIMessage) -> bool:
    extra = message.additional_kwargs
    blocks = any(block.get("type") not in (*_CALL_IDS, "text") for block in _blocks(message))
    return bool(str(message.text) or blocks or extra.get("refusal") or extra.get("thinking_blocks"))


def _results(message: BaseMessage) -> list[tuple[int, Json]]:
    """The blocks of tool results inside a user message (Anthropic's shape), each with its place."""
    return [(place, block) for place, block in enumerate(_blocks(message)) if block.get("type") == "tool_result"]


def _rebuilt(message: BaseMessage, outline: Json, results: Mapping[tuple[int, int], str]) -> BaseMessage | None:
    if isinstance(message, AIMessage):
        return _with_calls(message, {call["slot"]: call["id"] for call in outline.get("tool_calls", ())})
    if isinstance(message, ToolMessage):
        same = outline["tool_call_id"] == message.tool_call_id
        return message if same else message.model_copy(update={"tool_call_id": outline["tool_call_id"]})
    if not _results(message):
        return message
    content: list[Any] = []
    for place, block in enumerate(_blocks(message)):
        if block.get("type") != "tool_result":
            content.append(block)
        elif (outline["place"], place) in results:
            content.append({**block, "tool_use_id": results[outline["place"], place]})
    if content == _blocks(message):
        return message
    return message.model_copy(update={"content": content}) if content else None


def _with_calls(message: AIMessage, kept: Mapping[int, str]) -> AIMessage:
    """The message with those of its calls that are kept. `kept`: place among the calls to the new id."""
    old = _call_ids(message)
    new = [kept.get(place) for place in range(len(old))]
    if new == old:
        return message
    calls = list(zip((*message.tool_calls, *message.invalid_tool_calls), new, strict=False))
    renamed = [{**call, "id": call_id} for call, call_id in calls if call_id is not None]
    extra = {key: value for key, value in message.additional_kwargs.items() if key != "tool_calls"}
    if isinstance(signatures := extra.get(SIGNATURES_KEY), Mapping):
        by_id = dict(zip(old, new, strict=True))
        extra[SIGNATURES_KEY] = {by_id[one]: value for one, value in signatures.items() if by_id.get(one) is not None}
    return message.model_copy(
        update={
            "tool_calls": [call for call in renamed if call.get("type") != "invalid_tool_call"],
            "invalid_tool_calls": [call for call in renamed if call.get("type") == "invalid_tool_call"],
            "content": _content_with(message, old, new),
            "additional_kwargs": extra,
        }
    )


def _content_with(message: AIMessage, old: Sequence[str], new: Sequence[str | None]) -> Any:
    """The content, with the blocks that repeat a call under its new id, and without those of dropped calls."""
    if isinstance(message.content, str):
        return message.content
    new_ids: dict[str, deque[str | None]] = {}
    for was, now in zip(old, new, strict=True):
        new_ids.setdefault(was, deque()).append(now)
    content: list[Any] = []
    for block in message.content:
        key = _CALL_IDS.get(str(block.get("type"))) if isinstance(block, dict) else None
        if key is None or not isinstance(block, dict) or not (waiting := new_ids.get(str(block.get(key) or ""))):
            content.append(block)
        elif (call_id := waiting.popleft()) is not None:
            content.append({**block, key: call_id})
    return content


def _blocks(message: BaseMessage) -> list[Json]:
    if isinstance(message.content, str):
        return []
    return [block if isinstance(block, dict) else {"type": "text", "text": block} for block in message.content]
