# LangChain's messages and tools hold any JSON: what is narrowed from Any stays partly unknown to pyright.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""What `bind_tools` and `with_structured_output` asked for: in OpenAI's shape for wires, and as each member wants it.

Every native model keeps its own tool format and its own way to structured output: its own `bind_tools` and
`with_structured_output` are asked, and what they would bind is read off and used for its attempts.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from hotspare import ChatRequest
from hotspare.errors import Problem, RequestError
from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import Runnable, RunnableBinding, RunnableSequence
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool

from langchain_hotspare.families import is_a

Json = dict[str, Any]

_QUIET = threading.Lock()
"""Python's warning filters are the process's: two threads that change them at once would leave them changed."""


class Binding:
    """Tools, a choice among them and a response format, as the caller gave them.

    Args:
        tools: anything LangChain calls a tool; a provider's own tools (dicts with a `type` of their own) too.
        choice: `auto`, `any`, `none` or a tool's name.
        response_format: OpenAI's `response_format`.
        schema: the JSON schema behind `response_format`, for members whose JSON mode wants one.
        options: further words for the member's own `bind_tools`, e.g. `strict`.
    """

    def __init__(
        self,
        tools: Sequence[Any] = (),
        choice: str | None = None,
        response_format: Mapping[str, Any] | None = None,
        schema: Json | None = None,
        **options: Any,
    ) -> None:
        self.tools, self.choice, self.response_format = tuple(tools), choice, response_format
        self.schema = schema or schema_of(response_format)
        self.options = {name: value for name, value in options.items() if value is not None}
        self._bound: dict[int, Json] = {}

    @classmethod
    def of(cls, request: ChatRequest) -> Binding:
        """What a request in OpenAI's shape asks for."""
        return cls(
            request.tools,
            plain_choice(request.tool_choice),
            request.response_format,
            parallel_tool_calls=request.parallel_tool_calls,
        )

    def kwargs_for(self, model: BaseChatModel) -> Json:
        """What this model's calls get. Raises whatever the model raises for what it cannot do."""
        if not (self.tools or self.response_format):
            return {}
        found = self._bound.get(id(model))
        if found is None:
            with (
                _QUIET,
                warnings.catch_warnings(),
            ):  # a member may say that it does this in another way than it was asked
                warnings.simplefilter("ignore")
                found = self._bound[id(model)] = {**self._tools_for(model), **self._format_for(model)}
        return found

    def in_call(self, fields: Mapping[str, Any]) -> Binding | None:
        """What holds in a call with these fields of a request, which may say otherwise; None: the fields alone."""
        plain = [tool_name(tool) for tool in self.tools if not _is_own(tool)]
        if [tool_name(tool) for tool in fields.get("tools", ())] != plain:
            return None
        choice, format_ = fields.get("tool_choice"), fields.get("response_format", self.response_format)
        same_choice = choice == wire_choice(self.choice) or not plain
        if same_choice and format_ == self.response_format:
            return self
        choice = self.choice if same_choice else plain_choice(choice)
        return Binding(self.tools, choice, format_, **self.options)

    def _tools_for(self, model: BaseChatModel) -> Json:
        if not self.tools:
            return {}
        options = dict(self.options)
        if self.choice is not None:
            no_tool = self.choice == "none" and is_a(model, "ChatAnthropic")  # which would look for a tool of that name
            options["tool_choice"] = {"type": "none"} if no_tool else self.choice
        tools: Sequence[Any] = self.tools
        if self.response_format is not None and is_a(model, "BaseChatOpenAI"):
            options.setdefault("strict", True)  # OpenAI's client parses a structured answer beside strict tools only
            tools = [_bare(tool) for tool in tools]
        return _bound(model.bind_tools(tools, **options))

    def _format_for(self, model: BaseChatModel) -> Json:
        kind = (self.response_format or {}).get("type", "text")
        if kind == "text":
            return {}
        method = "json_mode" if kind == "json_object" else "json_schema"
        schema = self.schema or {"title": "answer", "type": "object", "properties": {}}
        return _bound(model.with_structured_output(schema, method=method))

    def __repr__(self) -> str:
        """Without addresses: a cache's key may hold it."""
        names = ", ".join(tool_name(tool) for tool in self.tools)
        return f"Binding([{names}], {self.choice!r}, {self.response_format!r}, {sorted(self.options.items())!r})"


def _bound(runnable: Runnable[Any, Any]) -> Json:
    """The call kwargs of a bound model, or of the one at the head of a chain."""
    head: Any = runnable.first if isinstance(runnable, RunnableSequence) else runnable
    if not isinstance(head, RunnableBinding):
        raise NotImplementedError(f"{type(head).__name__} stands where a bound model was expected")
    return {name: value for name, value in head.kwargs.items() if not name.startswith("ls_structured")}


def tool_name(tool: Any) -> str:
    """How a tool is called."""
    if isinstance(tool, Mapping):
        function: Any = tool.get("function")
        named = function if isinstance(function, Mapping) else tool
        return str(named.get("name") or named.get("title") or named.get("type"))
    return str(getattr(tool, "name", None) or getattr(tool, "__name__", type(tool).__name__))


def _bare(tool: Any) -> Any:
    """The function inside of OpenAI's tool: LangChain makes those strict, and leaves whole tools as they are."""
    return tool["function"] if isinstance(tool, Mapping) and isinstance(tool.get("function"), Mapping) else tool


def wire_tools(tools: Sequence[Any], strict: bool | None) -> tuple[list[Json], list[str]]:
    """The tools in OpenAI's shape, and the names of those that only their own provider knows."""
    found: list[Json] = []
    own: list[str] = []
    for tool in tools:
        if _is_own(tool):
            own.append(tool_name(tool))
            continue
        converted = convert_to_openai_tool(tool, strict=strict)
        if isinstance(tool, Mapping) and "cache_control" in tool:
            converted["cache_control"] = tool["cache_control"]
        found.append(converted)
    return found, own


def _is_own(tool: Any) -> bool:
    """Whether a dict is a provider's own tool: no function, no schema, e.g. `{"type": "web_search_20250305", …}`."""
    return isinstance(tool, Mapping) and not {"function", "input_schema", "parameters", "properties"} & tool.keys()


def plain_choice(choice: Any) -> str | None:
    """A tool choice in LangChain's words: `auto`, `any`, `none`, a tool's name, or None.

    Taken are True (any), `required`, and the dicts of OpenAI and Anthropic. Raises RequestError for anything else.
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


def wire_choice(choice: str | None) -> str | Json | None:
    """A plain choice as OpenAI writes it."""
    if choice in (None, "auto", "none"):
        return choice
    return "required" if choice == "any" else {"type": "function", "function": {"name": choice}}


def schema_of(response_format: Mapping[str, Any] | None) -> Json | None:
    """The JSON schema inside a response format, with its name as title."""
    inner = (response_format or {}).get("json_schema")
    if not isinstance(inner, Mapping) or not isinstance(inner.get("schema"), Mapping):
        return None
    return {"title": inner.get("name", "answer"), **inner["schema"]}


def json_schema_format(schema: Any, strict: bool | None = None) -> Json:
    """OpenAI's `response_format` for a pydantic class, a TypedDict or a JSON schema."""
    if isinstance(schema, Mapping) and schema.get("type") in ("json_schema", "json_object", "text"):
        return dict(schema)
    plain = convert_to_json_schema(dict(schema) if isinstance(schema, Mapping) else schema)
    wanted: Json = {"name": plain.get("title") or "answer", "schema": plain}
    return {"type": "json_schema", "json_schema": wanted if strict is None else {**wanted, "strict": strict}}
