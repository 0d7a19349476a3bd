"""Requests that real providers accepted: read into a ChatRequest and written again, they are equivalent JSON."""

import json
from collections.abc import Callable
from typing import Any

from hotspare.target import Target

from tests.conformance.traffic import ALL, Recorded, named, needs_recordings

pytestmark = needs_recordings

OWN_TOOLS = {"openrouter/plain-reasoning-1.yaml", "openrouter/stream-text-2.yaml"}
"""Requests with a tool that only this provider has: it is in `extra["openai"]["tools"]`."""
NOT_IN_OPENAI_SHAPE = {
    "anthropic/plain-text-2.yaml": "a system message with tool_addition blocks inside the history",
    "anthropic/plain-text-3.yaml": "a system message inside the history",
    "anthropic/plain-tool-call-3.yaml": "a system message inside the history",
    "anthropic/plain-text-4.yaml": "blocks of the code execution tool and a container upload",
    "anthropic/stream-tool-result-1.yaml": "blocks of the server's tool search",
    "anthropic/plain-image+tool-result-1.yaml": "an image by the id of Anthropic's Files API",
    "anthropic/plain-tool-call+tool-result-2.yaml": "tool references inside a tool result",
    "anthropic/plain-tool-call+tool-result-3.yaml": "tool references inside a tool result",
    "anthropic/plain-tool-call+tool-result-4.yaml": "tool references inside a tool result",
    "anthropic/plain-tool-result-3.yaml": "tool references inside a tool result",
    "anthropic/plain-tool-result-4.yaml": "tool references inside a tool result",
}
"""Recorded histories that OpenAI's shape cannot express: they are in `extra`, whole, for their own dialect."""


@named(ALL)
def test_a_recorded_request_is_read_and_written_unchanged(item: Recorded) -> None:
    """The same JSON except for synonyms, the same URL, and no unsupported fields."""
    dialect, request = item.wire.dialect, item.chat_request
    base = item.url.partition("/publishers/")[0] if "/publishers/" in item.url else item.url.partition("/models/")[0]
    target = Target(f"{item.preset.name}/{item.model}", base_url=base)
    assert item.wire.unsupported(request, target) == ()
    written = item.wire.write(request, target, stream=item.stream)
    assert CANONICAL[dialect](written) == CANONICAL[dialect](dict(item.request))
    own = request.extra.get(dialect, {})
    assert ("tools" in own) == (item.name in OWN_TOOLS) or dialect != "openai"
    assert ("messages" in own or "contents" in own) == (item.name in NOT_IN_OPENAI_SHAPE)
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


CANONICAL: dict[str, Callable[[Any], Any]] = {"openai": openai, "anthropic": anthropic, "gemini": gemini}
