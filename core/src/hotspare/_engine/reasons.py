"""Why a target is not used now, for trails, errors and `Pool.explain`. The scheduler holds the lock."""

from __future__ import annotations

from collections.abc import Container
from math import inf

from hotspare._engine import limiting
from hotspare._engine.attempts import SharedState
from hotspare._engine.call import Call
from hotspare._engine.plan import Candidates
from hotspare._health.target_state import TargetState
from hotspare._routing.explain import Choice, SkipReason

MAX_PASSED = 8
"""Unavailable targets that a trail names: a large pool may have hundreds."""


def passed_over(
    call: Call,
    candidates: Candidates,
    tried: Container[TargetState],
    chosen: TargetState,
    shared: SharedState,
    now: float,
) -> tuple[tuple[str, str], ...]:
    """The targets that would have come before the chosen one, and why each was not taken. What the call has tried stands in its
    trail."""
    before = [state for state in candidates.before(chosen) if state not in tried]
    if not (before or candidates.passed):
        return ()
    reasons = {
        state.name: choice(call, state, shared, 0, now).reason or "left to other calls" for state in before[:MAX_PASSED]
    }
    later = candidates.passed.items()
    reasons |= {state.name: why for state, why in later if state is not chosen and state not in tried}
    return tuple(reasons.items())


def choice(call: Call, state: TargetState, shared: SharedState, tier: int, now: float) -> Choice:
    """One target's place in the plan of a call, for `Pool.explain`."""
    at, now_state = limiting.available_at(call, state, shared, now), state.breaker.state_at(now)
    excluded = call.excluded.get(state)
    if excluded is not None:
        return Choice(state.name, tier, now_state, excluded.skipped, excluded.reason, (), None)
    missing = call.unsupported(state)
    if missing:
        reason = f"cannot be sent {', '.join(missing)}"
        return Choice(state.name, tier, now_state, SkipReason.UNSUPPORTED, reason, missing, None)
    if state.breaker.disabled:
        return Choice(state.name, tier, now_state, SkipReason.DISABLED, f"disabled: {state.breaker.disabled}", (), None)
    if at <= now:
        return Choice(state.name, tier, now_state)
    held = shared.tracker.available_at(state, now) <= now
    why = limiting.reason(call, state, now) if held else state.unavailable_reason(now)
    reason = f"{why}, retry after {at - now:.1f} s"
    return Choice(state.name, tier, now_state, SkipReason.UNAVAILABLE, reason, (), None if at == inf else at - now)
