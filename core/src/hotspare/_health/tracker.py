"""The health of a pool's targets and of the domains that they share, and what each outcome changes in it.

No I/O and no lock: the scheduler holds the lock for every method of this class.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from math import inf

from hotspare import events
from hotspare._health.breaker import CircuitBreaker, Permit, State
from hotspare._health.domains import is_down
from hotspare._health.target_state import TargetState
from hotspare.outcome import HealthEffect, Kind, Outcome, Scope
from hotspare.policy import Policy
from hotspare.target import Domain


class HealthTracker:
    """Breakers of targets and domains. `pending_events` collects what listeners are to be sent."""

    def __init__(self, states: Sequence[TargetState], policy: Policy, rng: random.Random) -> None:
        self.states: tuple[TargetState, ...] = ()
        self.domains: dict[Domain, CircuitBreaker] = {}
        self.pending_events: list[events.Event] = []
        self._members: dict[Domain, list[TargetState]] = {}
        self._breakers: dict[TargetState, tuple[CircuitBreaker, ...]] = {}  # its own, and those of its domains
        self._policy = policy
        self._rng = rng
        self.add(states)

    def add(self, states: Sequence[TargetState]) -> None:
        """Add targets; what is known of the others, and of the domains they share, stays."""
        self.states += tuple(states)
        for state in states:
            for domain in state.domains:
                self.domains.setdefault(domain, CircuitBreaker(self._policy.breaker))
                self._members.setdefault(domain, []).append(state)
            self._breakers[state] = (state.breaker, *(self.domains[domain] for domain in state.domains))

    # --- what can be read ----------------------------------------------------------------------------------------

    def available_at(self, state: TargetState, now: float) -> float:
        """When the target admits the next attempt, its domains considered; `now` or earlier: at once. `inf`: never."""
        return max([breaker.available_at(now) for breaker in self._breakers[state]])

    def retry_at(self, state: TargetState, failure: tuple[Kind, float] | None, now: float) -> float:
        """When a call has reason to try this target: once it is available, and if it failed this call (`failure`: kind
        and time), once it may be retried. While a probe is out, not later than one break from now: a probe ends long
        before its lease does, and wakes the calls that wait."""
        at = self.available_at(state, now)
        if at <= now and failure is not None and not self.may_retry(state, failure, now):
            return failure[1] + self._policy.breaker.break_duration
        if at < inf and any(breaker.state is State.HALF_OPEN for breaker in self._breakers[state]):
            return min(at, now + self._policy.breaker.break_duration)
        return at

    def may_retry(self, state: TargetState, failure: tuple[Kind, float], now: float) -> bool:
        """Whether something has changed since the target failed a call: another call succeeded there, its breaker has
        moved, its rate limit is over, or one break has passed."""
        kind, failed_at = failure
        return (
            state.breaker.last_success_start > failed_at
            or state.breaker.state is not State.CLOSED
            or kind is Kind.RATE_LIMITED
            or now >= failed_at + self._policy.breaker.break_duration
        )

    def unavailable_reason(self, state: TargetState, now: float) -> str:
        """Why the target admits no attempt."""
        for domain in state.domains:
            breaker = self.domains[domain]
            if breaker.available_at(now) > now:
                return f"{domain.level} {domain} is open ({breaker.reason or 'failing'})"
        if state.breaker.rate_limited_until > now:
            return "rate limited" if state.breaker.rate_limits else "the provider named a time (Retry-After)"
        return f"circuit breaker open ({state.breaker.reason or 'failing'})"

    # --- permits and time ----------------------------------------------------------------------------------------

    def acquire(self, state: TargetState, now: float, *, tracks_ttft: bool, last_resort: bool) -> Permit:
        """Admit an attempt at a target and its domains. `tracks_ttft`: waiting long for its first token is evidence."""
        permit = Permit(now, state.breaker.epoch, last_resort=last_resort)
        before = self._current_states(state)
        for breaker in self._breakers[state]:
            breaker.acquire(permit, now)
        self._emit_transitions(state, before, now)
        if tracks_ttft:
            state.breaker.in_flight[permit] = None
        return permit

    def release(self, state: TargetState, permit: Permit) -> None:
        """Take a permit back."""
        for breaker in self._breakers[state]:
            breaker.release(permit)

    def advance(self, states: Iterable[TargetState], now: float) -> None:
        """Make the transitions that time alone brings."""
        for state in states:
            if state.breaker.state is State.RECOVERING:
                before = self._current_states(state)
                state.breaker.advance(now)
                self._emit_transitions(state, before, now)

    def open_if_stalled(self, state: TargetState, now: float) -> None:
        """Open the breaker of a target whose streams wait too long for their first token, before any of them has failed."""
        breaker, timeouts = state.breaker, self._policy.timeouts
        if breaker.state is State.CLOSED and breaker.in_flight:
            p95 = state.first_token.quantile(0.95) or 0.0
            reason = breaker.stall_reason(
                now, min(max(timeouts.factor * p95, timeouts.first_token), timeouts.first_token_max)
            )
            if reason:
                breaker.reason = reason
                self._open(state, now)

    # --- what outcomes change ------------------------------------------------------------------------------------

    def record_outcome(self, state: TargetState, permit: Permit, outcome: Outcome, now: float) -> None:
        """What one outcome says about the target and its domains."""
        kind = outcome.kind
        if kind is Kind.OK:
            self._record_success(state, permit, now)
        elif outcome.health_effect is HealthEffect.FAILURE:
            self.record_failure(state, permit, outcome, now)
        elif outcome.fault_scope is Scope.REQUEST:
            return  # one request is at fault, also where a 404 or a 429 says so
        elif kind is Kind.RATE_LIMITED:
            state.breaker.rate_limit(now, self._rng, outcome.retry_after)
        elif kind in (Kind.QUOTA, Kind.AUTH, Kind.NOT_FOUND):
            self._reject(state, outcome, now)

    def _record_success(self, state: TargetState, permit: Permit, now: float) -> None:
        state.rejection, state.not_founds = None, 0
        if permit.epoch != state.breaker.epoch:
            return
        before = self._current_states(state)
        state.breaker.record_success(permit.started, now)
        for domain in state.domains:
            breaker = self.domains[domain]
            was_open = breaker.state in (State.OPEN, State.HALF_OPEN)
            breaker.record_success(permit.started, now)
            if was_open:
                # One probe serves the domain: its other targets may be probed now, one attempt each.
                breaker.recover(now, slow_start=False)
                for other in self._members[domain]:
                    if other.breaker.state is State.OPEN and other.rejection is None:
                        other.breaker.probe_from(now)
        self._emit_transitions(state, before, now)

    def record_failure(self, state: TargetState, permit: Permit, outcome: Outcome, now: float) -> None:
        """A failure counts against the target, and without a connection against its region too."""
        if outcome.retry_after:
            state.breaker.stay_away(now, outcome.retry_after)
        if permit.epoch != state.breaker.epoch:
            return
        if state.breaker.record_failure(permit.started, now):
            self._open(state, now, outcome)
        region = state.domains[0]
        if (
            outcome.before_connect
            and self.domains[region].record_failure(permit.started, now)
            and len(self._members[region]) > 1
        ):
            self._open_domain(region, now, "cannot be connected to")
        for domain in state.domains:
            if self.domains[domain].state is State.HALF_OPEN and permit.probe and outcome.fault_scope != "target":
                self._open_domain(domain, now, "its probe failed")

    def record_contradicted_invalid(self, state: TargetState, outcome: Outcome, started: float, now: float) -> None:
        """A target called a request invalid that another one accepted: that is a failure of the target."""
        if state.breaker.record_failure(started, now):
            self._open(state, now, outcome)

    def _reject(self, state: TargetState, outcome: Outcome, now: float) -> None:
        """A rejected key, a used-up quota or an unknown model: the target opens, and with the first two everything on the
        same account. A model may be deployed again: the break after NOT_FOUND starts short and doubles."""
        config, reset = self._policy.breaker, outcome.retry_after if outcome.kind is Kind.QUOTA else None
        at_least = reset or config.auth_break_duration
        if outcome.kind is Kind.NOT_FOUND:
            longest = config.not_found_break_duration * 2.0 ** min(state.not_founds, 30)
            at_least = min(longest, config.max_not_found_break_duration)
            state.not_founds += 1
        before = self._current_states(state)
        state.rejection = None if outcome.kind is Kind.QUOTA else outcome.kind
        state.breaker.record_rejection(now)
        state.breaker.reason = f"{outcome.kind}: {outcome.message[:80]}"
        state.breaker.open(now, self._rng, at_least=at_least)
        self._emit_transitions(state, before, now)
        if outcome.fault_scope == "account":
            for domain in state.domains:
                if domain.level == "account" and len(self._members[domain]) > 1:
                    self._open_domain(domain, now, f"{outcome.kind} at {state.name}", at_least)
        self.pending_events.append(events.NeedsAttention(state.name, outcome.kind, outcome.message))

    def _open(self, state: TargetState, now: float, outcome: Outcome | None = None) -> None:
        breaker, before = state.breaker, self._current_states(state)
        if outcome is not None and (breaker.state is not State.CLOSED or not breaker.reason):
            breaker.reason = f"{outcome.kind}: {outcome.message[:80]}"
        breaker.open(now, self._rng, at_least=(outcome.retry_after or 0.0) if outcome else 0.0)
        self._emit_transitions(state, before, now)
        for domain in state.domains:
            if self.domains[domain].state in (State.CLOSED, State.RECOVERING) and is_down(
                domain, self._members[domain], now, self._policy.breaker.window_max
            ):
                self._open_domain(domain, now, "most of its targets are down")

    def _open_domain(self, domain: Domain, now: float, reason: str, at_least: float = 0.0) -> None:
        breaker = self.domains[domain]
        before, breaker.reason = breaker.state, reason
        breaker.open(now, self._rng, at_least=at_least)
        if before is not breaker.state:
            self._emit(str(domain), before, breaker, now)

    # --- events --------------------------------------------------------------------------------------------------

    def _current_states(self, state: TargetState) -> list[State]:
        return [breaker.state for breaker in self._breakers[state]]

    def _emit_transitions(self, state: TargetState, before: list[State], now: float) -> None:
        """An event for each breaker of the target and its domains that is in another state than `before`."""
        for place, (breaker, was) in enumerate(zip(self._breakers[state], before, strict=True)):
            if breaker.state is not was:
                name = str(state.domains[place - 1]) if place else state.name
                self._emit(name, was, breaker, now)

    def _emit(self, name: str, before: State, breaker: CircuitBreaker, now: float) -> None:
        open_for = max(0.0, breaker.open_until - now) if breaker.state is State.OPEN else 0.0
        self.pending_events.append(events.StateChanged(name, before, breaker.state, breaker.reason, open_for))
