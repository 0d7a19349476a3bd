"""Explains a decision: its rule, and what blocked each target. The scheduler holds the lock; no rule reads any of this.

`Trace` collects a decision for a recording; `choice` and `passed_over` give the reasons for trails, errors and `Pool.explain`.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field
from enum import StrEnum
from math import inf
from typing import TYPE_CHECKING

from hotspare._engine import limiting
from hotspare._engine.call import Call
from hotspare._health.target_state import TargetState
from hotspare._health.tracker import HealthTracker
from hotspare._routing.explain import Choice, SkipReason

if TYPE_CHECKING:
    from hotspare._engine.attempts import SharedState
    from hotspare._engine.plan import Candidates

RULES = {
    0: "watch the running attempts",
    1: "give up",
    2: "retry the same target after a pause",
    3: "fail over",
    4: "retry an earlier target",
    5: "give up: the retry budget is exhausted",
    6: "early probe",
    7: "wait in the queue",
    8: "last resort",
}
"""The rules of `decide`, by number."""


class Obstacle(StrEnum):
    """Why a target cannot be tried now."""

    CONTEXT_WINDOW = "its context window is too small, or not known to be larger"
    TOO_LITTLE_TIME = "too little time is left for it"
    UNAVAILABLE = "unavailable"
    LIMITED = "its limit is reached"
    LEFT_TO_OTHERS = "its break has just ended: calls that can still fail over probe it first"


MAX_PASSED = 8
"""How many unavailable targets a trail names at most: a large pool may have hundreds."""


@dataclass(slots=True)
class Trace:
    """The latest decision. `rule`: its number in `RULES`. `obstacles`: what blocked each target that the rules checked, in
    their order ("": nothing)."""

    rule: int = 0
    obstacles: dict[str, str] = field(default_factory=dict[str, str])

    def begin(self, rule: int) -> None:
        """Start a new decision. `rule`: the number of the rule that decides, unless it is replaced later."""
        self.rule = rule
        self.obstacles.clear()

    def note(
        self, call: Call, state: TargetState, obstacle: Obstacle | None, tracker: HealthTracker, now: float
    ) -> None:
        """Note why a target is blocked. The first note for each target is kept."""
        if state.name in self.obstacles:
            return
        why = str(obstacle or "")
        if obstacle is Obstacle.UNAVAILABLE:
            at = tracker.available_at(state, now)
            why = f"{_why(call, state, tracker, now)}, retry after {at - now:.1f} s"
        elif obstacle is Obstacle.LIMITED:
            why = _why(call, state, tracker, now)
        self.obstacles[state.name] = "disabled" if state.breaker.disabled else why


def passed_over(
    call: Call,
    candidates: Candidates,
    tried: Container[TargetState],
    chosen: TargetState,
    shared: SharedState,
    now: float,
) -> tuple[tuple[str, str], ...]:
    """The targets before the chosen one in the order, and why each was passed over. Targets that the call has tried are left out: they
    are in its trail."""
    before = [state for state in candidates.before(chosen) if state not in tried]
    if not (before or candidates.passed):
        return ()
    reasons = {
        state.name: choice(call, state, shared, 0, now).reason or "reserved for other calls"
        for state in before[:MAX_PASSED]
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
        reason = f"does not support {', '.join(missing)}"
        return Choice(state.name, tier, now_state, SkipReason.UNSUPPORTED, reason, missing, None)
    if state.breaker.disabled:
        return Choice(state.name, tier, now_state, SkipReason.DISABLED, f"disabled: {state.breaker.disabled}", (), None)
    if at <= now:
        return Choice(state.name, tier, now_state)
    reason = f"{_why(call, state, shared.tracker, now)}, retry after {at - now:.1f} s"
    return Choice(state.name, tier, now_state, SkipReason.UNAVAILABLE, reason, (), None if at == inf else at - now)


def _why(call: Call, state: TargetState, tracker: HealthTracker, now: float) -> str:
    """Why the target does not admit the call's next attempt: its health, or else a limit."""
    if tracker.available_at(state, now) > now:
        return state.unavailable_reason(now)
    return limiting.reason(call, state, now)
