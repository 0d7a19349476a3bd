"""Which fields and features of a request a target does not support: decided here, for every backend."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from hotspare.messages import ChatRequest

if TYPE_CHECKING:
    from hotspare.backend import Backend
    from hotspare.outcome import Outcome
    from hotspare.target import Target

PREFERENCES = frozenset({"parallel_tool_calls"})
"""Optional fields: a target that does not support them is called without them."""
_DEFAULTS = ChatRequest(messages=())


def unsupported_fields(request: ChatRequest, target: Target, backend: Backend) -> tuple[str, ...]:
    """Names of the request's fields that the backend cannot send, or the model does not support (`Target.missing`)."""
    found = backend.unsupported(request)
    return tuple(dict.fromkeys((*found, *_missing(request, target)))) if target.missing else found


def required_fields(names: Iterable[str], target: Target) -> tuple[str, ...]:
    """The fields among `names` that must not be dropped for this target (`Target.droppable`, `Target.drop`)."""
    return tuple(
        name for name in names if name not in target.droppable and name not in target.drop and name not in PREFERENCES
    )


def without_fields(request: ChatRequest, names: Iterable[str]) -> ChatRequest:
    """The request without these fields. From `messages`, everything but text is removed."""
    values: dict[str, Any] = {name: getattr(_DEFAULTS, name) for name in names}
    if "messages" in names:
        values["messages"] = [{**message, "content": _texts(message.get("content"))} for message in request.messages]
    return dataclasses.replace(request, **values) if values else request


_FEATURE_PATTERNS: Mapping[str, re.Pattern[str]] = {
    name: re.compile(words, re.I)
    for name, words in {
        "tools": r"\btools?\b|function|tool_",
        "tool_choice": r"tool_choice|tool choice",
        "parallel_tool_calls": r"parallel",
        "response_format": r"response_format|json_schema|json[ _](?:mode|object|schema|output)|structured[ _]output",
        "temperature": "temperature",
        "top_p": "top_p",
        "top_k": "top_k",
        "max_tokens": r"max_(?:completion_|output_)?tokens",
        "stop": r"\bstop\b|stop_sequences",
        "seed": r"\bseed\b",
        "frequency_penalty": "frequency_penalty|frequency penalty",
        "presence_penalty": "presence_penalty|presence penalty",
        "reasoning_effort": "reasoning|thinking",
        "user": r"\buser\b",
        "images": r"\bimages?\b|image_url|vision|multi-?modal",
        "audio": r"audio",
        "files": r"\bfiles?\b|document|pdf",
        "stream": r"\bstream",
    }.items()
}
"""How error messages name a feature. The names are fields of ChatRequest, kinds of content, and `stream`."""
_PART_FEATURES = {"image_url": "images", "input_audio": "audio", "file": "files"}


def features_of(request: ChatRequest, *, streaming: bool) -> frozenset[str]:
    """What a request uses beyond plain text in and out."""
    found = {name for name in _FEATURE_PATTERNS if getattr(request, name, None) not in (None, (), "")}
    parts = [part.get("type") for message in request.messages for part in _parts(message.get("content"))]
    found.update(_PART_FEATURES[kind] for kind in parts if kind in _PART_FEATURES)
    return frozenset(found | {"stream"} if streaming else found)


def named_features(features: frozenset[str], outcome: Outcome) -> frozenset[str]:
    """Those of the features that the error names."""
    words = f"{outcome.param or ''} {outcome.message}"
    return frozenset(name for name in features if _FEATURE_PATTERNS[name].search(words))


def _missing(request: ChatRequest, target: Target) -> list[str]:
    """The fields that need a capability in `Target.missing`."""
    format_type = (request.response_format or {}).get("type")
    needs = {
        "tools": "tools" in target.missing and bool(request.tools),
        "messages": "vision" in target.missing and _has_images(request),
        "response_format": (format_type == "json_object" and "json_mode" in target.missing)
        or (format_type == "json_schema" and "json_schema" in target.missing),
        "seed": "seed" in target.missing and request.seed is not None,
        "reasoning_effort": "reasoning" in target.missing and request.reasoning_effort not in (None, "none"),
    }
    return [name for name, needed in needs.items() if needed]


def _has_images(request: ChatRequest) -> bool:
    return any(
        part.get("type") == "image_url" for message in request.messages for part in _parts(message.get("content"))
    )


def _texts(content: object) -> object:
    """A message's content without images, audio and files."""
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
