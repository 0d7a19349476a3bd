"""What a caller hands in -> a ChatRequest, and every mistake in it, named before any network call."""

import dataclasses
import difflib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast, get_args

from hotspare.errors import Problem, RequestError
from hotspare.messages import ChatRequest, Message, ReasoningEffort

ROLES = ("system", "developer", "user", "assistant", "tool")
_FIELDS = tuple(field.name for field in dataclasses.fields(ChatRequest))
_EFFORTS: tuple[str, ...] = get_args(ReasoningEffort)
_TYPES = frozenset({"object", "array", "string", "number", "integer", "boolean", "null"})
_SCHEMAS = ("properties", "$defs", "definitions", "patternProperties")
_SCHEMA_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_RANGES: dict[str, tuple[float, float, str]] = {
    "temperature": (0, 2, "must be between 0 and 2"),
    "top_p": (0, 1, "must be between 0 and 1"),
    "frequency_penalty": (-2, 2, "must be between -2 and 2"),
    "presence_penalty": (-2, 2, "must be between -2 and 2"),
}
_LEAST = {"max_tokens": 1, "top_k": 1, "seed": -(2**63)}
_NAMED = {"role": "user", "content": "…"}


def request_of(request: str | Sequence[Message] | ChatRequest, **fields: Any) -> ChatRequest:
    """A string is one user message, a list the messages; `fields` are ChatRequest's, and win over those of `request`.

    Raises RequestError for a field that does not exist and for a request of another type.
    """
    unknown = [_unknown(name, value) for name, value in fields.items() if name not in _FIELDS]
    if unknown:
        raise RequestError(unknown)
    if isinstance(request, ChatRequest):
        return dataclasses.replace(request, **fields) if fields else request
    if isinstance(request, str):
        request = [{"role": "user", "content": request}]
    elif not isinstance(cast("object", request), Sequence) or isinstance(cast("object", request), bytes):
        raise RequestError(Problem.at("request", request, f"must be a string, a list like [{_NAMED}] or a ChatRequest"))
    if isinstance(fields.get("stop"), str):
        fields["stop"] = (fields["stop"],)
    return ChatRequest(**{"messages": request, **fields})


def _unknown(name: str, value: object) -> Problem:
    near = difflib.get_close_matches(name, _FIELDS, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(_FIELDS)}"
    return Problem.at(name, value, f"is no field of a request; {hint}")


def check(request: ChatRequest) -> None:
    """Raises RequestError listing every mistake with its place; returns at once for a sound request."""
    found = [*_messages(request.messages), *_numbers(request), *_texts(request)]
    if request.tools or request.tool_choice is not None:
        found += [*_tools(request.tools), *_tool_choice(request)]
    if request.response_format is not None:
        found += _response_format(request.response_format)
    if request.extra:
        found += [*_extra(request.extra), *_json(request.extra, "extra")]
    if found:
        raise RequestError(found)


def _messages(messages: Any) -> Iterator[Problem]:
    if not isinstance(messages, Sequence) or isinstance(messages, (str, bytes)):
        yield Problem.at("messages", messages, f"must be a list of messages like {_NAMED}")
    elif not messages:
        yield Problem.at("messages", messages, f"must hold at least one message, e.g. [{_NAMED}]")
    else:
        for index, message in enumerate(cast("Sequence[object]", messages)):
            yield from _message(message, f"messages[{index}]")


def _message(message: object, place: str) -> Iterator[Problem]:
    if not isinstance(message, Mapping):
        yield Problem.at(place, message, f"must be a dict like {_NAMED}")
        return
    known = cast("Mapping[str, Any]", message)
    role, content = known.get("role"), known.get("content")
    if role not in ROLES:
        way_out = f"must be one of {', '.join(ROLES)}"
        yield Problem.at(f"{place}.role", role, f"is missing: it {way_out}" if "role" not in known else way_out)
    elif role == "tool" and not _named(known.get("tool_call_id")):
        yield Problem.at(f"{place}.tool_call_id", known.get("tool_call_id"), "must be the id of the call it answers")
    elif role == "assistant" and known.get("tool_calls"):
        yield from _calls(known["tool_calls"], f"{place}.tool_calls")
    if type(content) is str:
        return
    if content is None:
        if role != "assistant":
            yield Problem.at(f"{place}.content", content, "must be a string or a list of parts")
    else:
        yield from _content(content, f"{place}.content")


def _named(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _content(content: object, place: str) -> Iterator[Problem]:
    if isinstance(content, str):
        return
    if not isinstance(content, (list, tuple)):
        yield Problem.at(place, content, "must be a string or a list of parts")
        return
    for index, part in enumerate(cast("Sequence[object]", content)):
        where = f"{place}[{index}]"
        if isinstance(part, str):
            continue
        if not isinstance(part, Mapping) or not _named(cast("Mapping[str, Any]", part).get("type")):
            yield Problem.at(where, part, "must be a part like {'type': 'text', 'text': '…'}")
            continue
        known = cast("Mapping[str, Any]", part)
        if known["type"] == "text" and not isinstance(known.get("text"), str):
            yield Problem.at(f"{where}.text", known.get("text"), "must be a string")
        if known["type"] == "image_url" and not _has_url(known.get("image_url")):
            yield Problem.at(f"{where}.image_url", known.get("image_url"), "must be {'url': 'https://… or data:…'}")
        yield from _json(known, where)


def _has_url(image: object) -> bool:
    return _named(cast("Mapping[str, Any]", image).get("url")) if isinstance(image, Mapping) else _named(image)


def _calls(calls: object, place: str) -> Iterator[Problem]:
    if not isinstance(calls, (list, tuple)):
        yield Problem.at(place, calls, "must be a list of tool calls")
        return
    for index, call in enumerate(cast("Sequence[object]", calls)):
        known = cast("Mapping[str, Any]", call) if isinstance(call, Mapping) else {}
        function = known.get("function")
        name = cast("Mapping[str, Any]", function).get("name") if isinstance(function, Mapping) else None
        if not _named(known.get("id")) or not _named(name):
            way_out = "must have an id and a function with name and arguments"
            yield Problem.at(f"{place}[{index}]", call, way_out)
        yield from _json(call, f"{place}[{index}]")


def _numbers(request: ChatRequest) -> Iterator[Problem]:
    for name, (low, high, way_out) in _RANGES.items():
        value: object = getattr(request, name)
        if value is not None and not (_is_number(value) and low <= cast("float", value) <= high):
            yield Problem.at(name, value, way_out)
    for name, least in _LEAST.items():
        value = getattr(request, name)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < least):
            yield Problem.at(name, value, "must be a whole number" + (f", {least} or more" if least == 1 else ""))


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _texts(request: ChatRequest) -> Iterator[Problem]:
    stop: object = request.stop
    if stop and (
        not isinstance(stop, (list, tuple)) or not all(_named(text) for text in cast("Sequence[object]", stop))
    ):
        yield Problem.at("stop", stop, "must be a list of non-empty strings, e.g. ['END']")
    if request.reasoning_effort is not None and request.reasoning_effort not in _EFFORTS:
        yield Problem.at("reasoning_effort", request.reasoning_effort, f"must be one of {', '.join(_EFFORTS)}")
    for name in ("user", "model"):
        value: object = getattr(request, name)
        if value is not None and not isinstance(value, str):
            yield Problem.at(name, value, "must be a string")


def _tools(tools: object) -> Iterator[Problem]:
    if not isinstance(tools, (list, tuple)):
        yield Problem.at("tools", tools, "must be a list of tools")
        return
    seen: set[str] = set()
    for index, tool in enumerate(cast("Sequence[object]", tools)):
        place = f"tools[{index}]"
        function = cast("Mapping[str, Any]", tool).get("function") if isinstance(tool, Mapping) else None
        if not isinstance(function, Mapping):
            yield Problem.at(place, tool, "must be {'type': 'function', 'function': {'name': …, 'parameters': {…}}}")
            continue
        known = cast("Mapping[str, Any]", function)
        name = known.get("name")
        if not _named(name):
            yield Problem.at(f"{place}.function.name", name, "must be a non-empty string")
        elif name in seen:
            yield Problem.at(f"{place}.function.name", name, "is there twice; names must be unique")
        seen.add(str(name))
        if known.get("parameters") is not None:
            yield from _parameters(known["parameters"], f"{place}.function.parameters")
        yield from _json(cast("object", tool), place)


def _parameters(schema: object, place: str) -> Iterator[Problem]:
    """A tool's parameters: a JSON schema whose root describes an object."""
    if isinstance(schema, Mapping):
        known = cast("Mapping[str, Any]", schema)
        if known and known.get("type", "object") != "object":
            yield Problem.at(f"{place}.type", known.get("type"), "must be 'object': a tool takes named arguments")
    yield from schema_problems(schema, place)


def schema_problems(schema: object, place: str, depth: int = 0) -> Iterator[Problem]:
    """What is wrong with a JSON schema's structure: types, properties, required and nested schemas.

    A light check against mistakes, not against the whole standard; providers' own dialects differ anyway.
    """
    if isinstance(schema, bool) and depth:
        return
    if not isinstance(schema, Mapping) or depth > 100:
        yield Problem.at(place, schema, "must be a JSON schema, e.g. {'type': 'object', 'properties': {}}")
        return
    known = cast("Mapping[str, Any]", schema)
    kind = known.get("type")
    kinds: list[Any] = list(cast("Sequence[Any]", kind)) if isinstance(kind, (list, tuple)) else [kind]
    if "type" in known and not all(isinstance(k, str) and k in _TYPES for k in kinds):
        yield Problem.at(f"{place}.type", kind, f"must be one of {', '.join(sorted(_TYPES))}")
    required: Any = known.get("required", [])
    if not isinstance(required, (list, tuple)) or not all(
        isinstance(r, str) for r in cast("Sequence[object]", required)
    ):
        yield Problem.at(f"{place}.required", required, "must be a list of property names")
    if not isinstance(known.get("enum", []), (list, tuple)):
        yield Problem.at(f"{place}.enum", known.get("enum"), "must be a list")
    for where, child in _children(known, place):
        yield from schema_problems(child, where, depth + 1)


def _children(schema: Mapping[str, Any], place: str) -> Iterator[tuple[str, object]]:
    for name in _SCHEMAS:
        inner = schema.get(name)
        if isinstance(inner, Mapping):
            for key, value in cast("Mapping[str, object]", inner).items():
                yield f"{place}.{name}.{key}", value
        elif inner is not None:
            yield f"{place}.{name}", cast("object", inner)
    for name in _SCHEMA_LISTS:
        inner = schema.get(name)
        for index, value in enumerate(cast("Sequence[object]", inner) if isinstance(inner, (list, tuple)) else ()):
            yield f"{place}.{name}[{index}]", value
    for name in ("items", "additionalProperties", "not"):
        inner = schema.get(name)
        if inner is not None and not isinstance(inner, (list, tuple)):
            yield f"{place}.{name}", cast("object", inner)


def _tool_choice(request: ChatRequest) -> Iterator[Problem]:
    choice: Any = request.tool_choice
    if choice is None or choice in ("auto", "none"):
        return
    if not request.tools:
        if not request.extra:  # the provider's own tools may stand there
            yield Problem.at("tool_choice", choice, "needs tools to choose from: give `tools`")
        return
    if choice == "required":
        return
    names = _chosen(choice)
    if not names:
        yield Problem.at(
            "tool_choice", choice, "must be 'auto', 'none', 'required' or {'type': 'function', 'function': {'name': …}}"
        )
    known = _names(request.tools)
    for name in names:
        if name not in known:
            yield Problem.at("tool_choice", name, f"names no tool of this request; known: {', '.join(known)}")


def _names(tools: Any) -> list[str]:
    functions: list[Any] = [tool.get("function") for tool in tools if isinstance(tool, Mapping)]
    return [str(function.get("name")) for function in functions if isinstance(function, Mapping)]


def _chosen(choice: Any) -> list[Any]:
    """The tool names in a choice: one function's, or those of `allowed_tools`."""
    if not isinstance(choice, Mapping):
        return []
    allowed = choice.get("allowed_tools")
    return _names(allowed.get("tools") or []) if isinstance(allowed, Mapping) else _names([choice])


def _response_format(wanted: Any) -> Iterator[Problem]:
    kind = wanted.get("type") if isinstance(wanted, Mapping) else None
    if kind not in ("text", "json_object", "json_schema"):
        yield Problem.at("response_format", wanted, "must have type 'text', 'json_object' or 'json_schema'")
        return
    if kind == "json_schema":
        inner = wanted.get("json_schema")
        schema = inner.get("schema") if isinstance(inner, Mapping) else None
        if not isinstance(inner, Mapping) or not _named(inner.get("name")):
            yield Problem.at("response_format.json_schema", inner, "must have a name and a schema")
        yield from schema_problems(schema, "response_format.json_schema.schema")
    yield from _json(wanted, "response_format")


def _extra(extra: Any) -> Iterator[Problem]:
    for name, fields in extra.items():
        if name not in ("openai", "anthropic", "gemini"):
            yield Problem.at("extra", name, "is no dialect; the keys are 'openai', 'anthropic' and 'gemini'")
        elif not isinstance(fields, Mapping):
            yield Problem.at(f"extra.{name}", fields, "must be a dict of body fields")


def _json(value: Any, place: str) -> Iterator[Problem]:
    """What JSON has no words for: bytes, sets, objects, NaN, cycles."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        yield Problem.at(place, value, f"cannot be sent as JSON: {error}")
