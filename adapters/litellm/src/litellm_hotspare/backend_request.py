"""hotspare's request -> the arguments of `litellm.completion`."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from hotspare import ChatRequest, Target, portable_history

from litellm_hotspare.model_families import dialect_of

_FIELDS = (
    "temperature", "top_p", "max_tokens", "seed", "frequency_penalty", "presence_penalty", "tools", "tool_choice",
    "parallel_tool_calls", "response_format", "stop", "reasoning_effort", "user",
)  # fmt: skip


def fields_of(request: ChatRequest) -> dict[str, Any]:
    """The fields that the request sets, under LiteLLM's names."""
    found: dict[str, Any] = {}
    for name in _FIELDS:
        value = getattr(request, name)
        if value is not None and value != ():
            found[name] = list(request.stop) if name == "stop" else value
    return found


def arguments_for(
    target: Target, request: ChatRequest, supported: Collection[str] | None, key: str | None
) -> dict[str, Any]:
    """The keyword arguments of one call, with LiteLLM's own retries off.

    `supported`: the fields that LiteLLM sends to this model; others are left out. None: not known, so that all are sent.
    """
    dialect = dialect_of(target.model)
    fields = fields_of(request)
    sent = fields if supported is None else {name: value for name, value in fields.items() if name in supported}
    return {
        "model": target.model,
        "messages": portable_history(request.messages, dialect, target=target),
        "api_base": target.base_url,
        "api_key": key,
        "extra_headers": dict(target.headers) or None,
        "max_retries": 0,
        "num_retries": 0,
        **sent,
        **request.extra.get(dialect, {}),
        **target.extra,
    }
