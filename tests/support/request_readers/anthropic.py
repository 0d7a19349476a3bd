"""The body of an Anthropic request -> ChatRequest. What OpenAI's shape cannot say goes into `extra`, word for word."""

from collections.abc import Mapping, Sequence
from typing import Any

from hotspare.messages import ANTHROPIC_TOOL_FIELDS, ChatRequest, ReasoningEffort
from hotspare.providers.anthropic.response import signed_block
from hotspare.providers.content import json_text
from hotspare.providers.json_access import Json, as_map, as_maps, as_text, drop_empty, without

_READ = frozenset(
    [
        "model",
        "max_tokens",
        "messages",
        "system",
        "tools",
        "tool_choice",
        "stop_sequences",
        "temperature",
        "top_p",
        "top_k",
        "metadata",
        "stream",
    ]
)
_ORDER = {"thinking": 0, "redacted_thinking": 0, "text": 1, "tool_use": 2}


def parse_body(body: Mapping[str, Any], model: str | None = None) -> ChatRequest:
    """The reverse of `write_body`."""
    extra = without(body, _READ)
    messages = _system_messages(body.get("system"))
    for message in as_maps(body.get("messages")):
        messages += _messages(message)
    if not all(_portable(message) for message in as_maps(body.get("messages"))):
        extra |= {name: body[name] for name in ("messages", "system") if name in body}
    tools = as_maps(body.get("tools"))
    functions = [tool for tool in tools if tool.get("type") in (None, "custom")]
    if len(functions) < len(tools):  # server tools: only Anthropic has them
        extra["tools"] = body["tools"]
    choice = as_map(body.get("tool_choice"))
    if choice and not functions:
        extra["tool_choice"] = body["tool_choice"]
    metadata = as_map(body.get("metadata"))
    if set(metadata) - {"user_id"}:
        extra["metadata"] = metadata
    output = as_map(extra.get("output_config"))
    schema = as_map(output.get("format")).get("schema")
    if set(output) == {"format"} and schema is not None:
        del extra["output_config"]
    return ChatRequest(
        messages=messages,
        model=model or body.get("model"),
        tools=[_tool(tool) for tool in functions],
        tool_choice=_choice(choice) if functions else None,
        parallel_tool_calls=False if choice.get("disable_parallel_tool_use") else None,
        response_format=_format(as_map(schema)) if schema is not None else None,
        temperature=body.get("temperature"),
        top_p=body.get("top_p"),
        top_k=body.get("top_k"),
        max_tokens=body.get("max_tokens"),
        stop=list(body.get("stop_sequences") or ()),
        user=metadata.get("user_id"),
        reasoning_effort=_effort(as_map(extra.get("thinking")), as_text(output.get("effort"))),
        extra={"anthropic": extra} if extra else {},
    )


def _effort(thinking: Json, effort: str) -> ReasoningEffort | None:
    """What the other dialects are sent; Anthropic itself gets the exact words, from `extra`."""
    if thinking.get("type") == "disabled":
        return "none"
    known: dict[str, ReasoningEffort] = {
        "low": "low",
        "medium": "medium",
        "high": "high",
        "xhigh": "xhigh",
        "max": "xhigh",
    }
    if effort in known:
        return known[effort]
    if thinking.get("type") == "adaptive":
        return "high"
    budget = thinking.get("budget_tokens")
    if not isinstance(budget, int):
        return None
    return "low" if budget <= 1024 else "medium" if budget <= 4096 else "high"


def _format(schema: Json) -> Json:
    name = as_text(schema.get("title")) or "answer"
    return {
        "type": "json_schema",
        "json_schema": {"name": name, "schema": schema, "strict": True},
    }


def _choice(choice: Json) -> Any:
    if choice.get("type") == "tool":
        return {"type": "function", "function": {"name": choice.get("name")}}
    return {"auto": "auto", "any": "required", "none": "none"}.get(as_text(choice.get("type")))


def _tool(tool: Json) -> Json:
    function = drop_empty(
        name=tool.get("name"),
        description=tool.get("description"),
        parameters=tool.get("input_schema"),
        strict=tool.get("strict"),
    )
    return {
        "type": "function",
        "function": function,
        **drop_empty(**{name: tool.get(name) for name in ANTHROPIC_TOOL_FIELDS}),
    }


def _system_messages(system: object) -> list[Json]:
    if isinstance(system, str):
        return [{"role": "system", "content": system}]
    return [{"role": "system", "content": as_maps(system)}] if system else []


def _blocks(content: object) -> list[Json]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else as_maps(content)


def _portable(message: Json) -> bool:
    """Whether OpenAI's shape can say all of this message, in this order."""
    kinds = [as_text(block.get("type")) for block in _blocks(message.get("content"))]
    if message.get("role") == "assistant":
        order = [_ORDER.get(kind, 9) for kind in kinds]
        return 9 not in order and order == sorted(order)
    blocks = [b for block in _blocks(message.get("content")) for b in (block, *_blocks(block.get("content")))]
    results_first = sorted(kinds, key=lambda kind: kind != "tool_result") == kinds
    return message.get("role") == "user" and results_first and all(_sayable(block) for block in blocks)


def _sayable(block: Json) -> bool:
    return block.get("type") in ("text", "tool_result") or _part(block) is not None


def _messages(message: Json) -> list[Json]:
    blocks = _blocks(message.get("content"))
    if message.get("role") == "assistant":
        return [_assistant(blocks)]
    results = [_result(block) for block in blocks if block.get("type") == "tool_result"]
    parts = _parts(blocks)
    role = "system" if message.get("role") == "system" else "user"
    return [*results, {"role": role, "content": parts}] if parts else results


def _assistant(blocks: Sequence[Json]) -> Json:
    calls = [
        {
            "id": as_text(block.get("id")),
            "type": "function",
            "function": {
                "name": as_text(block.get("name")),
                "arguments": json_text(as_map(block.get("input"))),
            },
        }
        for block in blocks
        if block.get("type") == "tool_use"
    ]
    thinking = [signed_block(block) for block in blocks if block.get("type") in ("thinking", "redacted_thinking")]
    reasoning = "".join(as_text(block.get("thinking")) for block in thinking)
    parts = _parts(blocks)
    return {
        "role": "assistant",
        "content": parts or None,
        **drop_empty(
            tool_calls=calls,
            thinking_blocks=thinking,
            reasoning_content=reasoning or None,
        ),
    }


def _result(block: Json) -> Json:
    content = block.get("content")
    return {
        "role": "tool",
        "tool_call_id": as_text(block.get("tool_use_id")),
        "content": content if isinstance(content, str) else _parts(as_maps(content)),
        **drop_empty(
            is_error=True if block.get("is_error") else None,
            cache_control=block.get("cache_control"),
        ),
    }


def _parts(blocks: Sequence[Json]) -> list[Json]:
    parts: list[Json] = []
    for block in blocks:
        part = {"type": "text", "text": block.get("text")} if block.get("type") == "text" else _part(block)
        if part is not None:
            parts.append({**part, **drop_empty(cache_control=block.get("cache_control"))})
    return parts


def _part(block: Json) -> Json | None:
    source = as_map(block.get("source"))
    url = as_text(source.get("url"))
    if source.get("type") == "base64":
        url = f"data:{as_text(source.get('media_type'))};base64,{as_text(source.get('data'))}"
    if block.get("type") == "image" and url:
        return {"type": "image_url", "image_url": {"url": url}}
    if block.get("type") != "document":
        return None
    name = drop_empty(filename=block.get("title"))
    if source.get("type") == "base64" and source.get("media_type") == "application/pdf":
        return {"type": "file", "file": {"file_data": url, **name}}
    if source.get("type") in ("file", "url"):
        return {
            "type": "file",
            "file": {"file_id": source.get("file_id") or url, **name},
        }
    return None
