"""What a decision looked at: its rule, and why it passed targets over. Kept for recordings only; no rule reads it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from hotspare._engine import limiting
from hotspare._engine.call import Call
from hotspare._health.target_state import TargetState
from hotspare._health.tracker import HealthTracker

RULES = {
    0: "watch the running attempts",
    1: "give up",
    2: "retry the same target after a pause",
    3: "fail over",
    4: "retry an earlier target",
    5: "give up: only the retry budget stands in the way",
    6: "early probe",
    7: "wait in the queue",
    8: "last resort",
}
"""The rules of `decide`, by number."""


class Obstacle(StrEnum):
    """What keeps a target from being tried now."""

    CONTEXT_WINDOW = "its context window is too small, or not known to be larger"
    TOO_LITTLE_TIME = "too little time is left for it"
    UNAVAILABLE = "unavailable"
    LIMITED = "a limit holds the call back"
    LEFT_TO_OTHERS = "its break has just ended: a last attempt leaves it to calls that can still fail over"


@dataclass(slots=True)
class Trace:
    """The latest decision. `rule`: its number in `RULES`. `looked_at`: the targets that the rules looked at, in their order, and
    what spoke against each ("": nothing)."""

    rule: int = 0
    looked_at: dict[str, str] = field(default_factory=dict[str, str])

    def begin(self, rule: int) -> None:
        """A decision begins. `rule`: the one that decides, unless another one is set later."""
        self.rule = rule
        self.looked_at.clear()

    def note(
        self, call: Call, state: TargetState, obstacle: Obstacle | None, tracker: HealthTracker, now: float
    ) -> None:
        """A rule looked at a target. What it found first is kept."""
        if state.name in self.looked_at:
            return
        words = str(obstacle or "")
        if obstacle is Obstacle.UNAVAILABLE:
            at = tracker.available_at(state, now)
            words = f"{state.unavailable_reason(now)}, retry after {at - now:.1f} s"
        elif obstacle is Obstacle.LIMITED:
            words = limiting.reason(call, state, now)
        self.looked_at[state.name] = "disabled" if state.breaker.disabled else words
