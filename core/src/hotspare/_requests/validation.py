"""A caller's arguments -> a ChatRequest. Every mistake is reported before any network call."""

import dataclasses
import json
from collections.abc import Iterator, Sequence
from typing import Any, cast, get_args

from hotspare._config.hints import CALL_HINTS, hint_for, unknown_field
from hotspare._requests.schemas import response_format_problems, tool_problems
from hotspare._values import made
from hotspare.errors import Problem, RequestError
from hotspare.messages import ChatRequest, Dialect, Message, Prompt, ReasoningEffort, Role
from hotspare.providers.history import has_thinking_parts, with_thinking_blocks
from hotspare.providers.json_access import as_map, is_map

_ROLES: tuple[str, ...] = get_args(Role)
_DIALECTS: tuple[str, ...] = get_args(Dialect)
_FIELDS = tuple(field.name for field in dataclasses.fields(ChatRequest))
_EFFORTS: tuple[str, ...] = get_args(ReasoningEffort)
_RANGES = (("temperature", 0, 2), ("top_p", 0, 1), ("frequency_penalty", -2, 2), ("presence_penalty", -2, 2))
"""Fields that are numbers, with their bounds."""
_INTEGERS = (("max_tokens", 1), ("top_k", 1), ("seed", None))
"""Fields that are integers, with their minimum."""
_MAX_INTEGER = 2**63 - 1
_EXAMPLE = {"role": "user", "content": "…"}
_PLAIN = ("user", "system", "assistant", "developer")
"""Roles whose messages need no field but `content`."""


def request_of(request: Prompt | None, **fields: Any) -> ChatRequest:
    """The request of a call. A string is one user message, a list is the messages. `fields`: those of ChatRequest; they override the
    fields of `request`, except `messages`, which may only be given instead of it.

    Raises RequestError for an unknown field, for a request of another type, and for what `validate` finds.
    """
    if fields:
        request = _take_messages(request, fields)
    if isinstance(request, ChatRequest):
        return _validated(dataclasses.replace(request, **fields) if fields else request)
    if isinstance(request, str):
        request = [{"role": "user", "content": request}]
        if not fields:
            return made(ChatRequest, messages=request, extra={})  # needs no validation
    if request is None or not _is_sequence(request):
        hint = f"must be a string, a list like [{_EXAMPLE}] or a ChatRequest"
        raise RequestError(Problem.at("request", request, hint))
    return _validated(ChatRequest(messages=request, **fields), has_settings=bool(fields))


def _take_messages(request: Prompt | None, fields: dict[str, Any]) -> Prompt | None:
    """The messages from `fields`, or else `request`. Removes fields whose value means the default."""
    unknown = [_unknown_field(name, value) for name, value in fields.items() if name not in _FIELDS]
    if unknown:
        raise RequestError(unknown)
    messages = fields.pop("messages", None)
    if messages is not None:
        if request is not None:
            hint = "duplicates the first argument: keep one of them"
            raise RequestError(Problem.at("messages", messages, hint))
        request = messages
    if isinstance(fields.get("stop"), str):
        fields["stop"] = (fields["stop"],)
    for name in ("tools", "stop", "extra"):
        if name in fields and fields[name] is None:
            del fields[name]
    return request


def _validated(request: ChatRequest, *, has_settings: bool = True) -> ChatRequest:
    validate(request, has_settings=has_settings)
    if not any(map(has_thinking_parts, request.messages)):
        return request
    return dataclasses.replace(request, messages=[with_thinking_blocks(message) for message in request.messages])


def _is_sequence(value: object) -> bool:
    return type(value) is list or (isinstance(value, Sequence) and not isinstance(value, (str, bytes)))


def _unknown_field(name: str, value: object) -> Problem:
    return unknown_field(name, value, "ChatRequest", hint_for(name, CALL_HINTS, _FIELDS))


def validate(request: ChatRequest, *, has_settings: bool = True) -> None:
    """Validate a request; without `has_settings` only its messages. Raises RequestError, which lists every mistake with its path."""
    found = _message_list_problems(request.messages)
    if has_settings:
        found += _setting_problems(request)
    if request.tools or request.tool_choice is not None:
        found += tool_problems(request.tools, request.tool_choice, provider_tools=bool(request.extra))
        found += _json_problems(request.tools, "tools")
    if request.response_format is not None:
        found += response_format_problems(request.response_format)
        found += _json_problems(request.response_format, "response_format")
    if request.extra:
        found += [*_extra_problems(request.extra), *_json_problems(request.extra, "extra")]
    if found:
        raise RequestError(found)


def _message_list_problems(messages: object) -> list[Problem]:
    if not _is_sequence(messages):
        return [Problem.at("messages", messages, f"must be a list of messages like {_EXAMPLE}")]
    if not messages:
        return [Problem.at("messages", messages, f"must hold at least one message, e.g. [{_EXAMPLE}]")]
    found: list[Problem] = []
    for index, message in enumerate(cast("Sequence[Any]", messages)):
        known: dict[str, Any] = message
        if (
            type(message) is dict
            and len(known) == 2
            and type(known.get("content")) is str
            and known.get("role") in _PLAIN
        ):
            continue  # a shortcut for nearly all messages: they need no further validation
        if is_map(known):
            found += _message_problems(known, f"messages[{index}]")
        else:
            found.append(Problem.at(f"messages[{index}]", known, f"must be a dict like {_EXAMPLE}"))
    return found


def _message_problems(message: Message, path: str) -> Iterator[Problem]:
    role, content = message.get("role"), message.get("content")
    if role not in _ROLES:
        yield Problem.at(f"{path}.role", role, f"must be one of {', '.join(_ROLES)}")
    elif role == "tool" and not isinstance(
        message.get("tool_call_id"), str
    ):  # Gemini's OpenAI endpoint gives the id ""
        yield Problem.at(f"{path}.tool_call_id", message.get("tool_call_id"), "must be the id of a tool call")
    elif role == "assistant" and message.get("tool_calls"):
        yield from _tool_call_problems(message.get("tool_calls"), f"{path}.tool_calls")
    if content is None:
        if role != "assistant":
            yield Problem.at(f"{path}.content", content, "must be a string or a list of parts")
    elif not isinstance(content, str):
        yield from _content_problems(content, f"{path}.content")
    others = {name: value for name, value in message.items() if name not in ("role", "content", "tool_calls")}
    if others:
        yield from _json_problems(others, path)


def _is_nonempty_string(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _content_problems(content: object, path: str) -> Iterator[Problem]:
    if not isinstance(content, (list, tuple)):
        yield Problem.at(path, content, "must be a string or a list of parts")
        return
    for index, part in enumerate(cast("Sequence[object]", content)):
        part_path = f"{path}[{index}]"
        if isinstance(part, str):
            continue
        known = as_map(part)
        kind = known.get("type")
        if not _is_nonempty_string(kind):
            yield Problem.at(part_path, part, "must be a part like {'type': 'text', 'text': '…'}")
        elif kind == "text" and not isinstance(known.get("text"), str):
            yield Problem.at(f"{part_path}.text", known.get("text"), "must be a string")
        elif kind == "image_url" and not _has_url(known.get("image_url")):
            yield Problem.at(f"{part_path}.image_url", known.get("image_url"), "must be {'url': 'https://… or data:…'}")
        else:
            yield from _json_problems(known, part_path)


def _has_url(image: object) -> bool:
    return _is_nonempty_string(as_map(image).get("url")) if is_map(image) else _is_nonempty_string(image)


def _tool_call_problems(calls: object, path: str) -> Iterator[Problem]:
    if not isinstance(calls, (list, tuple)):
        yield Problem.at(path, calls, "must be a list of tool calls")
        return
    for index, call in enumerate(cast("Sequence[object]", calls)):
        known = as_map(call)
        if not isinstance(known.get("id"), str) or not _is_nonempty_string(as_map(known.get("function")).get("name")):
            yield Problem.at(f"{path}[{index}]", call, "must have an id, and a function with name and arguments")
        yield from _json_problems(call, f"{path}[{index}]")


def _setting_problems(request: ChatRequest) -> Iterator[Problem]:
    for name, low, high in _RANGES:
        value: object = getattr(request, name)
        if value is not None and not (_is_number(value) and low <= cast("float", value) <= high):
            yield Problem.at(name, value, f"must be between {low} and {high}")
    for name, minimum in _INTEGERS:
        value = getattr(request, name)
        if value is None:
            continue
        low = -_MAX_INTEGER if minimum is None else minimum
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= _MAX_INTEGER:
            hint = "must be an integer" + (f", {minimum} or more" if minimum else "")
            yield Problem.at(name, value, hint + (" and below 2^63" if isinstance(value, int) else ""))
    stop: object = request.stop
    if stop and not (
        isinstance(stop, (list, tuple)) and all(_is_nonempty_string(text) for text in cast("Sequence[object]", stop))
    ):
        yield Problem.at("stop", stop, "must be a list of non-empty strings, e.g. ['END']")
    if request.reasoning_effort is not None and request.reasoning_effort not in _EFFORTS:
        yield Problem.at("reasoning_effort", request.reasoning_effort, f"must be one of {', '.join(_EFFORTS)}")
    for name in ("user", "model"):
        value = getattr(request, name)
        if value is not None and not isinstance(value, str):
            yield Problem.at(name, value, "must be a string")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _extra_problems(extra: object) -> Iterator[Problem]:
    if not is_map(extra):
        yield Problem.at("extra", extra, "must be a dict like {'openai': {…}}")
    for name, fields in as_map(extra).items():
        if name not in _DIALECTS:
            yield Problem.at("extra", name, f"is not a dialect; the keys are {', '.join(_DIALECTS)}")
        elif not is_map(fields):
            yield Problem.at(f"extra.{name}", fields, "must be a dict of body fields")


def _json_problems(value: object, path: str) -> Iterator[Problem]:
    """Values that JSON cannot express: bytes, sets, objects, NaN, cycles."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        yield Problem.at(path, value, f"cannot be sent as JSON: {error}")
