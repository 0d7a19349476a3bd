# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (this module reads JSON of any shape)
"""Rejects requests that OpenAI would reject, with recorded error messages where there are any."""

import re
from typing import Any, Final

from hotspare.drill.dialects.base import Rejection, unknown_fields
from hotspare.drill.dialects.openai_errors import invalid
from hotspare.drill.messages import Json

_KNOWN: Final = frozenset({
    "messages", "model", "audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs",
    "max_completion_tokens", "max_tokens", "metadata", "modalities", "moderation", "n", "parallel_tool_calls",
    "prediction", "presence_penalty", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention",
    "reasoning_effort", "response_format", "safety_identifier", "seed", "service_tier", "stop", "store", "stream",
    "stream_options", "temperature", "tool_choice", "tools", "top_logprobs", "top_p", "user", "verbosity",
    "web_search_options",
})  # fmt: skip
# further fields of compatible providers: DeepSeek, Mistral, OpenRouter, Groq, Together, vLLM, Ollama…
_COMPATIBLE: Final = _KNOWN | frozenset({
    "thinking", "random_seed", "safe_prompt", "prompt_mode", "reasoning", "include_reasoning", "reasoning_format",
    "provider", "models", "route", "transforms", "plugins", "top_k", "top_a", "min_p", "repetition_penalty",
    "best_of", "ignore_eos", "guided_json", "guided_regex", "chat_template_kwargs", "extra_body", "documents",
    "exclude_domains", "citation_options", "search_parameters", "options", "keep_alive", "think",
    "context_length_exceeded_behavior", "usage", "continue_final_message", "add_generation_prompt",
})  # fmt: skip
_OWN_MODELS: Final = re.compile(r"(?:openai/)?(?:gpt-|o\d|chatgpt)")
_REASONING_MODELS: Final = re.compile(r"(?:openai/)?(?:o\d|gpt-5)(?!.*chat)")
_ONLY_RESPONSES: Final = re.compile(r"(?:gpt-|o\d).*(?:-pro|codex)")
_TOOLS_BY_RESPONSES: Final = re.compile(r"gpt-(?:5\.[4-9]|[6-9])(?!.*chat)")
_ROLES: Final = ("system", "developer", "assistant", "user", "tool", "function")
_PARTS: Final = {"user": ("text", "image_url", "input_audio", "file"), "assistant": ("text", "refusal")}
NAME: Final = re.compile(r"^[a-zA-Z0-9_-]{1,64}$")


def hides_reasoning(model: str) -> bool:
    """Whether reasoning is billed but not shown, as for OpenAI's own models. Compatible providers stream it as
    `reasoning_content`."""
    return _OWN_MODELS.match(model) is not None


def is_reasoning_model(model: str) -> bool:
    """Whether OpenAI's model of this name reasons."""
    return _REASONING_MODELS.match(model) is not None


def validate(model: str, body: Json) -> None:
    """Raise `Rejection` for the first thing in `body` that OpenAI would reject."""
    for name in unknown_fields(body, _KNOWN if _OWN_MODELS.match(model) else _COMPATIBLE):
        raise invalid(f"Unknown parameter: '{name}'.", name, "unknown_parameter")
    check_numbers(body)
    if isinstance(stop := body.get("stop"), list) and len(stop) > 4:
        rule = f"array with maximum length 4, but got an array with length {len(stop)} instead."
        raise invalid(f"Invalid 'stop': array too long. Expected an {rule}", "stop", "array_above_max_length")
    if is_reasoning_model(model):
        _check_reasoning(body)
    _check_api(model, body)
    if body.get("stream_options") is not None and not body.get("stream"):
        raise invalid("The 'stream_options' parameter is only allowed when 'stream' is enabled.", "stream_options")
    messages = body.get("messages")
    if not isinstance(messages, list):
        raise missing("messages")
    if not messages:
        raise empty_array("messages")
    _check_messages(model, messages)
    _check_tools(body)
    _check_format(body, messages)


def missing(place: str) -> Rejection:
    return invalid(f"Missing required parameter: '{place}'.", place, "missing_required_parameter")


def empty_array(place: str) -> Rejection:
    rule = "Expected an array with minimum length 1, but got an empty array instead."
    return invalid(f"Invalid '{place}': empty array. {rule}", place, "empty_array")


def wrong_type(place: str, expected: str, found: str) -> Rejection:
    return invalid(f"Invalid type for '{place}': expected {expected}, but got {found} instead.", place, "invalid_type")


def check_numbers(body: Json) -> None:
    for name, low, high in (
        ("temperature", 0, 2), ("top_p", 0, 1), ("frequency_penalty", -2, 2), ("presence_penalty", -2, 2),
    ):  # fmt: skip
        value = body.get(name)
        if value is None:
            continue
        if not isinstance(value, int | float):
            raise wrong_type(name, "a decimal", "a string")
        if value > high:
            rule = f"Expected a value <= {high}, but got {value} instead."
            raise invalid(f"Invalid '{name}': decimal above maximum value. {rule}", name, "decimal_above_max_value")
        if value < low:
            rule = f"Expected a value >= {low}, but got {value} instead."
            raise invalid(f"Invalid '{name}': decimal below minimum value. {rule}", name, "decimal_below_min_value")
    for name in ("max_tokens", "max_completion_tokens"):
        value = body.get(name)
        if value is not None and (not isinstance(value, int) or value < 1):
            rule = f"Expected a value >= 1, but got {value} instead."
            raise invalid(f"Invalid '{name}': integer below minimum value. {rule}", name, "integer_below_min_value")


def _check_reasoning(body: Json) -> None:
    start = "Unsupported parameter: 'max_tokens' is not supported with this model."
    if body.get("max_tokens") is not None:
        raise invalid(f"{start} Use 'max_completion_tokens' instead.", "max_tokens", "unsupported_parameter")
    if body.get("temperature") not in (None, 1):
        start = f"Unsupported value: 'temperature' does not support {body['temperature']} with this model."
        raise invalid(f"{start} Only the default (1) value is supported.", "temperature", "unsupported_value")


def _check_api(model: str, body: Json) -> None:
    """Reject models that only the Responses API serves, and tools together with reasoning where only that API supports both."""
    if _ONLY_RESPONSES.match(model):
        text = "This model is only supported in v1/responses and not in v1/chat/completions."
        raise Rejection(404, invalid(text, "model").body)
    if _TOOLS_BY_RESPONSES.match(model) and body.get("tools") and body.get("reasoning_effort") != "none":
        text = f"Function tools with reasoning_effort are not supported for {model} in /v1/chat/completions."
        raise invalid(f"{text} Please use /v1/responses instead.", "reasoning_effort")


def _check_messages(model: str, messages: list[Any]) -> None:
    open_calls: list[str] = []
    for i, message in enumerate(messages):
        place = f"messages[{i}]"
        role = message.get("role") if isinstance(message, dict) else None
        if role is None:
            raise missing(f"{place}.role")
        if role not in _ROLES:
            supported = "'system', 'assistant', 'user', 'function', 'tool', and 'developer'"
            text = f"Invalid value: '{role}'. Supported values are: {supported}."
            raise invalid(text, f"{place}.role", "invalid_value")
        _check_content(model, message, f"{place}.content")
        if role == "tool":
            if message.get("tool_call_id") not in open_calls:
                text = "messages with role 'tool' must be a response to a preceeding message with 'tool_calls'."
                raise invalid(f"Invalid parameter: {text}", f"{place}.role")
            open_calls.remove(message["tool_call_id"])
            continue
        if open_calls:
            raise _unanswered(open_calls, place)
        open_calls = _check_tool_calls(model, message, f"{place}.tool_calls")
    if open_calls:
        raise _unanswered(open_calls, "messages")


def _unanswered(open_calls: list[str], place: str) -> Rejection:
    return invalid(
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. "
        f"The following tool_call_ids did not have response messages: {', '.join(open_calls)}",
        place,
    )


def _check_content(model: str, message: Json, place: str) -> None:
    content, role = message.get("content"), message["role"]
    if content is None:
        replaced = message.get("tool_calls") or message.get("refusal") or message.get("audio")
        if role != "assistant" or not replaced:
            raise invalid("Invalid value for 'content': expected a string, got null.", place)
        return
    if isinstance(content, str):
        return
    if not isinstance(content, list):
        raise wrong_type(place, "one of a string or array of objects", "an object")
    allowed = _PARTS.get(role, ("text",))
    if role == "assistant" and model.startswith(
        "magistral"
    ):  # Mistral's reasoning models take their own reasoning back
        allowed = (*allowed, "thinking")
    for j, part in enumerate(content):
        kind = part.get("type") if isinstance(part, dict) else None
        if kind not in allowed:
            text = f"Invalid value: '{kind}'. Supported values are: {', '.join(repr(a) for a in allowed)}."
            raise invalid(text, f"{place}[{j}].type", "invalid_value")


def _check_tool_calls(model: str, message: Json, place: str) -> list[str]:
    calls: list[Json] | None = message.get("tool_calls")
    if calls is not None and not calls:
        raise empty_array(place)
    ids: list[str] = []
    for j, call in enumerate(calls or ()):
        ident: object = call.get("id")
        if not isinstance(ident, str):
            raise missing(f"{place}[{j}].id")
        if len(ident) > 40:
            rule = f"Expected a string with maximum length 40, but got a string with length {len(ident)} instead."
            text = f"Invalid '{place}[{j}].id': string too long. {rule}"
            raise invalid(text, f"{place}[{j}].id", "string_above_max_length")
        if "mistral" in model.lower() and not re.fullmatch(r"[a-zA-Z0-9]{9}", ident):
            raise invalid(f"Tool call id was {ident} but must be a-z, A-Z, 0-9, with a length of 9.", None, "3280")
        arguments: object = call.get("function", {}).get("arguments")
        if not isinstance(arguments, str):
            raise wrong_type(f"{place}[{j}].function.arguments", "a string", "an object")
        ids.append(ident)
    return ids


def _check_tools(body: Json) -> None:
    tools = body.get("tools")
    if tools == []:
        raise empty_array("tools")
    if not tools:
        for name in ("tool_choice", "parallel_tool_calls"):
            if body.get(name) not in (None, "none"):
                raise invalid(f"Invalid value for '{name}': '{name}' is only allowed when 'tools' are specified.", name)
        return
    names = [_tool_name(tool, f"tools[{i}].function.name") for i, tool in enumerate(tools)]
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and (name := choice.get("function", {}).get("name")) not in names:
        raise invalid(f"Tool choice '{name}' not found in 'tools' parameter.", "tool_choice")


def _tool_name(tool: Any, place: str) -> str:
    function = tool.get("function") if isinstance(tool, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    if not isinstance(name, str):
        raise missing(place)
    if not NAME.match(name):
        rule = "Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'."
        raise invalid(f"Invalid '{place}': string does not match pattern. {rule}", place, "invalid_value")
    return name


def _check_format(body: Json, messages: list[Any]) -> None:
    form = body.get("response_format") or {}
    if form.get("type") == "json_object" and "json" not in str(messages).lower():
        text = "must contain the word 'json' in some form, to use 'response_format' of type 'json_object'."
        raise invalid(f"'messages' {text}", "messages")
    if form.get("type") != "json_schema":
        return
    wanted = form.get("json_schema")
    if not isinstance(wanted, dict) or not NAME.match(str(wanted.get("name", ""))):
        raise missing("response_format.json_schema.name")
    schema = wanted.get("schema") or {}
    if wanted.get("strict") and schema.get("type") == "object":
        check_strict_schema(wanted["name"], schema)


def check_strict_schema(name: str, schema: Json, place: str = "response_format") -> None:
    start = f"Invalid schema for response_format '{name}': In context=(), "
    if schema.get("additionalProperties") is not False:
        raise invalid(start + "'additionalProperties' is required to be supplied and to be false.", place)
    absent = [name for name in schema.get("properties", {}) if name not in schema.get("required", ())]
    if absent:
        rule = "is required to be supplied and to be an array including every key in properties."
        raise invalid(f"{start}'required' {rule} Missing '{absent[0]}'.", place)
