"""The arguments of a LangChain model's call -> hotspare's request and call options."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from hotspare import CallOptions, ChatRequest, Pool, Problem, RequestError, Target
from langchain_core.messages import BaseMessage

from langchain_hotspare.backend import LangChainBackend
from langchain_hotspare.backend_request import LangChainCall
from langchain_hotspare.binding import Binding
from langchain_hotspare.messages import openai_messages
from langchain_hotspare.tools import (
    is_allowed_tools,
    langchain_choice,
    openai_choice,
    openai_response_format,
    openai_tools,
)

BINDING_KEY = "hotspare_binding"
"""The bound argument that carries the arguments of `bind_tools` to the pool's LangChain models."""

_FIELDS = frozenset(field.name for field in dataclasses.fields(ChatRequest)) - {"messages", "native"}
_OPTIONS = frozenset(CallOptions.__annotations__) - _FIELDS - {"native"}
_SYNONYMS = {"timeout": "deadline", "max_completion_tokens": "max_tokens", "max_output_tokens": "max_tokens"}
_IGNORED = frozenset({"stream", "strict", "ls_structured_output_format", "structured_output_format"})
"""Arguments that LangChain passes to every model, and that a pool ignores."""


def request_of(
    pool: Pool, messages: Sequence[BaseMessage], stop: Sequence[str] | None, settings: Mapping[str, Any]
) -> tuple[ChatRequest, dict[str, Any]]:
    """The request, and the options of `Pool.chat` for it.

    `settings`: arguments of the model and of the call; the call's take precedence. Raises RequestError for an argument that
    neither the request nor a LangChain model has.
    """
    given = {_SYNONYMS.get(name, name): value for name, value in settings.items() if value is not None}
    binding: Binding | None = given.pop(BINDING_KEY, None)
    options = {name: given.pop(name) for name in _OPTIONS & given.keys()}
    fields = {name: given.pop(name) for name in _FIELDS & given.keys()}
    further = {name: value for name, value in given.items() if name not in _IGNORED}
    wrapped = langchain_targets(pool)
    if further and wrapped < len(pool.targets):
        known = ", ".join(sorted(_FIELDS | _OPTIONS))
        raise RequestError(
            [Problem.at(n, v, f"is not an argument of a call; known: {known}") for n, v in further.items()]
        )
    if stop:
        fields["stop"] = tuple(stop)
    if "response_format" in fields:
        fields["response_format"] = openai_response_format(fields["response_format"])
    if "tool_choice" in fields and not is_allowed_tools(fields["tool_choice"]):
        fields["tool_choice"] = openai_choice(langchain_choice(fields["tool_choice"]))
    converted = openai_messages(messages, keep_unknown=bool(wrapped))
    if wrapped:
        bound = None if binding is None else binding.for_call(fields)
        fields["native"] = LangChainCall(messages, len(converted), bound, further)
    return ChatRequest(messages=converted, **fields), options


def bound_arguments(
    pool: Pool, tools: Sequence[Any], tool_choice: Any, *, strict: bool | None, options: dict[str, Any]
) -> dict[str, Any]:
    """The keyword arguments that `bind_tools` binds. Raises RequestError for a tool that a target does not support."""
    choice = None if is_allowed_tools(tool_choice) else langchain_choice(tool_choice)
    converted, provider_specific = openai_tools(tools, strict)
    wrapped = langchain_targets(pool)
    if provider_specific and wrapped < len(pool.targets):
        way_out = "is a tool of one provider, which hotspare's own targets cannot send: use LangChain models only"
        raise RequestError([Problem.at("tools", name, way_out) for name in provider_specific])
    bound: dict[str, Any] = {"tools": converted, **options}
    if tool_choice is not None and choice not in provider_specific:
        bound["tool_choice"] = tool_choice if choice is None else openai_choice(choice)
    if not converted:
        bound.pop("tool_choice", None)
    if wrapped:
        format_ = options.get("response_format")
        bound[BINDING_KEY] = Binding(
            tools,
            choice,
            None if format_ is None else openai_response_format(format_),
            strict=strict,
            parallel_tool_calls=options.get("parallel_tool_calls"),
        )
    return {name: value for name, value in bound.items() if value is not None}


def langchain_targets(pool: Pool) -> int:
    """How many of the pool's targets are LangChain models. The number is cached, because a pool may have many targets; a change replaces the
    pool's `targets` as a whole."""
    targets, known = pool.targets, _COUNTED.get(pool)
    if known is None or known[0] is not targets:
        known = _COUNTED[pool] = targets, sum(isinstance(target.backend, LangChainBackend) for target in targets)
    return known[1]


_COUNTED = WeakKeyDictionary[Pool, tuple[Sequence[Target], int]]()
