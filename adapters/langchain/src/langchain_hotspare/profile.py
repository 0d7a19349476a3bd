"""What a pool can do for sure: what every one of its members can."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from hotspare import ChatRequest, Pool
from langchain_core.language_models import ModelProfile

from langchain_hotspare.native import NativeBackend

_PIXEL = "data:image/png;base64,iVBORw0KGgo="
_TOOL: dict[str, Any] = {
    "type": "function",
    "function": {"name": "probe", "parameters": {"type": "object", "properties": {}}},
}
_SCHEMA: dict[str, Any] = {
    "type": "json_schema",
    "json_schema": {"name": "probe", "schema": {"type": "object", "properties": {}}},
}
_PROBES: Mapping[str, dict[str, Any]] = {
    "tool_calling": {"tools": [_TOOL]},
    "tool_choice": {"tools": [_TOOL], "tool_choice": "required"},
    "structured_output": {"response_format": _SCHEMA},
    "image_inputs": {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": _PIXEL}}]}]},
}
_HELLO = [{"role": "user", "content": "hello"}]


def profile_of(pool: Pool, model: str | None) -> ModelProfile:
    """The intersection over the members that a call of `model` may meet: all must be able, the smallest window counts.

    A wire target is asked by `Pool.explain` whether it could carry such a request; a native one has its own profile.
    """
    native = {t.name: t.backend.model.profile for t in pool.targets if isinstance(t.backend, NativeBackend)}
    names = [choice.target for choice in pool.explain(model=model).choices]
    carried = {
        need: {
            c.target: not c.reason.startswith("cannot carry")
            for c in pool.explain(_request(probe), model=model).choices
        }
        for need, probe in _PROBES.items()
    }
    windows = {target.name: target.context_window for target in pool.targets}
    profiles = [_wire(name, carried, windows[name]) if name not in native else native[name] for name in names]
    return intersection([profile or {} for profile in profiles])


def intersection(profiles: Iterable[Mapping[str, Any]]) -> ModelProfile:
    """Booleans that all have, and true only if all are; the smallest of the numbers that are known."""
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


def _wire(name: str, carried: Mapping[str, Mapping[str, bool]], window: int | None) -> dict[str, Any]:
    profile: dict[str, Any] = {need: can[name] for need, can in carried.items()}
    return profile if window is None else {**profile, "max_input_tokens": window}


def _request(probe: dict[str, Any]) -> ChatRequest:
    fields: dict[str, Any] = {"messages": _HELLO, **probe}
    return ChatRequest(**fields)
