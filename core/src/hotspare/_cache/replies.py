"""Answers as text, for stores that keep them outside of this process."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from hotspare.messages import ChatReply, Usage

_KEPT = ("text", "reasoning", "finish_reason", "model", "id", "target", "cost")


def written(reply: ChatReply) -> str:
    """JSON of what is kept of an answer."""
    values: dict[str, Any] = {name: getattr(reply, name) for name in _KEPT}
    return json.dumps(values | {"usage": asdict(reply.usage)}, ensure_ascii=False)


def read(body: str) -> ChatReply:
    """The answer. Raises ValueError, TypeError or KeyError for what is none."""
    values: dict[str, Any] = json.loads(body)
    kept = {name: values[name] for name in _KEPT}
    return ChatReply(**kept, usage=Usage(**values["usage"]))
