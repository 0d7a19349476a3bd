"""The body of a Responses request -> ChatRequest. What it has no field for goes into `extra`, word for word."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from hotspare.messages import ChatRequest, ReasoningEffort
from hotspare.providers.json_access import Json, as_map, as_maps, as_text, drop_empty, without

from tests.support.request_readers.openai import EFFORTS

_READ = frozenset({
    "model", "input", "tools", "tool_choice", "parallel_tool_calls", "temperature", "top_p", "max_output_tokens", "user",
    "stream", "store", "include",
})  # fmt: skip
_ITEMS = frozenset({"message", "reasoning", "function_call", "function_call_output"})
_PARTS = frozenset({"input_text", "output_text", "input_image", "input_file"})


def parse_body(body: Mapping[str, Any], model: str | None = None) -> ChatRequest:
    """The reverse of `write_body`."""
    extra = without(body, _READ)
    items = as_maps(body.get("input"))
    if not all(map(_is_known, items)) or _is_interleaved(items):
        extra["input"] = body["input"]
        items = []
    tools = [tool for tool in as_maps(body.get("tools")) if tool.get("type") == "function"]
    if len(tools) < len(as_maps(body.get("tools"))):
        extra["tools"] = body["tools"]
        tools = []
    if not tools and "tool_choice" in body:
        extra["tool_choice"] = body["tool_choice"]
    form = as_map(as_map(extra.get("text")).get("format"))
    return ChatRequest(
        messages=_messages(items),
        model=model or body.get("model"),
        tools=[{"type": "function", "function": without(tool, ["type"])} for tool in tools],
        tool_choice=_choice(body.get("tool_choice")) if tools else None,
        parallel_tool_calls=body.get("parallel_tool_calls"),
        response_format=_format(form),
        temperature=body.get("temperature"),
        top_p=body.get("top_p"),
        max_tokens=body.get("max_output_tokens"),
        reasoning_effort=_effort(body),
        user=body.get("user"),
        extra={"responses": extra} if extra else {},
    )


def _is_known(item: Json) -> bool:
    content = item.get("output") if item.get("type") == "function_call_output" else item.get("content")
    if item.get("type") == "reasoning":
        content = None
    parts = [] if isinstance(content, str) else as_maps(content)
    plain = all(p.get("type") in _PARTS and not p.keys() & {"prompt_cache_breakpoint"} for p in parts)
    by_id = any(p.get("type") == "input_image" and "file_id" in p for p in parts)
    return item.get("type", "message") in _ITEMS and plain and not by_id and "namespace" not in item


def _is_interleaved(items: list[Json]) -> bool:
    """Whether an assistant speaks between a call and its result: no provider accepts that."""
    pairs = pairwise(items)
    return any(a.get("type") == "function_call" and b.get("role") == "assistant" for a, b in pairs)


def _effort(body: Mapping[str, Any]) -> ReasoningEffort | None:
    return EFFORTS.get(as_text(as_map(body.get("reasoning")).get("effort")))


def _format(form: Json) -> Json | None:
    if form.get("type") == "json_schema":
        return {"type": "json_schema", "json_schema": without(form, ["type"])}
    return form or None


def _choice(choice: Any) -> Any:
    fields = as_map(choice)
    return {"type": "function", "function": {"name": fields["name"]}} if fields else choice


def _messages(items: list[Json]) -> list[Json]:
    """Items of an assistant that follow each other are one message."""
    result: list[Json] = []
    for item in items:
        kind, role = item.get("type", "message"), item.get("role")
        if kind == "function_call_output":
            output = item["output"] if isinstance(item["output"], str) else _parts(item["output"])
            result.append({"role": "tool", "tool_call_id": item["call_id"], "content": output})
        elif kind == "message" and role != "assistant":
            content = item["content"] if isinstance(item["content"], str) else _parts(item["content"])
            result.append({"role": role, "content": content})
        else:
            if not result or result[-1]["role"] != "assistant":
                result.append({"role": "assistant", "content": None})
            _add(result[-1], kind, item)
    return result


def _add(message: Json, kind: str, item: Json) -> None:
    if kind == "message":
        message["content"] = item["content"]
    elif kind == "reasoning":
        message.setdefault("thinking_blocks", []).append({**item, "dialect": "responses"})
    else:
        function = {"name": item["name"], "arguments": item["arguments"]}
        call = {"id": item["call_id"], "type": "function", "function": function}
        message.setdefault("tool_calls", []).append(call)


def _parts(parts: list[Json]) -> list[Json]:
    return [_part(part) for part in parts]


def _part(part: Json) -> Json:
    if part["type"] == "input_image":
        return {"type": "image_url", "image_url": drop_empty(url=part["image_url"], detail=part.get("detail"))}
    if part["type"] == "input_file":
        file_id = part.get("file_id") or part.get("file_url")
        fields = drop_empty(file_data=part.get("file_data"), filename=part.get("filename"), file_id=file_id)
        return {"type": "file", "file": fields}
    return {"type": "text", "text": part["text"]}
