"""The call of a background check: the cheapest real request, to one target, once."""

from __future__ import annotations

from dataclasses import replace

from hotspare._engine.call import Call
from hotspare._health.target_state import TargetState
from hotspare._routing.candidates import Tier
from hotspare.messages import ChatRequest
from hotspare.policy import Policy

MAX_TOKENS = 16
"""`max_tokens` of a check: the minimum that OpenAI's Responses API accepts."""
_REQUEST = ChatRequest(messages=({"role": "user", "content": "Say ok."},), max_tokens=MAX_TOKENS)


def check_of(state: TargetState, policy: Policy, number: int, now: float) -> Call:
    """A call that makes one attempt at this target if the target admits it, and no other attempt. Its deadline is the time to the first
    token of a target without a record (`Timeouts`)."""
    times = policy.timeouts
    seconds = max(times.start_min, times.first_token_reasoning if state.target.reasoning else times.first_token)
    call = Call(
        f"check-{number}", _REQUEST, (Tier((state,)),), False, now, now + seconds, 1,
        replace(policy, when_all_down="fail", hedge=None, on_slow="abandon", completion="wait", accept=None),
        route="check", is_check=True,
    )  # fmt: skip
    call.allow_last_resort = False
    return call
