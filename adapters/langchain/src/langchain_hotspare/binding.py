# LangChain's messages and tools hold any JSON: what is narrowed from Any stays partly unknown to pyright.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""Tools and response format of `bind_tools` and `with_structured_output`, translated for each LangChain model.

Each model class has its own tool format and its own structured output: its own `bind_tools` and `with_structured_output`
are called, and the arguments that they would bind are used for the pool's attempts.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from hotspare import ChatRequest
from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import Runnable, RunnableBinding, RunnableSequence

from langchain_hotspare.model_families import is_a, is_claude, takes_parallel_tool_calls
from langchain_hotspare.tools import (
    Json,
    anthropic_tool,
    is_provider_specific,
    langchain_choice,
    openai_choice,
    schema_of,
    tool_name,
    without_anthropic_fields,
)

_WARNINGS_LOCK = threading.Lock()
"""Python's warning filters are global: two threads that replace them at the same time may restore the wrong ones."""


class Binding:
    """The caller's tools, tool choice and response format.

    Args:
        tools: anything LangChain accepts as a tool, provider-specific dicts included.
        choice: `auto`, `any`, `none` or a tool's name.
        response_format: OpenAI's `response_format`.
        schema: the JSON schema of `response_format`, for models whose JSON mode accepts one.
        options: further arguments of the model's own `bind_tools`, e.g. `strict`.
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
        """The binding of a request in OpenAI's shape."""
        return cls(
            request.tools,
            langchain_choice(request.tool_choice),
            request.response_format,
            parallel_tool_calls=request.parallel_tool_calls,
        )

    def arguments_for(self, model: BaseChatModel) -> Json:
        """The keyword arguments of this model's calls. Raises what the model raises for unsupported tools or formats."""
        if not (self.tools or self.response_format):
            return {}
        found = self._bound.get(id(model))
        if found is None:
            # Some classes warn that they use another method than the one requested.
            with _WARNINGS_LOCK, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = self._bound[id(model)] = {**self._tools_for(model), **self._format_for(model)}
        return found

    def for_call(self, fields: Mapping[str, Any]) -> Binding | None:
        """The binding for a call with these request fields, which may override its choice and format. None: the fields have other tools."""
        bound = [tool_name(tool) for tool in self.tools if not is_provider_specific(tool)]
        if [tool_name(tool) for tool in fields.get("tools", ())] != bound:
            return None
        choice, format_ = fields.get("tool_choice"), fields.get("response_format", self.response_format)
        same_choice = choice == openai_choice(self.choice) or not bound
        if same_choice and format_ == self.response_format:
            return self
        return Binding(self.tools, self.choice if same_choice else langchain_choice(choice), format_, **self.options)

    def _tools_for(self, model: BaseChatModel) -> Json:
        if not self.tools:
            return {}
        options = dict(self.options)
        if not takes_parallel_tool_calls(model):
            options.pop("parallel_tool_calls", None)
        if self.choice is not None:
            # ChatAnthropic would look for a tool named "none".
            no_tool = self.choice == "none" and is_a(model, "ChatAnthropic")
            options["tool_choice"] = {"type": "none"} if no_tool else self.choice
        tools: list[Any] = [anthropic_tool(t) if is_claude(model) else without_anthropic_fields(t) for t in self.tools]
        if self.response_format is not None and is_a(model, "BaseChatOpenAI"):
            # OpenAI's client parses a structured answer only beside strict tools. LangChain makes bare functions strict,
            # and leaves tools in OpenAI's shape unchanged.
            options.setdefault("strict", True)
            tools = [_function_of(tool) for tool in tools]
        return _bound_arguments(model.bind_tools(tools, **options))

    def _format_for(self, model: BaseChatModel) -> Json:
        kind = (self.response_format or {}).get("type", "text")
        if kind == "text":
            return {}
        method = "json_mode" if kind == "json_object" else "json_schema"
        schema = self.schema or {"title": "answer", "type": "object", "properties": {}}
        return _bound_arguments(model.with_structured_output(schema, method=method))

    def __repr__(self) -> str:
        """Without memory addresses: the repr is part of LangChain's cache key."""
        names = ", ".join(tool_name(tool) for tool in self.tools)
        return f"Binding([{names}], {self.choice!r}, {self.response_format!r}, {sorted(self.options.items())!r})"


def _bound_arguments(runnable: Runnable[Any, Any]) -> Json:
    """The call arguments of a bound model, or of the bound model at the head of a chain."""
    head: Any = runnable.first if isinstance(runnable, RunnableSequence) else runnable
    if not isinstance(head, RunnableBinding):
        raise NotImplementedError(f"expected a bound model, got {type(head).__name__}")
    return {name: value for name, value in head.kwargs.items() if not name.startswith("ls_structured")}


def _function_of(tool: Any) -> Any:
    """The function inside a tool in OpenAI's shape; any other tool as it is."""
    return tool["function"] if isinstance(tool, Mapping) and isinstance(tool.get("function"), Mapping) else tool
