# Reads any JSON that comes: what is narrowed from Any stays partly unknown to pyright, which is the point here.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""What OpenAI refuses before it answers, in its own words where they were recorded."""

import re
from typing import Any, Final

from hotspare.drill.dialects.base import Json, unknown_fields
from hotspare.drill.dialects.openai_errors import invalid

_KNOWN: Final = frozenset(
    [
        "messages",
        "model",
        "audio",
        "frequency_penalty",
        "function_call",
        "functions",
        "logit_bias",
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "metadata",
        "modalities",
        "moderation",
        "n",
        "parallel_tool_calls",
        "prediction",
        "presence_penalty",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "reasoning_effort",
        "response_format",
        "safety_identifier",
        "seed",
        "service_tier",
        "stop",
        "store",
        "stream",
        "stream_options",
        "temperature",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "user",
        "verbosity",
        "web_search_options",
    ]
)
# what compatible providers take beside OpenAI's own: DeepSeek, Mistral, OpenRouter, Groq, Together, vLLM, Ollama…
_COMPATIBLE: Final = _KNOWN | frozenset(
    [
        "thinking",
        "random_seed",
        "safe_prompt",
        "prompt_mode",
        "reasoning",
        "include_reasoning",
        "reasoning_format",
        "provider",
        "models",
        "route",
        "transforms",
        "plugins",
        "top_k",
        "top_a",
        "min_p",
        "repetition_penalty",
        "best_of",
        "ignore_eos",
        "guided_json",
        "guided_regex",
        "chat_template_kwargs",
        "extra_body",
        "documents",
        "exclude_domains",
        "citation_options",
        "search_parameters",
        "options",
        "keep_alive",
        "think",
        "context_length_exceeded_behavior",
        "usage",
    ]
)
_OWN_MODELS: Final = re.compile(r"(?:openai/)?(?:gpt-|o\d|chatgpt)")
_REASONING_MODELS: Final = re.compile(r"(?:openai/)?(?:o\d|gpt-5)(?!.*chat)")
_ROLES: Final = ("system", "developer", "assistant", "user", "tool", "function")
_NAME: Final = re.compile(r"^[a-zA-Z0-9_-]{1,64}$")


def hides_thinking(model: str) -> bool:
    """OpenAI bills its own models' reasoning and shows none of it; compatible providers stream it as
    `reasoning_content`.
    """
    return _OWN_MODELS.match(model) is not None


def check(model: str, body: Json) -> None:
    """Raise `Reject` for the first thing that OpenAI would refuse in `body`."""
    strict = _OWN_MODELS.match(model) is not None
    for name in unknown_fields(body, _KNOWN if strict else _COMPATIBLE):
        raise invalid(f"Unknown parameter: '{name}'.", name, "unknown_parameter")
    _check_numbers(body)
    if _REASONING_MODELS.match(model):
        _check_reasoning(body)
    if body.get("stream_options") is not None and not body.get("stream"):
        raise invalid("The 'stream_options' parameter is only allowed when 'stream' is enabled.", "stream_options")
    messages = body.get("messages")
    if not isinstance(messages, list):
        raise invalid("Missing required parameter: 'messages'.", "messages", "missing_required_parameter")
    if not messages:
        words = (
            "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead."
        )
        raise invalid(words, "messages", "empty_array")
    _check_messages(model, messages)
    _check_tools(body)
    _check_format(body, messages)


def _check_numbers(body: Json) -> None:
    for name, low, high in (
        ("temperature", 0, 2),
        ("top_p", 0, 1),
        ("frequency_penalty", -2, 2),
        ("presence_penalty", -2, 2),
    ):
        value = body.get(name)
        if value is None:
            continue
        if not isinstance(value, int | float):
            raise invalid(
                f"Invalid type for '{name}': expected a decimal, but got a string instead.", name, "invalid_type"
            )
        if value > high:
            words = (
                f"Invalid '{name}': decimal above maximum value. Expected a value <= {high}, but got {value} instead."
            )
            raise invalid(words, name, "decimal_above_max_value")
        if value < low:
            words = (
                f"Invalid '{name}': decimal below minimum value. Expected a value >= {low}, but got {value} instead."
            )
            raise invalid(words, name, "decimal_below_min_value")
    for name in ("max_tokens", "max_completion_tokens"):
        value = body.get(name)
        if value is not None and (not isinstance(value, int) or value < 1):
            words = f"Invalid '{name}': integer below minimum value. Expected a value >= 1, but got {value} instead."
            raise invalid(words, name, "integer_below_min_value")
    if isinstance(stop := body.get("stop"), list) and len(stop) > 4:
        words = (
            "Invalid 'stop': array too long. Expected an array with maximum length 4, but got an array "
            f"with length {len(stop)} instead."
        )
        raise invalid(words, "stop", "array_above_max_length")


def _check_reasoning(body: Json) -> None:
    if body.get("max_tokens") is not None:
        words = (
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
        )
        raise invalid(words, "max_tokens", "unsupported_parameter")
    if body.get("temperature") not in (None, 1):
        words = (
            f"Unsupported value: 'temperature' does not support {body['temperature']} with this model. "
            "Only the default (1) value is supported."
        )
        raise invalid(words, "temperature", "unsupported_value")


def _check_messages(model: str, messages: list[Any]) -> None:
    open_calls: list[str] = []
    for i, message in enumerate(messages):
        place = f"messages[{i}]"
        role = message.get("role") if isinstance(message, dict) else None
        if role is None:
            raise invalid(f"Missing required parameter: '{place}.role'.", f"{place}.role", "missing_required_parameter")
        if role not in _ROLES:
            words = (
                f"Invalid value: '{role}'. Supported values are: 'system', 'assistant', 'user', "
                "'function', 'tool', and 'developer'."
            )
            raise invalid(words, f"{place}.role", "invalid_value")
        _check_content(message, place)
        if role == "tool":
            if message.get("tool_call_id") not in open_calls:
                words = (
                    "Invalid parameter: messages with role 'tool' must be a response to a preceeding "
                    "message with 'tool_calls'."
                )
                raise invalid(words, f"{place}.role")
            open_calls.remove(message["tool_call_id"])
            continue
        if open_calls:
            raise _unanswered(open_calls, place)
        open_calls = _check_calls(model, message, place)
    if open_calls:
        raise _unanswered(open_calls, "messages")


def _unanswered(open_calls: list[str], place: str) -> Exception:
    words = (
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. "
        f"The following tool_call_ids did not have response messages: {', '.join(open_calls)}"
    )
    return invalid(words, place)


def _check_content(message: Json, place: str) -> None:
    content = message.get("content")
    if content is None:
        if message["role"] != "assistant" or not (
            message.get("tool_calls") or message.get("refusal") or message.get("audio")
        ):
            raise invalid("Invalid value for 'content': expected a string, got null.", f"{place}.content")
        return
    if isinstance(content, str):
        return
    if not isinstance(content, list):
        words = (
            f"Invalid type for '{place}.content': expected one of a string or array of objects, but got "
            "an object instead."
        )
        raise invalid(words, f"{place}.content", "invalid_type")
    allowed = {"user": ("text", "image_url", "input_audio", "file"), "assistant": ("text", "refusal")}.get(
        message["role"], ("text",)
    )
    for j, part in enumerate(content):
        kind = part.get("type") if isinstance(part, dict) else None
        if kind not in allowed:
            words = f"Invalid value: '{kind}'. Supported values are: {', '.join(repr(a) for a in allowed)}."
            raise invalid(words, f"{place}.content[{j}].type", "invalid_value")


def _check_calls(model: str, message: Json, place: str) -> list[str]:
    calls = message.get("tool_calls")
    if calls == []:
        words = (
            f"Invalid '{place}.tool_calls': empty array. Expected an array with minimum length 1, but got "
            "an empty array instead."
        )
        raise invalid(words, f"{place}.tool_calls", "empty_array")
    ids: list[str] = []
    for j, call in enumerate(calls or ()):
        ident = call.get("id")
        at = f"{place}.tool_calls[{j}]"
        if not isinstance(ident, str):  # pyright: ignore[reportUnnecessaryIsInstance] - it is foreign JSON
            raise invalid(f"Missing required parameter: '{at}.id'.", f"{at}.id", "missing_required_parameter")
        if len(ident) > 40:
            words = (
                f"Invalid '{at}.id': string too long. Expected a string with maximum length 40, but got a "
                f"string with length {len(ident)} instead."
            )
            raise invalid(words, f"{at}.id", "string_above_max_length")
        if "mistral" in model.lower() and not re.fullmatch(r"[a-zA-Z0-9]{9}", ident):
            raise invalid(f"Tool call id was {ident} but must be a-z, A-Z, 0-9, with a length of 9.", None, "3280")
        if not isinstance(call.get("function", {}).get("arguments"), str):  # pyright: ignore[reportUnnecessaryIsInstance]
            words = f"Invalid type for '{at}.function.arguments': expected a string, but got an object instead."
            raise invalid(words, f"{at}.function.arguments", "invalid_type")
        ids.append(ident)
    return ids


def _check_tools(body: Json) -> None:
    tools = body.get("tools")
    if tools == []:
        raise invalid(
            "Invalid 'tools': empty array. Expected an array with minimum length 1, but got an empty array instead.",
            "tools",
            "empty_array",
        )
    if not tools:
        for name in ("tool_choice", "parallel_tool_calls"):
            if body.get(name) not in (None, "none"):
                raise invalid(f"Invalid value for '{name}': '{name}' is only allowed when 'tools' are specified.", name)
        return
    names = [_tool_name(tool, f"tools[{i}].function.name") for i, tool in enumerate(tools)]
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and choice.get("function", {}).get("name") not in names:
        raise invalid(
            f"Tool choice '{choice.get('function', {}).get('name')}' not found in 'tools' parameter.", "tool_choice"
        )


def _tool_name(tool: Any, place: str) -> str:
    function = tool.get("function") if isinstance(tool, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    if not isinstance(name, str):
        raise invalid(f"Missing required parameter: '{place}'.", place, "missing_required_parameter")
    if not _NAME.match(name):
        words = (
            f"Invalid '{place}': string does not match pattern. Expected a string that matches the "
            "pattern '^[a-zA-Z0-9_-]+$'."
        )
        raise invalid(words, place, "invalid_value")
    return name


def _check_format(body: Json, messages: list[Any]) -> None:
    form = body.get("response_format") or {}
    if form.get("type") == "json_object" and "json" not in str(messages).lower():
        words = "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'."
        raise invalid(words, "messages")
    if form.get("type") != "json_schema":
        return
    wanted = form.get("json_schema")
    if not isinstance(wanted, dict) or not _NAME.match(str(wanted.get("name", ""))):
        raise invalid(
            "Missing required parameter: 'response_format.json_schema.name'.",
            "response_format.json_schema.name",
            "missing_required_parameter",
        )
    schema = wanted.get("schema") or {}
    if wanted.get("strict") and schema.get("type") == "object":
        _check_strict(wanted["name"], schema)


def _check_strict(name: str, schema: Json) -> None:
    start = f"Invalid schema for response_format '{name}': In context=(), "
    if schema.get("additionalProperties") is not False:
        raise invalid(start + "'additionalProperties' is required to be supplied and to be false.", "response_format")
    missing = [p for p in schema.get("properties", {}) if p not in schema.get("required", ())]
    if missing:
        words = start + (
            "'required' is required to be supplied and to be an array including every key in "
            f"properties. Missing '{missing[0]}'."
        )
        raise invalid(words, "response_format")
