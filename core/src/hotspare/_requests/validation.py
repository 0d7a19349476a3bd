"""What a caller hands in -> a ChatRequest, and every mistake in it, named before any network call."""

import dataclasses
import difflib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast, get_args

from hotspare._requests.schemas import response_format_problems, tool_problems
from hotspare.errors import Problem, RequestError
from hotspare.messages import ChatRequest, Message, ReasoningEffort
from hotspare.providers.json_access import as_map, is_map

ROLES = ("system", "developer", "user", "assistant", "tool")
_FIELDS = tuple(field.name for field in dataclasses.fields(ChatRequest))
_EFFORTS: tuple[str, ...] = get_args(ReasoningEffort)
_RANGES: tuple[tuple[str, float, float, str], ...] = (
    ("temperature", 0, 2, "must be between 0 and 2"),
    ("top_p", 0, 1, "must be between 0 and 1"),
    ("frequency_penalty", -2, 2, "must be between -2 and 2"),
    ("presence_penalty", -2, 2, "must be between -2 and 2"),
)
_WHOLE = (("max_tokens", 1), ("top_k", 1), ("seed", None))
_EXAMPLE = {"role": "user", "content": "…"}


def request_of(request: str | Sequence[Message] | ChatRequest, **fields: Any) -> ChatRequest:
    """A string is one user message, a list the messages; `fields` are ChatRequest's, and win over those of `request`.

    Raises RequestError for a field that does not exist, for a request of another type, and for what `check` finds.
    """
    unknown = [_unknown(name, value) for name, value in fields.items() if name not in _FIELDS]
    if unknown:
        raise RequestError(unknown)
    if isinstance(fields.get("stop"), str):
        fields["stop"] = (fields["stop"],)
    for name in ("tools", "stop", "extra"):
        if name in fields and fields[name] is None:
            del fields[name]
    if isinstance(request, ChatRequest):
        return _checked(dataclasses.replace(request, **fields) if fields else request)
    if isinstance(request, str):
        request = [{"role": "user", "content": request}]
    if not _is_sequence(request):
        way_out = f"must be a string, a list like [{_EXAMPLE}] or a ChatRequest"
        raise RequestError(Problem.at("request", request, way_out))
    fields.setdefault("messages", request)
    return _checked(ChatRequest(**fields))


def _checked(request: ChatRequest) -> ChatRequest:
    check(request)
    return request


def _is_sequence(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


def _unknown(name: str, value: object) -> Problem:
    near = difflib.get_close_matches(name, _FIELDS, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(_FIELDS)}"
    return Problem.at(name, value, f"is no field of a request; {hint}")


def check(request: ChatRequest) -> None:
    """Raises RequestError listing every mistake with its place; returns at once for a sound request."""
    found = [*_messages(request.messages), *_settings(request)]
    if request.tools or request.tool_choice is not None:
        found += tool_problems(request.tools, request.tool_choice, own_tools=bool(request.extra))
        found += _json(request.tools, "tools")
    if request.response_format is not None:
        found += response_format_problems(request.response_format)
        found += _json(request.response_format, "response_format")
    if request.extra:
        found += [*_extra(request.extra), *_json(request.extra, "extra")]
    if found:
        raise RequestError(found)


def _messages(messages: object) -> Iterator[Problem]:
    if not _is_sequence(messages):
        yield Problem.at("messages", messages, f"must be a list of messages like {_EXAMPLE}")
    elif not messages:
        yield Problem.at("messages", messages, f"must hold at least one message, e.g. [{_EXAMPLE}]")
    else:
        for index, message in enumerate(cast("Sequence[object]", messages)):
            if not isinstance(message, Mapping):
                yield Problem.at(f"messages[{index}]", message, f"must be a dict like {_EXAMPLE}")
                continue
            known = cast("Message", message)
            if known.get("role") in ("user", "system") and type(known.get("content")) is str and len(known) == 2:
                continue  # nearly all messages: nothing else can be wrong with them
            yield from _message(known, f"messages[{index}]")


def _message(message: Message, place: str) -> Iterator[Problem]:
    role, content = message.get("role"), message.get("content")
    if role not in ROLES:
        missing = "is missing: it " if "role" not in message else ""
        yield Problem.at(f"{place}.role", role, f"{missing}must be one of {', '.join(ROLES)}")
    elif role == "tool" and not _named(message.get("tool_call_id")):
        yield Problem.at(f"{place}.tool_call_id", message.get("tool_call_id"), "must be the id of the call it answers")
    elif role == "assistant" and message.get("tool_calls"):
        yield from _calls(message["tool_calls"], f"{place}.tool_calls")
    if content is None:
        if role != "assistant":
            yield Problem.at(f"{place}.content", content, "must be a string or a list of parts")
    elif not isinstance(content, str):
        yield from _content(content, f"{place}.content")
    others = {name: value for name, value in message.items() if name not in ("role", "content", "tool_calls")}
    if others:
        yield from _json(others, place)


def _named(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _content(content: object, place: str) -> Iterator[Problem]:
    if not isinstance(content, (list, tuple)):
        yield Problem.at(place, content, "must be a string or a list of parts")
        return
    for index, part in enumerate(cast("Sequence[object]", content)):
        where = f"{place}[{index}]"
        if isinstance(part, str):
            continue
        known = as_map(part)
        kind = known.get("type")
        if not _named(kind):
            yield Problem.at(where, part, "must be a part like {'type': 'text', 'text': '…'}")
        elif kind == "text" and not isinstance(known.get("text"), str):
            yield Problem.at(f"{where}.text", known.get("text"), "must be a string")
        elif kind == "image_url" and not _has_url(known.get("image_url")):
            yield Problem.at(f"{where}.image_url", known.get("image_url"), "must be {'url': 'https://… or data:…'}")
        else:
            yield from _json(known, where)


def _has_url(image: object) -> bool:
    return _named(as_map(image).get("url")) if is_map(image) else _named(image)


def _calls(calls: object, place: str) -> Iterator[Problem]:
    if not isinstance(calls, (list, tuple)):
        yield Problem.at(place, calls, "must be a list of tool calls")
        return
    for index, call in enumerate(cast("Sequence[object]", calls)):
        known = as_map(call)
        if not _named(known.get("id")) or not _named(as_map(known.get("function")).get("name")):
            yield Problem.at(f"{place}[{index}]", call, "must have an id and a function with name and arguments")
        yield from _json(call, f"{place}[{index}]")


def _settings(request: ChatRequest) -> Iterator[Problem]:
    for name, low, high, way_out in _RANGES:
        value: object = getattr(request, name)
        if value is not None and not (_is_number(value) and low <= cast("float", value) <= high):
            yield Problem.at(name, value, way_out)
    for name, least in _WHOLE:
        value = getattr(request, name)
        if value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or (least is not None and value < least):
            yield Problem.at(name, value, "must be a whole number" + (f", {least} or more" if least else ""))
    stop: object = request.stop
    if stop and not (isinstance(stop, (list, tuple)) and all(_named(text) for text in cast("Sequence[object]", stop))):
        yield Problem.at("stop", stop, "must be a list of non-empty strings, e.g. ['END']")
    if request.reasoning_effort is not None and request.reasoning_effort not in _EFFORTS:
        yield Problem.at("reasoning_effort", request.reasoning_effort, f"must be one of {', '.join(_EFFORTS)}")
    for name in ("user", "model"):
        value = getattr(request, name)
        if value is not None and not isinstance(value, str):
            yield Problem.at(name, value, "must be a string")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _extra(extra: object) -> Iterator[Problem]:
    if not is_map(extra):
        yield Problem.at("extra", extra, "must be a dict like {'openai': {…}}")
    for name, fields in as_map(extra).items():
        if name not in ("openai", "anthropic", "gemini"):
            yield Problem.at("extra", name, "is no dialect; the keys are 'openai', 'anthropic' and 'gemini'")
        elif not is_map(fields):
            yield Problem.at(f"extra.{name}", fields, "must be a dict of body fields")


def _json(value: object, place: str) -> Iterator[Problem]:
    """What JSON has no words for: bytes, sets, objects, NaN, cycles."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        yield Problem.at(place, value, f"cannot be sent as JSON: {error}")
