"""Shortens a request before it is sent, by `Policy.reduce` and `Policy.max_prompt_tokens`, and estimates the saved tokens."""

from __future__ import annotations

from dataclasses import replace

from hotspare._cost.tokens import prompt_tokens
from hotspare.messages import ChatRequest
from hotspare.policy import Policy


def reduced(request: ChatRequest, policy: Policy) -> tuple[ChatRequest, int]:
    """The request to send, and the estimated number of saved tokens. A request with a framework's own messages (`native`) is not
    changed."""
    if (policy.reduce is None and policy.max_prompt_tokens is None) or request.native is not None:
        return request, 0
    before, made = prompt_tokens(request), request
    if policy.reduce is not None:
        made = policy.reduce(made)
    if policy.max_prompt_tokens is not None:
        from hotspare.reduce import trim_history

        made = replace(made, messages=trim_history(made.messages, policy.max_prompt_tokens))
    return made, max(0, before - prompt_tokens(made))
