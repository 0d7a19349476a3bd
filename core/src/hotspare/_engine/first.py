"""The first attempt of a call at the first target of its route, found without the rules and without the order of all targets. Nearly every
call takes this path; it costs half as much. `tests/core/engine/test_plan.py` shows that the rules (`decide`) find the same.
"""

from __future__ import annotations

from hotspare._engine import attempts, limiting
from hotspare._engine.attempts import SharedState
from hotspare._engine.call import Attempt, Call
from hotspare._engine.plan import keeps_waiting
from hotspare._health.breaker import State
from hotspare._health.target_state import TargetState
from hotspare.outcome import AttemptReason

_CLOSED, _FIRST = State.CLOSED, AttemptReason.FIRST


def first_attempt(call: Call, shared: SharedState, now: float) -> Attempt | None:
    """The attempt, if the target is sure to be the one that the rules choose, and admits it now. None: the rules decide."""
    if call.attempts or call.was_queued or call.ticket is not None or call.session is not None:
        return None
    if shared.tracker.recovering or shared.trace is not None:
        return None
    state = _first_target(call, shared, now)
    if state is None or limiting.available_at(call, state, shared, now) > now:
        return None
    others_in = limiting.others_in(call, state, (), shared, now)
    attempt = attempts.start(call, state, shared, now, _FIRST, others_in=others_in)
    attempt.chosen_by = call.policy.strategy_name
    return attempt


def _first_target(call: Call, shared: SharedState, now: float) -> TargetState | None:
    """The first target of the route, if the strategy is `ordered` and nothing moves the target back."""
    tiers = call.tiers
    if call.policy.strategy != "ordered" or not (tiers and tiers[0]):
        return None
    state = tiers[0][0]
    breaker = state.breaker
    if breaker.state is not _CLOSED or state.has_slowed or state.refused or not call.may_use(state):
        return None
    if breaker.in_flight:
        shared.tracker.open_if_stalled(state, now)
        if keeps_waiting(call, state, shared, now):
            return None
    return state
