# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (this module reads JSON of any shape)
"""Rejects requests that OpenAI's Responses API would reject, with its error messages."""

from typing import Any, Final

from hotspare.drill.answers import opaque_id
from hotspare.drill.dialects.base import UNKNOWN_MODEL_PREFIX, unknown_fields
from hotspare.drill.dialects.openai_errors import invalid
from hotspare.drill.dialects.openai_validation import (
    NAME,
    check_numbers,
    check_strict_schema,
    empty_array,
    is_reasoning_model,
    missing,
    wrong_type,
)
from hotspare.drill.messages import Json

_KNOWN: Final = frozenset({
    "background", "context_management", "conversation", "include", "input", "instructions", "max_output_tokens",
    "max_tool_calls", "metadata", "model", "moderation", "parallel_tool_calls", "previous_response_id", "prompt",
    "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "reasoning", "safety_identifier", "service_tier",
    "store", "stream", "stream_options", "temperature", "text", "tool_choice", "tools", "top_logprobs", "top_p", "truncation",
    "user",
})  # fmt: skip
_ITEMS: Final = ("message", "reasoning", "function_call", "function_call_output")
_PARTS: Final = {
    "user": ("input_text", "input_image", "input_file"), "assistant": ("output_text", "refusal"),
    "system": ("input_text",), "developer": ("input_text",),
}  # fmt: skip
_CIPHERTEXT_PREFIX: Final = "gAAAAA"


def encrypted(model: str, seed: str) -> str:
    """The encrypted reasoning of a model. Other models cannot read it."""
    return _CIPHERTEXT_PREFIX + opaque_id("reasoning", model) + opaque_id(seed)


def validate(body: Json) -> None:
    """Raise `Rejection` for the first thing in `body` that the API would reject."""
    for name in unknown_fields(body, _KNOWN):
        raise invalid(f"Unknown parameter: '{name}'.", name, "unknown_parameter")
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise missing("model")
    if model.startswith(UNKNOWN_MODEL_PREFIX):
        raise invalid(f"The requested model '{model}' does not exist.", "model", "model_not_found")
    _check_numbers(model, body)
    items = body.get("input")
    if items is None:
        raise missing("input")
    if items == []:
        raise empty_array("input")
    if not isinstance(items, str):
        _check_items(model, items)
    _check_tools(body)
    _check_format(body)


def _check_numbers(model: str, body: Json) -> None:
    check_numbers(body)
    limit = body.get("max_output_tokens")
    if limit is not None and (not isinstance(limit, int) or limit < 16):
        rule = f"Expected a value >= 16, but got {limit} instead."
        text = f"Invalid 'max_output_tokens': integer below minimum value. {rule}"
        raise invalid(text, "max_output_tokens", "integer_below_min_value")
    if is_reasoning_model(model) and body.get("temperature") not in (None, 1):
        text = "Unsupported parameter: 'temperature' is not supported with this model."
        raise invalid(text, "temperature", "unsupported_parameter")
    if not is_reasoning_model(model) and "reasoning.encrypted_content" in (body.get("include") or ()):
        raise invalid("Encrypted content is not supported with this model.", "include")


def _check_items(model: str, items: list[Any]) -> None:
    calls: set[str] = set()
    answered: set[str] = set()
    for i, item in enumerate(items):
        place = f"input[{i}]"
        if not isinstance(item, dict):
            raise wrong_type(place, "an input item", "something else")
        kind = item.get("type", "message")
        if kind not in _ITEMS:
            supported = ", ".join(f"'{name}'" for name in _ITEMS)
            raise invalid(f"Invalid value: '{kind}'. Supported values are: {supported}.", place, "invalid_value")
        if kind == "message":
            _check_message(item, place)
        elif kind == "reasoning":
            _check_reasoning(model, items, i)
        else:
            ident = item.get("call_id")
            if not isinstance(ident, str):
                raise missing(f"{place}.call_id")
            if len(ident) > 64:
                rule = f"Expected a string with maximum length 64, but got a string with length {len(ident)} instead."
                text = f"Invalid '{place}.call_id': string too long. {rule}"
                raise invalid(text, f"{place}.call_id", "string_above_max_length")
            if kind == "function_call":
                _check_call(item, place)
                calls.add(ident)
            elif ident not in calls:
                raise invalid(f"No tool call found for function call output with call_id {ident}.", "input")
            else:
                answered.add(ident)
    for ident in sorted(calls - answered):
        raise invalid(f"No tool output found for function call {ident}.", "input")


def _check_call(item: Json, place: str) -> None:
    if not isinstance(item.get("name"), str):
        raise missing(f"{place}.name")
    if not isinstance(item.get("arguments"), str):
        raise wrong_type(f"{place}.arguments", "a string", "an object")


def _check_message(item: Json, place: str) -> None:
    role, content = item.get("role"), item.get("content")
    if role not in _PARTS:
        text = f"Invalid value: '{role}'. Supported values are: 'assistant', 'system', 'developer', and 'user'."
        raise invalid(text, f"{place}.role", "invalid_value")
    if isinstance(content, str):
        return
    if not isinstance(content, list):
        raise wrong_type(f"{place}.content", "one of a string or array of objects", "null")
    for j, part in enumerate(content):
        if part.get("type") not in _PARTS[role]:
            supported = ", ".join(f"'{name}'" for name in _PARTS[role])
            text = f"Invalid value: '{part.get('type')}'. Supported values are: {supported}."
            raise invalid(text, f"{place}.content[{j}].type", "invalid_value")


def _check_reasoning(model: str, items: list[Json], place: int) -> None:
    """Reasoning belongs to the item that follows it, and to the model that wrote it."""
    item = items[place]
    following = items[place + 1] if place + 1 < len(items) else {}
    ciphertext = str(item.get("encrypted_content") or "")
    own_items = following.get("type") in ("function_call", "reasoning") or following.get("role") == "assistant"
    if not own_items:
        text = f"Item '{item.get('id')}' of type 'reasoning' was provided without its required following item."
        raise invalid(text, "input")
    if not ciphertext.startswith(_CIPHERTEXT_PREFIX + opaque_id("reasoning", model)):
        text = f"The encrypted content {ciphertext[:4]}...{ciphertext[-4:]} could not be verified. Reason: Encrypted content could not be decrypted or parsed."
        raise invalid(text, None, "invalid_encrypted_content")


def _check_tools(body: Json) -> None:
    tools = body.get("tools") or []
    for i, tool in enumerate(tools):
        if tool.get("type") != "function":
            continue
        name = tool.get("name")
        if not isinstance(name, str):
            raise missing(f"tools[{i}].name")
        if not NAME.match(name):
            rule = "Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'."
            text = f"Invalid 'tools[{i}].name': string does not match pattern. {rule}"
            raise invalid(text, f"tools[{i}].name", "invalid_value")
    choice = body.get("tool_choice")
    if choice not in (None, "none", "auto") and not tools:
        raise invalid("Tool choice must be 'none' or 'auto' without 'tools'.", "tool_choice")
    if isinstance(choice, dict) and choice.get("name") not in [tool.get("name") for tool in tools]:
        raise invalid(f"Tool choice '{choice.get('name')}' not found in 'tools' parameter.", "tool_choice")


def _check_format(body: Json) -> None:
    form = (body.get("text") or {}).get("format") or {}
    if form.get("type") == "json_object" and "json" not in str(body["input"]).lower():
        text = "Response input messages must contain the word 'json' in some form to use 'text.format' of type 'json_object'."
        raise invalid(text, "input")
    if form.get("type") != "json_schema":
        return
    if not NAME.match(str(form.get("name", ""))):
        raise missing("text.format.name")
    schema = form.get("schema") or {}
    if form.get("strict") and schema.get("type") == "object":
        check_strict_schema(form["name"], schema, "text.format.schema")
