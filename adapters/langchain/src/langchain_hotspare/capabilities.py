"""The capabilities of a pool: those that all its targets have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from hotspare import ChatRequest, Pool, Target
from langchain_core.language_models import ModelProfile

from langchain_hotspare.backend import LangChainBackend

_PIXEL = "data:image/png;base64,iVBORw0KGgo="
_TOOL: dict[str, Any] = {
    "type": "function",
    "function": {"name": "probe", "parameters": {"type": "object", "properties": {}}},
}
_SCHEMA: dict[str, Any] = {
    "type": "json_schema",
    "json_schema": {"name": "probe", "schema": {"type": "object", "properties": {}}},
}
_HELLO = [{"role": "user", "content": "hello"}]
_IMAGE = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": _PIXEL}}]}]
_PROBES: Mapping[str, ChatRequest] = {
    "tool_calling": ChatRequest(messages=_HELLO, tools=[_TOOL]),
    "tool_choice": ChatRequest(messages=_HELLO, tools=[_TOOL], tool_choice="required"),
    "structured_output": ChatRequest(messages=_HELLO, response_format=_SCHEMA),
    "image_inputs": ChatRequest(messages=_IMAGE),
}
"""Keys of a model profile, and a request that only a target with this capability supports."""


def capabilities_of(pool: Pool, model: str | None) -> ModelProfile:
    """The profile that holds for every target that may answer a call with this `model`.

    LangChain models have a profile of their own. For hotspare's targets, `Pool.explain` shows, without making a call,
    whether they support a request that needs the capability. The context window is the smallest one.

    Raises RequestError for a route or model that the pool does not have.
    """
    supported: dict[str, dict[str, bool]] = {}
    for capability, probe in _PROBES.items():
        for choice in pool.explain(probe, model=model).choices:
            supported.setdefault(choice.target, {})[capability] = not choice.unsupported
    return intersection(_profile(target, supported[target.name]) for target in pool.targets if target.name in supported)


def _profile(target: Target, supported: Mapping[str, bool]) -> Mapping[str, Any]:
    if isinstance(target.backend, LangChainBackend):
        return target.backend.model.profile or {}
    return supported if target.context_window is None else {**supported, "max_input_tokens": target.context_window}


def intersection(profiles: Iterable[Mapping[str, Any]]) -> ModelProfile:
    """The keys that hold for all profiles.

    A boolean is true only if it is true in all of them, and left out if some do not have it and none is false. A number
    is the smallest of those that are known.
    """
    known = list(profiles)
    found: dict[str, Any] = {}
    for key in {key: None for profile in known for key in profile}:
        values = [profile.get(key) for profile in known]
        if any(isinstance(value, bool) for value in values):
            if False in values or None not in values:
                found[key] = all(value is True for value in values)
        elif numbers := [value for value in values if isinstance(value, int)]:
            found[key] = min(numbers)
    return cast("ModelProfile", found)
