"""Requests that real providers accepted: read into a ChatRequest and written again, they are equivalent JSON."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from hotspare.target import Target

from tests.conformance.traffic import ALL, Recorded, named, needs_recordings

pytestmark = needs_recordings

OPENAI_SHAPE = {
    "anthropic": {"text", "image", "document", "tool_use", "tool_result", "thinking", "redacted_thinking"},
    "responses": {
        "message", "reasoning", "function_call", "function_call_output", "input_text", "output_text", "input_image", "input_file",
        "reasoning_text", "summary_text",
    },
}  # fmt: skip
"""The types of blocks and items that OpenAI's shape of 2023 can express, by dialect. Others are server tools' doings."""


def blocks_of(value: Any) -> Iterator[dict[str, Any]]:
    """The objects with a type in a history, those of tool results included."""
    if isinstance(value, list):
        for item in value:
            yield from blocks_of(item)
    elif isinstance(value, dict):
        if isinstance(value.get("type"), str):
            yield value
        for name in ("content", "output", "summary"):
            yield from blocks_of(value.get(name))


def has_openai_shape(item: Recorded) -> bool:
    """Whether OpenAI's shape can express the recorded history: no blocks of server tools, no files by a provider's own id, no
    system message inside (Anthropic), no marks that are the provider's own, no call whose result does not follow it."""
    history, dialect = item.request.get("input", item.request.get("messages", [])), item.wire.dialect
    if dialect not in OPENAI_SHAPE:
        return True
    blocks = list(blocks_of(history))
    own = any("file_id" in json.dumps(b.get("source", b)) for b in blocks if b["type"] in ("image", "input_image"))
    own = own or any(block.keys() & {"namespace", "prompt_cache_breakpoint"} for block in blocks)
    system = dialect == "anthropic" and any(message["role"] == "system" for message in history)
    return (
        not (own or system or "No tool output found" in item.text)
        and {block["type"] for block in blocks} <= OPENAI_SHAPE[dialect]
    )


def own_tools(item: Recorded) -> bool:
    """Whether the request has a tool of the provider's own."""
    return any(tool.get("type", "function") != "function" for tool in item.request.get("tools", []))


@named(ALL)
def test_a_recorded_request_is_read_and_written_unchanged(item: Recorded) -> None:
    """The same JSON except for synonyms, the same URL, and no unsupported fields."""
    dialect, request = item.wire.dialect, item.chat_request
    base = item.url.partition("/publishers/")[0] if "/publishers/" in item.url else item.url.partition("/models/")[0]
    target = Target(f"{item.preset.name}/{item.model}", base_url=base)
    if item.status == 400 and item.wire.unsupported(request, target):
        return  # hotspare would not have sent what the provider refused
    assert item.wire.unsupported(request, target) == ()
    written = item.wire.write(request, target, stream=item.stream)
    assert CANONICAL[dialect](written) == CANONICAL[dialect](dict(item.request))
    own = request.extra.get(dialect, {})
    assert dialect not in ("openai", "responses") or ("tools" in own) == own_tools(item)
    assert ({"messages", "contents", "input"}.isdisjoint(own)) == has_openai_shape(item)
    if dialect == "gemini":
        assert item.wire.url(base, target, stream=item.stream) == item.url
    elif item.stream and dialect == "openai" and item.preset.name != "mistral":
        assert written["stream_options"] == {"include_usage": True}


# --- equivalent JSON -------------------------------------------------------------------------------------------------


def openai(body: dict[str, Any]) -> dict[str, Any]:
    """Equal: absent, null and empty; both names of max_tokens; a tool without type; tool-call ids by their order."""

    def message(raw: dict[str, Any]) -> dict[str, Any]:
        result = {name: value for name, value in raw.items() if value not in (None, "", [], False)}
        if "tool_calls" in result:
            result["tool_calls"] = [{k: v for k, v in call.items() if k != "index"} for call in raw["tool_calls"]]
        return result

    result = {name: value for name, value in body.items() if value not in (None, [], False)}
    result.pop("stream_options", None)
    if "max_completion_tokens" in result:
        result["max_tokens"] = result.pop("max_completion_tokens")
    if "tools" in result:
        result["tools"] = [{"type": "function", **tool} for tool in result["tools"]]
    result["messages"] = [message(raw) for raw in body["messages"]]
    return _renamed(result)


def _renamed(body: dict[str, Any]) -> dict[str, Any]:
    """Ids replaced by their order: one recorded id is longer than OpenAI allows, and is shortened."""
    found = [call["id"] for message in body["messages"] for call in message.get("tool_calls", [])]
    text = json.dumps(body["messages"])
    for number, call_id in enumerate(dict.fromkeys(found)):
        text = text.replace(json.dumps(call_id), json.dumps(f"id-{number}"))
    return {**body, "messages": json.loads(text)}


def responses(body: dict[str, Any]) -> dict[str, Any]:
    """Equal: absent, null and false; a text and its part; an empty message; ids of calls, which OpenAI does not need. What is
    stored and whether reasoning comes encrypted is hotspare's own choice."""

    def item(raw: dict[str, Any]) -> dict[str, Any]:
        dropped = {"id"} if raw.get("type") == "function_call" else set()
        return {k: v for k, v in raw.items() if k not in dropped and v is not None}

    own = {"store", "include", "stream"}
    result = {k: v for k, v in body.items() if k not in own and v is not None}
    result["input"] = [item(i) for i in body["input"] if i.get("content") != ""]
    if "tools" in body:
        result["tools"] = [{k: v for k, v in tool.items() if v is not None} for tool in body["tools"]]
    return result


def anthropic(body: dict[str, Any]) -> dict[str, Any]:
    """Equal: text and its block; absent and false."""

    def blocks(content: Any) -> Any:
        return [{"type": "text", "text": content}] if isinstance(content, str) else [block(b) for b in content]

    def block(b: dict[str, Any]) -> dict[str, Any]:
        result = {k: v for k, v in b.items() if not (k == "is_error" and v is False)}
        return {**result, "content": blocks(b["content"])} if b["type"] == "tool_result" else result

    result = {k: v for k, v in body.items() if v is not False}
    result["messages"] = [{**m, "content": blocks(m["content"])} for m in body["messages"]]
    if "system" in body:
        result["system"] = blocks(body["system"])
    return result


_OPAQUE = {"args", "response", "parameters", "parametersJsonSchema", "responseSchema", "responseJsonSchema"}


def gemini(value: Any, name: str = "") -> Any:
    """Equal: snake and camel case, Google's two schema dialects, both base64 alphabets, absent and empty."""
    if name in _OPAQUE:
        return _schema(value) if "chema" in name or name == "parameters" else value
    if isinstance(value, list):
        return [gemini(item) for item in value]
    if name == "data" and isinstance(value, str):
        return value.replace("-", "+").replace("_", "/").rstrip("=")
    if not isinstance(value, dict):
        return value
    renamed: dict[str, Any] = {}
    for key, inner in value.items():
        first, *rest = key.split("_")
        new = first + "".join(word.capitalize() for word in rest)
        renamed[new] = gemini([inner] if new == "tools" and isinstance(inner, dict) else inner, new)
    for old, new in (("responseSchema", "responseJsonSchema"), ("parameters", "parametersJsonSchema")):
        if old in renamed:
            renamed[new] = renamed.pop(old)
    if "contents" in renamed:
        renamed["contents"] = _merged(renamed["contents"])
    return {k: v for k, v in renamed.items() if not (k == "generationConfig" and v == {})}


def _merged(contents: list[Any]) -> list[Any]:
    """Adjacent contents of one role merged: Gemini reads both alike."""
    result: list[Any] = []
    for content in contents:
        if result and result[-1]["role"] == content["role"]:
            result[-1] = {**content, "parts": result[-1]["parts"] + content["parts"]}
        else:
            result.append(content)
    return result


def _schema(value: Any) -> Any:
    if isinstance(value, list):
        return [_schema(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {{"any_of": "anyOf"}.get(k, k): v for k, v in value.items() if k != "property_ordering"}
    return {k: v.lower() if k == "type" and isinstance(v, str) else _schema(v) for k, v in kept.items()}


CANONICAL: dict[str, Callable[[Any], Any]] = {
    "openai": openai, "responses": responses, "anthropic": anthropic, "gemini": gemini,
}  # fmt: skip
