"""Tools, tool choice and response format of a request: a check of their structure.

It finds common mistakes. It does not validate all of JSON Schema, since each provider supports a different subset.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hotspare.errors import Problem
from hotspare.providers.json_access import as_list, as_map, as_maps, as_text, is_map

_TYPES = ("array", "boolean", "integer", "null", "number", "object", "string")
_NAMED_SCHEMAS = ("properties", "$defs", "definitions", "patternProperties")
_SCHEMA_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_SCHEMAS = ("items", "additionalProperties", "not")
_MAX_DEPTH = 100


def tool_problems(tools: object, choice: object, *, provider_tools: bool = False) -> Iterator[Problem]:
    """Mistakes in a request's tools and tool choice.

    `provider_tools`: `extra` may hold a provider's own tools, so that a choice without `tools` is valid.
    """
    if not _is_list(tools):
        yield Problem.at("tools", tools, "must be a list of tools")
        return
    names: list[str] = []
    for index, tool in enumerate(as_list(tools)):
        path = f"tools[{index}]"
        function = as_map(tool).get("function")
        if not is_map(function):
            yield Problem.at(path, tool, "must be {'type': 'function', 'function': {'name': …, 'parameters': {…}}}")
            continue
        name, parameters = as_map(function).get("name"), as_map(function).get("parameters")
        if not isinstance(name, str) or not name:
            yield Problem.at(f"{path}.function.name", name, "must be a non-empty string")
        elif name in names:
            yield Problem.at(f"{path}.function.name", name, "is a duplicate; names must be unique")
        names.append(str(name))
        if parameters is not None:
            yield from _parameter_problems(parameters, f"{path}.function.parameters")
    yield from _choice_problems(choice, names, provider_tools=provider_tools)


def _is_list(value: object) -> bool:
    return isinstance(value, (list, tuple))


def _parameter_problems(schema: object, path: str) -> Iterator[Problem]:
    kind = as_map(schema).get("type", "object")
    if kind != "object":
        yield Problem.at(f"{path}.type", kind, "must be 'object': the arguments of a tool have names")
        return
    yield from schema_problems(schema, path)


def schema_problems(schema: object, path: str, depth: int = 0) -> Iterator[Problem]:
    """Mistakes in a JSON schema's structure: types, required, enum and nested schemas."""
    if isinstance(schema, bool) and depth:
        return
    if not is_map(schema) or depth > _MAX_DEPTH:
        yield Problem.at(path, schema, "must be a JSON schema, e.g. {'type': 'object', 'properties': {}}")
        return
    known = as_map(schema)
    kinds = as_list(known.get("type")) or [known.get("type")]
    if "type" in known and not all(kind in _TYPES for kind in kinds):
        yield Problem.at(f"{path}.type", known["type"], f"must be one of {', '.join(_TYPES)}")
    required = known.get("required", [])
    if not _is_list(required) or not all(isinstance(name, str) for name in as_list(required)):
        yield Problem.at(f"{path}.required", required, "must be a list of property names")
    if not _is_list(known.get("enum", [])):
        yield Problem.at(f"{path}.enum", known["enum"], "must be a list")
    for name, child in _children(known):
        yield from schema_problems(child, f"{path}.{name}", depth + 1)


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


def _choice_problems(choice: Any, names: Sequence[str], *, provider_tools: bool) -> Iterator[Problem]:
    if choice is None or choice in ("auto", "none"):
        return
    if not names:
        if not provider_tools:
            yield Problem.at("tool_choice", choice, "needs tools to choose from: set `tools`")
        return
    if choice == "required":
        return
    chosen = [as_text(as_map(item.get("function")).get("name")) for item in _chosen_functions(choice)]
    if not chosen or not all(chosen):
        hint = "must be 'auto', 'none', 'required' or {'type': 'function', 'function': {'name': …}}"
        yield Problem.at("tool_choice", choice, hint)
    for name in filter(None, chosen):
        if name not in names:
            yield Problem.at("tool_choice", name, f"is not a tool of this request; the tools are {', '.join(names)}")


def _chosen_functions(choice: object) -> list[dict[str, Any]]:
    """The functions that a tool choice names: one, or those of OpenAI's `allowed_tools`."""
    allowed = as_map(choice).get("allowed_tools")
    return as_maps(as_map(allowed).get("tools")) if allowed is not None else as_maps([choice])


def response_format_problems(wanted: object) -> Iterator[Problem]:
    """Mistakes in a request's response format."""
    kind = as_map(wanted).get("type")
    if kind not in ("text", "json_object", "json_schema"):
        yield Problem.at("response_format", wanted, "must have type 'text', 'json_object' or 'json_schema'")
    if kind == "json_schema":
        inner = as_map(as_map(wanted).get("json_schema"))
        if not as_text(inner.get("name")):
            yield Problem.at("response_format.json_schema.name", inner.get("name"), "must be a non-empty string")
        yield from schema_problems(inner.get("schema"), "response_format.json_schema.schema")
