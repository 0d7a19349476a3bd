"""What a policy makes of a request before it is sent, and how many tokens that saves."""

from __future__ import annotations

from dataclasses import replace

from hotspare._cost.tokens import prompt_tokens
from hotspare.messages import ChatRequest
from hotspare.policy import Policy


def reduced(request: ChatRequest, policy: Policy) -> tuple[ChatRequest, int]:
    """The request as it is sent, and the tokens that were saved, by estimate. One with messages of a framework's own
    (`native`) is sent as it is."""
    if (policy.reduce is None and policy.max_prompt_tokens is None) or request.native is not None:
        return request, 0
    before, made = prompt_tokens(request), request
    if policy.reduce is not None:
        made = policy.reduce(made)
    if policy.max_prompt_tokens is not None:
        from hotspare.reduce import trim_history

        made = replace(made, messages=trim_history(made.messages, policy.max_prompt_tokens))
    return made, max(0, before - prompt_tokens(made))
