# LangChain's messages and tools hold any JSON: what is narrowed from Any stays partly unknown to pyright.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""LangChain's tools, tool choices and schemas in OpenAI's shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hotspare import Problem, RequestError
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool

Json = dict[str, Any]

ANTHROPIC_TOOL_FIELDS = ("cache_control", "defer_loading", "allowed_callers", "eager_input_streaming", "input_examples")
"""Fields of a tool for Anthropic only. They are passed to hotspare's own targets beside the tool's `function`."""


def openai_tools(tools: Sequence[Any], strict: bool | None) -> tuple[list[Json], list[str]]:
    """The tools in OpenAI's shape, and the names of provider-specific tools, which have no such shape."""
    found: list[Json] = []
    provider_specific: list[str] = []
    for tool in tools:
        if is_provider_specific(tool):
            provider_specific.append(tool_name(tool))
            continue
        converted = convert_to_openai_tool(tool, strict=strict)
        found.append({**converted, **anthropic_fields(tool)})
    return found, provider_specific


def anthropic_fields(tool: Any) -> Json:
    """A tool's fields for Anthropic only, such as `cache_control`: beside or in a dict's function, or in a tool object's `extras`."""
    if isinstance(tool, Mapping):
        function: Any = tool.get("function")
        fields = {**function, **tool} if isinstance(function, Mapping) else tool
    else:
        fields = getattr(tool, "extras", None) or {}
    return {name: fields[name] for name in ANTHROPIC_TOOL_FIELDS if name in fields}


def without_anthropic_fields(tool: Any) -> Any:
    """The tool without these fields, for models other than Claude. Tool objects are returned unchanged, because only Claude's classes
    read their `extras`."""
    if not isinstance(tool, Mapping) or is_provider_specific(tool) or not anthropic_fields(tool):
        return tool
    plain = {name: value for name, value in tool.items() if name not in ANTHROPIC_TOOL_FIELDS}
    function = plain.get("function")
    if isinstance(function, Mapping):
        plain["function"] = {name: value for name, value in function.items() if name not in ANTHROPIC_TOOL_FIELDS}
    return plain


def anthropic_tool(tool: Any) -> Any:
    """A dict with such fields in Anthropic's shape, in which Claude's classes keep them. Any other tool is returned unchanged."""
    fields = anthropic_fields(tool)
    if not isinstance(tool, Mapping) or is_provider_specific(tool) or not fields:
        return tool
    function = convert_to_openai_tool(without_anthropic_fields(tool))["function"]
    return {
        "name": function["name"],
        "description": function.get("description")
        or function["name"],  # without a description, the shape is not recognized
        "input_schema": function.get("parameters") or {"type": "object", "properties": {}},
        **({"strict": function["strict"]} if "strict" in function else {}),
        **fields,
    }


def is_provider_specific(tool: Any) -> bool:
    """Whether a dict is a tool of one provider: neither function nor schema, e.g. `{"type": "web_search_20250305", …}`."""
    return isinstance(tool, Mapping) and not {"function", "input_schema", "parameters", "properties"} & tool.keys()


def tool_name(tool: Any) -> str:
    """The name of anything that LangChain accepts as a tool."""
    if isinstance(tool, Mapping):
        function: Any = tool.get("function")
        named = function if isinstance(function, Mapping) else tool
        return str(named.get("name") or named.get("title") or named.get("type"))
    return str(getattr(tool, "name", None) or getattr(tool, "__name__", type(tool).__name__))


def langchain_choice(choice: Any) -> str | None:
    """A tool choice in LangChain's form: `auto`, `any`, `none`, a tool's name, or None.

    Accepts True (`any`), `required`, and the dicts of OpenAI and Anthropic. Raises RequestError for anything else.
    """
    if choice is None or choice is False:
        return None
    if choice is True or choice == "required":
        return "any"
    if isinstance(choice, str):
        return choice
    if isinstance(choice, Mapping):
        kind, function = choice.get("type"), choice.get("function")
        if kind in ("auto", "any", "none"):
            return str(kind)
        name = function.get("name") if isinstance(function, Mapping) else choice.get("name")
        if kind in ("function", "tool") and isinstance(name, str):
            return name
    raise RequestError(Problem.at("tool_choice", choice, "must be 'auto', 'any', 'none', True or a tool's name"))


def openai_choice(choice: str | None) -> str | Json | None:
    """A tool choice in LangChain's form as OpenAI writes it."""
    if choice in (None, "auto", "none"):
        return choice
    return "required" if choice == "any" else {"type": "function", "function": {"name": choice}}


def is_allowed_tools(choice: Any) -> bool:
    """Whether it is OpenAI's choice among several tools, for which LangChain has no form."""
    return isinstance(choice, Mapping) and choice.get("type") == "allowed_tools"


def openai_response_format(schema: Any, strict: bool | None = None) -> Json:
    """OpenAI's `response_format` for a pydantic class, a TypedDict, a JSON schema, or such a format itself."""
    if isinstance(schema, Mapping) and schema.get("type") in ("json_schema", "json_object", "text"):
        return dict(schema)
    plain = convert_to_json_schema(dict(schema) if isinstance(schema, Mapping) else schema)
    inner: Json = {"name": plain.get("title") or "answer", "schema": plain}
    return {"type": "json_schema", "json_schema": inner if strict is None else {**inner, "strict": strict}}


def schema_of(response_format: Mapping[str, Any] | None) -> Json | None:
    """The JSON schema inside a `response_format`, with the format's name as its title."""
    inner = (response_format or {}).get("json_schema")
    if not isinstance(inner, Mapping) or not isinstance(inner.get("schema"), Mapping):
        return None
    return {"title": inner.get("name", "answer"), **inner["schema"]}
