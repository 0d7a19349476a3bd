"""Keys of requests: equal for identical requests to the same targets, different otherwise."""

from __future__ import annotations

import json
from dataclasses import fields
from hashlib import sha256

from hotspare._engine.call import Call
from hotspare.messages import ChatRequest

_LEFT_OUT = frozenset({"model", "native"})
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), default=dict)
_NAMES = tuple(one.name for one in fields(ChatRequest) if one.name not in _LEFT_OUT)


def key_of(call: Call) -> str:
    """A hash of the whole request, its route and the targets that may answer it. The order of a message's fields does not matter."""
    request = call.request
    values = {name: value for name in _NAMES if (value := getattr(request, name)) not in (None, (), {})}
    targets = sorted(f"{state.name} {state.target.id}" for state in call.supporting(call.states()))
    text = _ENCODER.encode([call.route, targets, values])
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
