"""Explains why no target supports a request: the field or the part of a message, and the targets or providers that support it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from hotspare._health.target_state import TargetState
from hotspare._routing.capabilities import unsupported_fields
from hotspare.errors import Problem
from hotspare.messages import ChatRequest
from hotspare.providers.content import parts_of
from hotspare.target import Target

_MAX_PARTS = 5
"""Maximum number of parts that the error's message lists, because a long history may have many of the same kind."""


def unsendable(
    request: ChatRequest, unsupported: Mapping[TargetState, Sequence[str]], pool: Iterable[TargetState]
) -> list[Problem]:
    """One problem for each part of a message, and for each field, that a target does not support.

    `unsupported`: the targets of the call, with their unsupported fields. `pool`: all targets, to name one that supports the request.
    """
    found: list[Problem] = []
    fields = dict.fromkeys(name for names in unsupported.values() for name in names)
    others = [state for state in pool if state not in unsupported]
    for name in fields:
        states = [state for state, names in unsupported.items() if name in names]
        if name == "messages":
            found += _part_problems(request, states, others)
        elif able := _elsewhere(request, name, others):
            found.append(Problem(f"{name}: is not supported by {_names(states)}{able}"))
    reasons = "; ".join(f"{state.name}: {', '.join(names)}" for state, names in unsupported.items())
    summary = f"no target supports this request. Unsupported fields of each target: {reasons}. "
    return [Problem(summary + "Leave the field out, or let a target drop it (Target.droppable)"), *found]


def _part_problems(request: ChatRequest, states: Sequence[TargetState], others: Sequence[TargetState]) -> list[Problem]:
    found: list[Problem] = []
    for place, message in enumerate(request.messages):
        content = message.get("content")
        for index, part in enumerate(parts_of(content) if not isinstance(content, str) else ()):
            alone = replace(request, messages=[{"role": "user", "content": [part]}], tools=(), response_format=None)
            refusing = [state for state in states if "messages" in _fields(alone, state)]
            if not refusing:
                continue
            where, kind = f"messages[{place}].content[{index}]", part.get("type")
            text = f"{where}: a part of type {kind!r} is not supported by {_names(refusing)}{_elsewhere(alone, 'messages', others)}"
            found.append(Problem(f"{text}{_providers(alone)}"))
    if not found:
        return [Problem(f"messages: not supported by {_names(states)}{_elsewhere(request, 'messages', others)}")]
    left = len(found) - _MAX_PARTS
    return [*found[:_MAX_PARTS], *([Problem(f"messages: {left} more parts of this kind")] if left > 0 else [])]


def _fields(request: ChatRequest, state: TargetState) -> Sequence[str]:
    return unsupported_fields(request, state.target, state.backend)


def _names(states: Iterable[TargetState]) -> str:
    return ", ".join(_name(state) for state in states)


def _name(state: TargetState) -> str:
    """The target, and its `missing` capabilities if they are the reason."""
    missing = ", ".join(sorted(state.target.missing))
    return f"{state.name} (missing: {missing})" if missing else state.name


def _elsewhere(request: ChatRequest, name: str, others: Sequence[TargetState]) -> str:
    able = [state.name for state in others if name not in _fields(request, state)]
    return f"; supported by {', '.join(able)}: model={able[0]!r}" if able else ""


def _providers(request: ChatRequest) -> str:
    """The providers whose wire format supports such a part."""
    from hotspare.providers.presets import PRESETS

    able: list[Any] = []
    for name, preset in PRESETS.items():
        target = Target(f"{name}/any", base_url="http://localhost")
        if "messages" not in preset.wire().unsupported(request, target):
            able.append(name)
    return (
        f"; supported by these providers: {', '.join(able)}"
        if able
        else "; no provider supports it: leave the part out"
    )
