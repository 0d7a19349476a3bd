"""ChatRequest -> the body of `POST …/responses`."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from hotspare.messages import ANTHROPIC_TOOL_FIELDS, ChatRequest
from hotspare.providers.content import (
    SYSTEM_ROLES,
    call_arguments,
    call_name,
    image_url,
    json_text,
    parts_of,
    plain_text,
    tool_calls,
)
from hotspare.providers.history import OPENING_TURN, HistoryRules, IdRule, valid_history
from hotspare.providers.json_access import Json, as_map, as_maps, as_text, deep_merge, drop_empty, without
from hotspare.providers.openai.flavors import IDS, Flavor, is_reasoning_model, nearest_effort
from hotspare.providers.openai.request import effort_levels
from hotspare.target import Target

HISTORY = HistoryRules(IdRule(re.compile(r"[!-~]{1,64}")), signers=frozenset({"responses"}))
"""Ids: "string too long. Expected a string with maximum length 64" (OpenAI)."""
_HISTORY_ELSEWHERE = replace(HISTORY, ids=IDS, media_in_results=False)
"""For other servers of this API: ids as for Chat Completions, tool results with text only."""
_REASONING_FIELDS = ("type", "id", "summary", "content", "encrypted_content")
"""The fields of a reasoning item that are sent back."""


def write_body(request: ChatRequest, target: Target, flavor: Flavor, *, stream: bool) -> Json:
    """The JSON body. The target's `extra`, then the request's, override what hotspare writes.

    Nothing is stored at the provider: the whole history is sent, and reasoning is requested encrypted, so that it can be sent back.
    """
    body = drop_empty(
        model=target.model,
        input=write_input(request, target, flavor),
        tools=[_tool(tool) for tool in request.tools],
        tool_choice=_tool_choice(request.tool_choice) if request.tools else None,
        parallel_tool_calls=request.parallel_tool_calls if request.tools else None,
        text=_text(request),
        temperature=request.temperature,
        top_p=request.top_p,
        max_output_tokens=request.max_tokens,
        reasoning=_reasoning(request, target, flavor),
        user=request.user,
        store=False,
        include=["reasoning.encrypted_content"] if is_reasoning_model(target.model) else None,
        stream=True if stream else None,
    )
    return deep_merge(body, target.extra, request.extra.get("responses", {}))


def history_rules(flavor: Flavor) -> HistoryRules:
    """The rules for the histories that this flavor accepts."""
    return HISTORY if flavor.openai_models else _HISTORY_ELSEWHERE


def write_input(request: ChatRequest, target: Target, flavor: Flavor) -> list[Json]:
    """The history as input items. Tool results carry images and files at OpenAI and Azure; for other servers these follow in a
    separate message."""
    history = valid_history(request.messages, history_rules(flavor), target)
    return [item for message in history for item in _items(message, flavor)] or [_message("user", OPENING_TURN)]


def _items(message: Json, flavor: Flavor) -> list[Json]:
    role = as_text(message.get("role"))
    if role == "assistant":
        return _assistant(message, flavor)
    if role == "tool":
        content = message.get("content")
        output = content if isinstance(content, str) else _parts(content)
        if all(part["type"] == "input_text" for part in output if not isinstance(part, str)):
            output = plain_text(content)
        return [{"type": "function_call_output", "call_id": message.get("tool_call_id"), "output": output}]
    if role == "developer" and not flavor.developer_role:
        role = "system"
    content = message.get("content")
    if not isinstance(content, str):
        content = plain_text(content) if role in SYSTEM_ROLES else _parts(content)
    return [_message(role, content)] if content else []


def _message(role: str, content: Any) -> Json:
    return {"role": role, "content": content}


def _assistant(message: Json, flavor: Flavor) -> list[Json]:
    """Reasoning, text and calls of a turn, as items in this order. Reasoning is valid only before the item that it led to."""
    text = plain_text(message.get("content")) or as_text(message.get("refusal")) or _refusal(message)
    items = [_message("assistant", text)] if text else []
    items += [_call(call) for call in tool_calls(message)]
    blocks = [block for block in as_maps(message.get("thinking_blocks")) if _is_valid(block, flavor)]
    return [*map(_reasoning_item, blocks), *items] if items else []


def _refusal(message: Json) -> str:
    return "".join(as_text(part.get("refusal")) for part in parts_of(message.get("content")))


def _is_valid(block: Json, flavor: Flavor) -> bool:
    """Whether the reasoning can be sent back. OpenAI accepts it only encrypted, because with `store=False` it keeps nothing."""
    return bool(block.get("encrypted_content")) or not flavor.openai_models


def _reasoning_item(block: Json) -> Json:
    return {name: block[name] for name in _REASONING_FIELDS if block.get(name) is not None}


def _call(call: Json) -> Json:
    """A function call. Its arguments are always a JSON object as text."""
    arguments = as_map(call.get("function")).get("arguments")
    valid = isinstance(arguments, str) and arguments.strip() and call_arguments(call).keys() != {"invalid_json"}
    return {
        "type": "function_call",
        "call_id": call.get("id"),
        "name": call_name(call),
        "arguments": arguments if valid else json_text(as_map(arguments) or call_arguments(call)),
    }


def _parts(content: object) -> list[Json]:
    return [found for part in parts_of(content) if (found := input_part(part)) is not None]


def input_part(part: Json) -> Json | None:
    """A content part in the shape of an input message; None if this API does not accept it."""
    kind = part.get("type")
    if kind in ("text", "refusal"):
        return {"type": "input_text", "text": as_text(part.get("text") or part.get("refusal"))}
    if kind == "image_url":
        detail = as_text(as_map(part.get("image_url")).get("detail"))
        return {"type": "input_image", "image_url": image_url(part), "detail": detail or "auto"}
    return _file(as_map(part.get("file"))) if kind == "file" else None


def _file(file: Json) -> Json | None:
    """A file: data, a public URL, or the id of an upload. None for audio and video."""
    data, file_id = as_text(file.get("file_data")), as_text(file.get("file_id"))
    if data.startswith(("data:audio/", "data:video/")) or file_id.startswith("gs://"):
        return None
    if data:
        return {"type": "input_file", "filename": as_text(file.get("filename")) or "file", "file_data": data}
    if file_id.startswith(("https://", "http://")):
        return {"type": "input_file", "file_url": file_id}
    return {"type": "input_file", "file_id": file_id} if file_id else None


def _tool(tool: Mapping[str, Any]) -> Json:
    """A tool, flat. Without `strict` the API would change the schema to a strict one; Chat Completions does not."""
    kind = as_text(tool.get("type")) or "function"
    inner = without(as_map(tool.get(kind)), ANTHROPIC_TOOL_FIELDS)
    if kind != "function":
        return {"type": kind, **inner}
    parameters: Json = inner.get("parameters") or {"type": "object", "properties": {}}
    return {"type": "function", **inner, "parameters": parameters, "strict": inner.get("strict") or False}


def _tool_choice(choice: Any) -> Any:
    fields = as_map(choice)
    if not fields:
        return choice
    kind = as_text(fields.get("type"))
    inner = as_map(fields.get(kind))
    if kind != "allowed_tools":
        return {"type": kind, "name": inner.get("name")}
    tools: Sequence[Json] = as_maps(inner.get("tools"))
    return {"type": kind, "mode": inner.get("mode"), "tools": [_tool_choice(tool) for tool in tools]}


def _text(request: ChatRequest) -> Json | None:
    wanted = as_map(request.response_format)
    if wanted.get("type") != "json_schema":
        return {"format": wanted} if wanted else None
    return {"format": {"type": "json_schema", **as_map(wanted.get("json_schema"))}}


def _reasoning(request: ChatRequest, target: Target, flavor: Flavor) -> Json | None:
    if request.reasoning_effort is None:
        return None
    chosen = nearest_effort(request.reasoning_effort, effort_levels(target, flavor))
    return {"effort": chosen} if chosen else None
