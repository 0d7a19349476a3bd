"""Whether an answer is accepted, by a function of the caller or by built-in rules. If not, the call fails over."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal

from hotspare.errors import MissingExtra
from hotspare.messages import ChatReply, ChatRequest

Rule = Literal["schema", "tool_arguments", "refusal"]
"""`schema`: the text is JSON that meets the requested `response_format`. `tool_arguments`: the arguments of each tool call are a
JSON object with all required fields. `refusal`: the model did not refuse."""
AcceptFunction = Callable[[ChatReply], bool | str]
"""Returns True to accept the answer; False, or a text with the reason, to reject it."""
Accept = AcceptFunction | Collection[Rule]


def objection(reply: ChatReply, request: ChatRequest, accept: Accept) -> str:
    """Why the answer is rejected; "" if it is accepted."""
    if callable(accept):
        verdict = accept(reply)
        if isinstance(verdict, str):
            return verdict
        return "" if verdict else "it was not accepted"
    return next((why for rule in sorted(accept) if (why := _RULES[rule](reply, request))), "")


def _refusal(reply: ChatReply, request: ChatRequest) -> str:
    return "the model refused" if reply.refusal or reply.finish_reason == "content_filter" else ""


def _schema(reply: ChatReply, request: ChatRequest) -> str:
    response_format = request.response_format or {}
    if reply.tool_calls or response_format.get("type") not in ("json_object", "json_schema"):
        return ""
    try:
        value = json.loads(reply.text)
    except ValueError:
        return "its text is not JSON"
    json_schema: Mapping[str, Any] = response_format.get("json_schema") or {}
    schema = json_schema.get("schema")
    return "" if schema is None else _violation("its text", value, schema)


def _tool_arguments(reply: ChatReply, request: ChatRequest) -> str:
    schemas: dict[str, Any] = {
        tool["function"]["name"]: tool["function"].get("parameters") for tool in request.tools if "function" in tool
    }
    for call in reply.tool_calls:
        try:
            value: Any = json.loads(call.arguments or "{}")
        except ValueError:
            return f"the arguments of {call.name} are not JSON"
        if not isinstance(value, dict):
            return f"the arguments of {call.name} are not a JSON object"
        schema: dict[str, Any] = schemas.get(call.name) or {}
        required: list[str] = schema.get("required") or []
        missing = [name for name in required if name not in value]
        if missing:
            return f"the arguments of {call.name} lack {', '.join(missing)}"
    return ""


def _violation(what: str, value: Any, schema: Any) -> str:
    try:
        from jsonschema import Draft202012Validator
    except ImportError:
        raise MissingExtra("accept={'schema'}", "schema") from None
    validator: Any = Draft202012Validator(schema)
    error: Any = next(iter(validator.iter_errors(value)), None)
    if error is None:
        return ""
    path = "".join(f"[{step!r}]" for step in error.absolute_path)
    return f"{what} does not meet the schema{path and ' at ' + path}: {error.validator}"


_RULES: dict[str, Callable[[ChatReply, ChatRequest], str]] = {
    "refusal": _refusal,
    "schema": _schema,
    "tool_arguments": _tool_arguments,
}
