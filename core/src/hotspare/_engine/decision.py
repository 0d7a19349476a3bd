"""What the rules of `decide` read: a call's candidates, its results so far, and which targets it may try now.

The scheduler holds the lock; no I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf

from hotspare._engine import attempts, fleet, limiting
from hotspare._engine.attempts import SharedState
from hotspare._engine.call import Attempt, Call
from hotspare._engine.plan import Candidates
from hotspare._engine.reasons import Obstacle, passed_over
from hotspare._engine.timeouts import min_useful_time
from hotspare._health.breaker import State
from hotspare._health.failures import Failure
from hotspare._health.target_state import TargetState
from hotspare._routing.candidates import TRANSIENT, window_allows
from hotspare.outcome import AttemptReason, Outcome

_CLOSED = State.CLOSED
LAST_ATTEMPT_DELAY = 1.0
"""Seconds after a break's end in which a call with one attempt left does not probe the target: calls that can still fail over do."""


@dataclass(slots=True)
class Decision:
    """The input of the rules: the call's candidates in their order, and its latest result on each target."""

    call: Call
    shared: SharedState
    now: float
    candidates: Candidates
    results: Mapping[TargetState, Attempt]
    outcomes: Mapping[TargetState, Outcome]

    def is_admissible(self, state: TargetState, *, alone: bool = False) -> bool:
        """Whether the target may be tried now, with enough time left. `alone`: regardless of its region's and provider's breakers."""
        obstacle = self._obstacle(state, alone)
        if self.shared.trace is not None and not alone:
            self.shared.trace.note(self.call, state, obstacle, self.shared.tracker, self.now)
        return obstacle is None

    def _obstacle(self, state: TargetState, alone: bool) -> Obstacle | None:
        """Why the target cannot be tried now. The last attempt of a call does not probe a target whose break has just ended: calls that
        can still fail over do."""
        call, now, tracker = self.call, self.now, self.shared.tracker
        if self.outcomes and not window_allows(state, self.outcomes):
            return Obstacle.CONTEXT_WINDOW
        if call.last and call.time_left(now) < min_useful_time(call, state, call.policy):
            return Obstacle.TOO_LITTLE_TIME
        at, latest = tracker.available_alone_at(state, now) if alone else tracker.available_at(state, now), now
        if state.breaker.state is not _CLOSED and call.attempts_left <= 1:
            leaves_to_others = state.breaker.state_at(now) is not _CLOSED and self.candidates.has(2)
            latest = now - LAST_ATTEMPT_DELAY if leaves_to_others else now
        if at > latest:
            fleet.want_probe(state, tracker, now)
            return Obstacle.LEFT_TO_OTHERS if at <= now else Obstacle.UNAVAILABLE
        is_limited = state.limits is not None and limiting.is_limited(call, state, self.shared, now)
        return Obstacle.LIMITED if is_limited else None

    def needs_retry_token(self, state: TargetState) -> bool:
        """Whether the call has used up its free attempts in one of the target's failure domains."""
        free = self.call.policy.retry_budget.free_attempts_per_domain
        made = len(self.call.attempts)
        return made >= free and any(self.call.attempts_in(domain) >= free for domain in state.domains)

    def failure_of(self, state: TargetState) -> Failure | None:
        """The target's failure in this call. The pause before the next attempt doubles with each one after a wait."""
        result = self.results.get(state)
        if result is None or result.outcome is None:
            return None
        config = self.call.policy.breaker
        waits = sum(
            attempt.state is state and attempt.reason is AttemptReason.AFTER_WAIT for attempt in self.call.attempts
        )
        pause = min(config.fast_break_duration * 2.0 ** min(waits, 30), config.max_break_duration)
        return Failure(result.outcome.kind, result.ended, pause)

    def has_equal(self, state: TargetState) -> bool:
        """Whether an untried target of the same tier with the same model may be tried now."""
        tier = next(tier for tier in self.call.tiers if state in tier)
        return self.has_other(lambda other: other in tier and other.target.model == state.target.model)

    def has_other(self, fits: Callable[[TargetState], bool] = bool) -> bool:
        """Whether an untried target for which `fits` is true may be tried now."""
        return any(other not in self.results and fits(other) and self.is_admissible(other) for other in self.candidates)

    def earliest(self) -> tuple[TargetState | None, float]:
        """The target that is available first for this call, and when; a target that rejected the key or the model only as the last choice."""
        best, when = None, (True, inf)
        for state in self.candidates:
            failure = self.failure_of(state)
            hopeful = failure is None or (failure.kind in TRANSIENT and not self.call.is_running_at(state))
            if hopeful and window_allows(state, self.outcomes):
                retry_at = self.shared.tracker.retry_at(state, failure, self.now)
                at = state.rejection is not None, max(retry_at, limiting.ready_at(self.call, state, self.now))
                if at < when and at[1] < inf:
                    best, when = state, at
        return best, when[1]

    def early_probe_target(self) -> TargetState | None:
        """The least recently tried open target, except those whose provider stated a time to wait."""
        tracker = self.shared.tracker
        states = [
            state
            for state in self.candidates
            if state.breaker.state is State.OPEN
            and state.rejection is None
            and max(state.stated_until, limiting.ready_at(self.call, state, self.now)) <= self.now
            and window_allows(state, self.outcomes)
            and not self.call.is_running_at(state)
            and fleet.may_probe_early(state, tracker, self.now)
        ]
        return min(states, key=lambda one: one.breaker.last_used, default=None)

    def start(self, state: TargetState, reason: AttemptReason, *, extra: bool = False) -> Attempt:
        """A new attempt. Its timeout is shorter while another target can still be tried after it. `extra`: it checks for all
        waiting calls whether an outage is over, and does not count as one of the call's attempts."""
        call, now = self.call, self.now
        call.max_attempts += extra
        others_in = limiting.others_in(call, state, self.results, self.shared, now)
        attempt = attempts.start(call, state, self.shared, now, reason, others_in=others_in)
        attempt.extra = extra
        attempt.chosen_by = "session" if state is self.candidates.kept else call.policy.strategy_name
        if not self.candidates.begins_with(state):
            attempt.passed = passed_over(call, self.candidates, self.results, state, self.shared, now)
        return attempt


def decision_of(call: Call, shared: SharedState, now: float) -> Decision:
    """The input of the rules for a call now."""
    if shared.tracker.recovering:
        shared.tracker.advance(now)
    results: dict[TargetState, Attempt] = {}
    outcomes: dict[TargetState, Outcome] = {}
    if call.attempts:
        results = call.results
        outcomes = {state: result.outcome for state, result in results.items() if result.outcome is not None}
    return Decision(call, shared, now, Candidates(call, shared, now), results, outcomes)
