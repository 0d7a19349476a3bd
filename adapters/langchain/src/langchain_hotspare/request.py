# LangChain's messages and tools hold any JSON: what is narrowed from Any stays partly unknown to pyright.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""What LangChain calls a model with -> hotspare's request and options."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from hotspare import ChatRequest, Pool
from hotspare.errors import Problem, RequestError
from langchain_core.messages import BaseMessage

from langchain_hotspare.binding import Binding, json_schema_format, plain_choice, wire_choice, wire_tools
from langchain_hotspare.messages import wire_messages

BINDING = "hotspare_binding"
"""The bound keyword that carries what `bind_tools` was given to native members."""

_FIELDS = frozenset(field.name for field in dataclasses.fields(ChatRequest)) - {"messages", "native"}
_OPTIONS = frozenset({"deadline", "max_attempts", "whole"})
_OTHER_WORDS = {"timeout": "deadline", "max_completion_tokens": "max_tokens", "max_output_tokens": "max_tokens"}
_NOT_OURS = frozenset({"stream", "strict", "ls_structured_output_format", "structured_output_format"})
"""Words that LangChain passes along and that say nothing to a pool."""


@dataclasses.dataclass(frozen=True, slots=True)
class NativeCall:
    """What native members get: the caller's own messages, binding and further keywords.

    `length` is how many of the request's OpenAI-shaped messages stand for them; what follows was put there by recovery.
    """

    messages: Sequence[BaseMessage]
    length: int
    binding: Binding | None
    kwargs: dict[str, Any]


def request_of(
    messages: Sequence[BaseMessage],
    stop: Sequence[str] | None,
    settings: Mapping[str, Any],
    *,
    wires: bool,
    natives: bool,
) -> tuple[ChatRequest, dict[str, Any]]:
    """The request and the options of `Pool.chat` for it.

    `settings` are the model's own and the call's. `wires`, `natives`: whether the pool has members of that sort.
    Raises RequestError for a word that neither a request nor a native member could take.
    """
    given = {_OTHER_WORDS.get(name, name): value for name, value in settings.items() if value is not None}
    binding: Binding | None = given.pop(BINDING, None)
    options = {name: given.pop(name) for name in _OPTIONS & given.keys()}
    fields = {name: given.pop(name) for name in _FIELDS & given.keys()}
    further = {name: value for name, value in given.items() if name not in _NOT_OURS}
    if further and (wires or not natives):
        known = ", ".join(sorted(_FIELDS | _OPTIONS))
        raise RequestError([Problem.at(n, v, f"is no word of a call; known: {known}") for n, v in further.items()])
    if stop:
        fields["stop"] = tuple(stop)
    if "response_format" in fields:
        fields["response_format"] = json_schema_format(fields["response_format"])
    if "tool_choice" in fields and not _is_list_choice(fields["tool_choice"]):
        fields["tool_choice"] = wire_choice(plain_choice(fields["tool_choice"]))
    wire = wire_messages(messages)
    if natives:
        bound = None if binding is None else binding.in_call(fields)
        fields["native"] = NativeCall(messages, len(wire), bound, further)
    return ChatRequest(messages=wire, **fields), options


def bound_kwargs(
    pool: Pool, tools: Sequence[Any], tool_choice: Any, *, strict: bool | None, options: dict[str, Any], natives: int
) -> dict[str, Any]:
    """The keywords that `bind_tools` binds. Raises RequestError for a tool that no member could be told of."""
    choice = None if _is_list_choice(tool_choice) else plain_choice(tool_choice)
    plain, own = wire_tools(tools, strict)
    if own and natives < len(pool.targets):
        way_out = "is a provider's own tool: a wire target cannot be told of it. Use native members only"
        raise RequestError([Problem.at("tools", name, way_out) for name in own])
    bound: dict[str, Any] = {"tools": plain, **options}
    if tool_choice is not None and choice not in own:
        bound["tool_choice"] = tool_choice if choice is None else wire_choice(choice)
    if not plain:
        bound.pop("tool_choice", None)
    if natives:
        format_ = options.get("response_format")
        bound[BINDING] = Binding(
            tools,
            choice,
            None if format_ is None else json_schema_format(format_),
            strict=strict,
            parallel_tool_calls=options.get("parallel_tool_calls"),
        )
    return {name: value for name, value in bound.items() if value is not None}


def _is_list_choice(choice: Any) -> bool:
    """Whether it is OpenAI's choice over several tools, which has no LangChain word."""
    return isinstance(choice, Mapping) and choice.get("type") == "allowed_tools"
