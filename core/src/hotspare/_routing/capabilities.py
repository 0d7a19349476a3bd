"""What a target cannot be sent: judged in one place, for every backend alike."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from hotspare.messages import ChatRequest

if TYPE_CHECKING:
    from hotspare.backend import Backend
    from hotspare.target import Target

_EMPTY = ChatRequest(messages=())


def unsupported_fields(request: ChatRequest, target: Target, backend: Backend) -> tuple[str, ...]:
    """Names of the request's fields that the backend cannot send, or the model cannot serve (`Target.missing`)."""
    found = backend.unsupported(request)
    return tuple(dict.fromkeys((*found, *_missing(request, target)))) if target.missing else found


def without_fields(request: ChatRequest, names: Iterable[str]) -> ChatRequest:
    """The request without these fields. Of `messages`, everything but text is left out."""
    values: dict[str, Any] = {name: getattr(_EMPTY, name) for name in names}
    if "messages" in names:
        values["messages"] = [{**message, "content": _texts(message.get("content"))} for message in request.messages]
    return dataclasses.replace(request, **values) if values else request


def _missing(request: ChatRequest, target: Target) -> list[str]:
    shape = (request.response_format or {}).get("type")
    needs = {
        "tools": "tools" in target.missing and bool(request.tools),
        "messages": "vision" in target.missing and _has_images(request),
        "response_format": (shape == "json_object" and "json_mode" in target.missing)
        or (shape == "json_schema" and "json_schema" in target.missing),
        "seed": "seed" in target.missing and request.seed is not None,
        "reasoning_effort": "reasoning" in target.missing and request.reasoning_effort not in (None, "none"),
    }
    return [name for name, needed in needs.items() if needed]


def _has_images(request: ChatRequest) -> bool:
    return any(
        part.get("type") == "image_url" for message in request.messages for part in _parts(message.get("content"))
    )


def _texts(content: object) -> object:
    if content is None or isinstance(content, str):
        return content
    return [part for part in _parts(content) if part.get("type") in ("text", "refusal")]


def _parts(content: object) -> list[Mapping[str, Any]]:
    """The parts of a message's content; a bare string inside a list is a text part."""
    if isinstance(content, str) or not isinstance(content, Sequence):
        return []
    found: list[Mapping[str, Any]] = []
    for part in cast("Sequence[object]", content):
        if isinstance(part, str):
            found.append({"type": "text", "text": part})
        elif isinstance(part, Mapping):
            found.append(cast("Mapping[str, Any]", part))
    return found
