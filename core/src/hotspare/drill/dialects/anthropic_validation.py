# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (this module reads JSON of any shape)
"""Rejects requests that Anthropic would reject, with Anthropic's error messages."""

import re
from typing import Any, Final

from hotspare.drill.answers import opaque_id
from hotspare.drill.dialects.base import Rejection, unknown_fields
from hotspare.drill.messages import Json

_KNOWN: Final = frozenset({
    "model", "messages", "max_tokens", "metadata", "stop_sequences", "stream", "system", "temperature", "thinking",
    "tool_choice", "tools", "top_k", "top_p", "service_tier", "container", "output_config", "output_format",
    "mcp_servers", "context_management", "cache_control", "inference_geo", "speed", "diagnostics", "betas",
    "user_profile_id", "workspace_id",
})  # fmt: skip
_ID: Final = re.compile(r"^[a-zA-Z0-9_-]+$")
_BLOCKS: Final = (
    "text", "image", "tool_use", "tool_result", "thinking", "redacted_thinking", "document", "search_result",
)  # fmt: skip
_ANTHROPIC_SIGNATURE: Final = re.compile(r"E[A-Za-z0-9+/=]{199,}")


def signature(thinking: str) -> str:
    """The signature of a thinking block. A client that sends the block back must send it unchanged."""
    return "sig" + opaque_id("thinking", thinking, length=60)


def _is_signed(given: str, thinking: str) -> bool:
    """Whether `given` is the signature of this text, or looks like one of Anthropic's (base64 of a protobuf), which cannot be checked."""
    return given == signature(thinking) or _ANTHROPIC_SIGNATURE.fullmatch(given) is not None


def validate(body: Json) -> None:
    """Raise `Rejection` for the first thing in `body` that Anthropic would reject."""
    for name in ("model", "max_tokens", "messages"):
        if name not in body:
            raise invalid(f"{name}: Field required")
    for name in unknown_fields(body, _KNOWN):
        raise invalid(f"{name}: Extra inputs are not permitted")
    if not isinstance(body["max_tokens"], int) or body["max_tokens"] < 1:
        raise invalid("max_tokens: Input should be greater than or equal to 1")
    temperature = body.get("temperature")
    if temperature is not None and not (isinstance(temperature, int | float) and 0 <= temperature <= 1):
        raise invalid("temperature: range: 0..1")
    if any(not s.strip() for s in body.get("stop_sequences") or ()):
        raise invalid("stop_sequences: each stop sequence must contain non-whitespace")
    _check_thinking(body)
    _check_tools(body)
    _check_output(body)
    messages = body["messages"]
    if not isinstance(messages, list) or not messages:
        raise invalid("messages: at least one message is required")
    _check_messages(messages)


def _check_thinking(body: Json) -> None:
    thinking = body.get("thinking") or {}
    kind = thinking.get("type", "disabled")
    if kind not in ("enabled", "disabled", "adaptive"):
        expected = "does not match any of the expected tags: 'adaptive', 'disabled', 'enabled'"
        raise invalid(f"thinking: Input tag '{kind}' found using 'type' {expected}")
    if kind == "enabled":
        budget = thinking.get("budget_tokens")
        if not isinstance(budget, int) or budget < 1024:
            raise invalid("thinking.enabled.budget_tokens: Input should be greater than or equal to 1024")
        if budget >= body["max_tokens"]:
            raise invalid("`max_tokens` must be greater than `thinking.budget_tokens`.")
    if kind != "disabled":
        if body.get("temperature") not in (None, 1):
            raise invalid("`temperature` may only be set to 1 when thinking is enabled.")
        if (body.get("tool_choice") or {}).get("type") in ("any", "tool"):
            raise invalid("Thinking may not be enabled when tool_choice forces tool use.")
        if (last := body["messages"][-1:]) and last[0].get("role") == "assistant":
            raise invalid(
                "When `thinking` is enabled, a final `assistant` message must start with a thinking "
                "block. Prefill is not supported."
            )


def _check_tools(body: Json) -> None:
    tools: list[Json] = body.get("tools") or []
    choice = body.get("tool_choice") or {}
    if choice and choice.get("type") != "none" and not tools:
        raise invalid("tool_choice may only be specified while providing tools")
    for i, tool in enumerate(tools):
        if not re.fullmatch(r"[a-zA-Z0-9_-]{1,128}", str(tool.get("name", ""))):
            raise invalid(f"tools.{i}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'")
        if tool.get("type", "custom") == "custom" and (tool.get("input_schema") or {}).get("type") != "object":
            raise invalid(f"tools.{i}.custom.input_schema.type: Field required")
    if choice.get("type") == "tool" and choice.get("name") not in [t["name"] for t in tools]:
        raise invalid(f"Tool '{choice.get('name')}' not found in provided tools")


def _check_output(body: Json) -> None:
    form = (body.get("output_config") or {}).get("format") or body.get("output_format")
    if not form:
        return
    if form.get("type") != "json_schema" or not isinstance(form.get("schema"), dict):
        raise invalid("output_config.format.schema: Field required")
    if form["schema"].get("type") == "object" and form["schema"].get("additionalProperties") is not False:
        rule = "For 'object' type, 'additionalProperties' must be explicitly set to false"
        raise invalid(f"output_config.format.schema: {rule}")


def _check_messages(messages: list[Any]) -> None:
    """Several turns of one role in a row are valid: "Consecutive `user` or `assistant` turns in your request will be
    combined into a single turn" (the SDK's documentation of `messages`)."""
    previous_calls: list[str] = []
    for i, message in enumerate(messages):
        role = message.get("role") if isinstance(message, dict) else None
        if role is None:
            raise invalid(f"messages.{i}.role: Field required")
        if role not in ("user", "assistant"):
            raise invalid(
                f'messages: Unexpected role "{role}". The Messages API accepts a top-level `system` parameter, '
                'not "system" as an input message role.'
            )
        if i == 0 and role != "user":
            raise invalid('messages: first message must use the "user" role')
        _check_content(message, i, last=i == len(messages) - 1)
        parts: list[Json] = message["content"] if isinstance(message["content"], list) else []
        results = [p.get("tool_use_id") for p in parts if p["type"] == "tool_result"]
        _check_results(i, results, previous_calls)
        previous_calls = [p["id"] for p in parts if p["type"] == "tool_use"]
    if previous_calls:
        raise _unanswered(len(messages) - 1, previous_calls)


def _check_results(i: int, results: list[Any], previous_calls: list[str]) -> None:
    for ident in results:
        if ident not in previous_calls:
            raise invalid(
                f"messages.{i}.content.0: unexpected `tool_use_id` found in `tool_result` blocks: {ident}. "
                "Each `tool_result` block must have a corresponding `tool_use` block in the previous message."
            )
    if missing := [c for c in previous_calls if c not in results]:
        raise _unanswered(i - 1, missing)


def _unanswered(i: int, ids: list[str]) -> Rejection:
    return invalid(
        f"messages.{i}: `tool_use` ids were found without `tool_result` blocks immediately after: {', '.join(ids)}. "
        "Each `tool_use` block must have a corresponding `tool_result` block in the next message."
    )


def _check_content(message: Json, i: int, *, last: bool) -> None:
    content = message.get("content")
    final = last and message["role"] == "assistant"
    if content is None:
        raise invalid(f"messages.{i}.content: Field required")
    if not content and not final:
        raise invalid(
            f"messages.{i}: all messages must have non-empty content except for the optional final assistant message"
        )
    if isinstance(content, str):
        if final and content != content.rstrip():
            raise invalid("messages: final assistant content cannot end with trailing whitespace")
        return
    if not isinstance(content, list):
        raise invalid(f"messages.{i}.content: Input should be a valid list")
    for j, part in enumerate(content):
        _check_part(part, f"messages.{i}.content.{j}", message["role"])
    if final and content and content[-1]["type"] == "text" and content[-1]["text"] != content[-1]["text"].rstrip():
        raise invalid("messages: final assistant content cannot end with trailing whitespace")


def _check_part(part: Any, place: str, role: str) -> None:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind not in _BLOCKS:
        raise invalid(
            f"{place}: Input tag '{kind}' found using 'type' does not match any of the expected tags: "
            f"{', '.join(repr(b) for b in _BLOCKS)}"
        )
    if kind == "text" and not part.get("text"):
        raise invalid("messages: text content blocks must be non-empty")
    if kind == "text" and not part["text"].strip():
        raise invalid("messages: text content blocks must contain non-whitespace text")
    if kind in ("tool_use", "tool_result"):
        name = "id" if kind == "tool_use" else "tool_use_id"
        if not _ID.match(str(part.get(name, ""))):
            raise invalid(f"{place}.{kind}.{name}: String should match pattern '^[a-zA-Z0-9_-]+$'")
    if kind == "tool_use" and (role != "assistant" or not isinstance(part.get("input"), dict)):
        raise invalid(f"{place}.tool_use.input: Input should be a valid dictionary")
    if kind == "tool_result" and role != "user":
        raise invalid(f"{place}: `tool_result` blocks can only be in `user` messages")
    if kind == "thinking" and not _is_signed(str(part.get("signature")), part.get("thinking", "")):
        raise invalid(f"{place}: Invalid `signature` in `thinking` block")


def invalid(message: str) -> Rejection:
    """A 400 in Anthropic's shape."""
    error = {"type": "invalid_request_error", "message": message}
    return Rejection(400, {"type": "error", "error": error, "request_id": "req_drill"})
