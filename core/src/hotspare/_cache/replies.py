"""Answers as JSON, for stores outside this process."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from hotspare.messages import ChatReply, Usage

_KEPT = ("text", "reasoning", "finish_reason", "model", "id", "target", "cost")


def to_json(reply: ChatReply) -> str:
    """The answer as JSON, without the fields that are not cached."""
    values: dict[str, Any] = {name: getattr(reply, name) for name in _KEPT}
    return json.dumps(values | {"usage": asdict(reply.usage)}, ensure_ascii=False)


def from_json(body: str) -> ChatReply:
    """The answer from JSON. Raises ValueError, TypeError or KeyError if it is invalid."""
    values: dict[str, Any] = json.loads(body)
    kept = {name: values[name] for name in _KEPT}
    return ChatReply(**kept, usage=Usage(**values["usage"]))
