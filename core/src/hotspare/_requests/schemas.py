"""Tools, tool choice and response format of a request: a light check of their structure.

Against mistakes, not against the whole of JSON Schema: providers take different parts of it anyway.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hotspare.errors import Problem
from hotspare.providers.json_access import as_list, as_map, as_maps, as_text, is_map

_TYPES = ("array", "boolean", "integer", "null", "number", "object", "string")
_NAMED_SCHEMAS = ("properties", "$defs", "definitions", "patternProperties")
_SCHEMA_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_SCHEMAS = ("items", "additionalProperties", "not")
_DEEPEST = 100


def tool_problems(tools: object, choice: object, *, own_tools: bool = False) -> Iterator[Problem]:
    """What is wrong with a request's tools and with its choice among them.

    `own_tools`: a provider's own tools may stand in `extra`, so a choice without `tools` is no mistake.
    """
    if not _is_list(tools):
        yield Problem.at("tools", tools, "must be a list of tools")
        return
    names: list[str] = []
    for index, tool in enumerate(as_list(tools)):
        place = f"tools[{index}]"
        function = as_map(tool).get("function")
        if not is_map(function):
            yield Problem.at(place, tool, "must be {'type': 'function', 'function': {'name': …, 'parameters': {…}}}")
            continue
        name, parameters = as_map(function).get("name"), as_map(function).get("parameters")
        if not isinstance(name, str) or not name:
            yield Problem.at(f"{place}.function.name", name, "must be a non-empty string")
        elif name in names:
            yield Problem.at(f"{place}.function.name", name, "is there twice; names must be unique")
        names.append(str(name))
        if parameters is not None:
            yield from _parameters(parameters, f"{place}.function.parameters")
    yield from _choice(choice, names, own_tools=own_tools)


def _is_list(value: object) -> bool:
    return isinstance(value, (list, tuple))


def _parameters(schema: object, place: str) -> Iterator[Problem]:
    kind = as_map(schema).get("type", "object")
    if kind != "object":
        yield Problem.at(f"{place}.type", kind, "must be 'object': a tool takes named arguments")
        return
    yield from schema_problems(schema, place)


def schema_problems(schema: object, place: str, depth: int = 0) -> Iterator[Problem]:
    """What is wrong with a JSON schema's structure: types, required, enum and nested schemas."""
    if isinstance(schema, bool) and depth:
        return
    if not is_map(schema) or depth > _DEEPEST:
        yield Problem.at(place, schema, "must be a JSON schema, e.g. {'type': 'object', 'properties': {}}")
        return
    known = as_map(schema)
    kinds = as_list(known.get("type")) or [known.get("type")]
    if "type" in known and not all(kind in _TYPES for kind in kinds):
        yield Problem.at(f"{place}.type", known["type"], f"must be one of {', '.join(_TYPES)}")
    required = known.get("required", [])
    if not _is_list(required) or not all(isinstance(name, str) for name in as_list(required)):
        yield Problem.at(f"{place}.required", required, "must be a list of property names")
    if not _is_list(known.get("enum", [])):
        yield Problem.at(f"{place}.enum", known["enum"], "must be a list")
    for where, child in _children(known):
        yield from schema_problems(child, f"{place}.{where}", depth + 1)


def _children(schema: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    for name in _NAMED_SCHEMAS:
        inner = schema.get(name)
        if inner is not None and not is_map(inner):
            yield name, inner
        for key, value in as_map(inner).items():
            yield f"{name}.{key}", value
    for name in _SCHEMA_LISTS:
        for index, value in enumerate(as_list(schema.get(name))):
            yield f"{name}[{index}]", value
    for name in _SCHEMAS:
        inner = schema.get(name)
        if inner is not None and not _is_list(inner):
            yield name, inner


def _choice(choice: Any, names: Sequence[str], *, own_tools: bool) -> Iterator[Problem]:
    if choice is None or choice in ("auto", "none"):
        return
    if not names:
        if not own_tools:
            yield Problem.at("tool_choice", choice, "needs tools to choose from: give `tools`")
        return
    if choice == "required":
        return
    chosen = [as_text(as_map(item.get("function")).get("name")) for item in _chosen(choice)]
    if not chosen or not all(chosen):
        way_out = "must be 'auto', 'none', 'required' or {'type': 'function', 'function': {'name': …}}"
        yield Problem.at("tool_choice", choice, way_out)
    for name in filter(None, chosen):
        if name not in names:
            yield Problem.at("tool_choice", name, f"names no tool of this request; known: {', '.join(names)}")


def _chosen(choice: object) -> list[dict[str, Any]]:
    """The functions in a choice: the one, or those of OpenAI's `allowed_tools`."""
    allowed = as_map(choice).get("allowed_tools")
    return as_maps(as_map(allowed).get("tools")) if allowed is not None else as_maps([choice])


def response_format_problems(wanted: object) -> Iterator[Problem]:
    """What is wrong with a request's response format."""
    kind = as_map(wanted).get("type")
    if kind not in ("text", "json_object", "json_schema"):
        yield Problem.at("response_format", wanted, "must have type 'text', 'json_object' or 'json_schema'")
    if kind == "json_schema":
        inner = as_map(as_map(wanted).get("json_schema"))
        if not as_text(inner.get("name")):
            yield Problem.at("response_format.json_schema.name", inner.get("name"), "must be a non-empty string")
        yield from schema_problems(inner.get("schema"), "response_format.json_schema.schema")
