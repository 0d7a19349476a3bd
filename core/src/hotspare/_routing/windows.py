"""Targets whose context window is certainly too small for a prompt; a call skips them."""

from __future__ import annotations

from collections.abc import Collection

from hotspare._cost.tokens import prompt_tokens
from hotspare._cost.unknowns import uncounted
from hotspare._health.target_state import TargetState
from hotspare._routing.explain import Exclusion, SkipReason
from hotspare.messages import ChatRequest

CERTAIN = 1.3
"""A prompt is certainly too long if its estimate exceeds the window by this factor: estimates of long prompts err by up to 25 %."""


def too_small(request: ChatRequest, states: Collection[TargetState]) -> dict[TargetState, Exclusion]:
    """The targets whose window is too small for the prompt plus the requested `max_tokens`: providers reject the sum of both.

    Empty if no other target would be left, since the estimate may be wrong. `states`: targets that support the request.
    """
    found: dict[TargetState, Exclusion] = {}
    answer = request.max_tokens or 0
    for state in states:
        window = state.target.context_window
        if window is None:
            continue
        tokens = prompt_tokens(request, state.target.model, state.target.provider)
        if tokens / CERTAIN + answer > window:
            plus_answer = f" and an answer of up to {answer:,}" if answer else ""
            size = "at least" if uncounted(request, state.target.model) else "about"
            reason = (
                f"a prompt of {size} {tokens:,} tokens{plus_answer} is longer than its context window of {window:,}"
            )
            found[state] = Exclusion(SkipReason.TOO_LONG, reason)
    return found if len(found) < len(states) else {}
