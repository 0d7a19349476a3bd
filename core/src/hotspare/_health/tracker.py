"""The health of a pool's targets and of the domains that they share, and how each outcome changes it.

No I/O and no lock: the scheduler holds the lock for every method of this class.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from math import inf

from hotspare import events
from hotspare._health.breaker import BROKEN, CircuitBreaker, Permit, State
from hotspare._health.domains import is_down
from hotspare._health.failures import Failure, cleared, may_retry
from hotspare._health.outliers import outlier_reason
from hotspare._health.probe_rate import ProbeRate, probe_soon
from hotspare._health.rejections import is_refused, shortest_break
from hotspare._health.target_state import OWN_KEY, TargetState
from hotspare._routing.limits import Group, attach
from hotspare.outcome import HealthEffect, Kind, Outcome, Scope
from hotspare.policy import Policy
from hotspare.target import Domain

_STALL_CHECK = 0.05
"""Seconds between two checks of the attempts that wait at a target."""
_OK, _CLOSED = Kind.OK, State.CLOSED


class HealthTracker:
    """The breakers of targets and domains. `pending_events`: events to emit. `recovering`: targets whose state may change with
    time. `has_news`: something has changed that may have to be written to the fleet's store."""

    def __init__(self, states: Sequence[TargetState], policy: Policy, rng: random.Random) -> None:
        self.states: tuple[TargetState, ...] = ()
        self.guests: dict[TargetState, None] = {}
        self.domains: dict[Domain, CircuitBreaker] = {}
        self.pending_events: list[events.Event] = []
        self._members: dict[Domain, list[TargetState]] = {}
        self._policy = policy
        self._rng = rng
        self._probes = ProbeRate()
        self.recovering: dict[TargetState, None] = {}
        self.limits: dict[tuple[object, ...], Group] = {}
        self.has_news = False
        self.add(states)

    def add(self, states: Sequence[TargetState]) -> None:
        """Add targets; the health of the others, and of the domains that they share, is kept.

        Raises ConfigError if targets have different limits for the same thing.
        """
        attach(states, self.limits)
        self.states += tuple(states)
        self._join_domains(states)

    def add_guests(self, states: Sequence[TargetState]) -> None:
        """Add targets that were passed with single calls: they share the domains, but are not targets of the pool."""
        attach(states, {})
        self.guests |= dict.fromkeys(states)
        self._join_domains(states)

    def remove_guests(self, states: Sequence[TargetState]) -> None:
        """Remove such targets, and domains without other targets. Their attempts in flight end normally."""
        for state in states:
            if self.guests.pop(state, self) is self:
                continue
            self.recovering.pop(state, None)
            for domain in state.domains:
                members = self._members[domain]
                members.remove(state)
                if not members:
                    del self._members[domain], self.domains[domain]

    def _join_domains(self, states: Sequence[TargetState]) -> None:
        for state in states:
            for domain in state.domains:
                if domain not in self.domains:
                    self.domains[domain] = CircuitBreaker(self._policy.breaker, counts=domain.level == "region")
                self._members.setdefault(domain, []).append(state)
            state.breakers = (state.breaker, *(self.domains[domain] for domain in state.domains))

    def replace(self, states: Sequence[TargetState], policy: Policy) -> None:
        """Switch to these targets and this policy. Attempts at the previous ones end normally; domains shared with the new
        targets keep their health. Raises ConfigError for contradicting limits; then nothing changes."""
        limits: dict[tuple[object, ...], Group] = {}
        attach(states, limits)
        self.limits, self._policy, self.states = limits, policy, ()
        self.guests = {}
        self.recovering = {state: None for state in states if state.breaker.state is State.RECOVERING}
        self._members = {}
        for breaker in (*self.domains.values(), *(state.breaker for state in states)):
            breaker.config = policy.breaker
        self.add(states)
        self.domains = {domain: self.domains[domain] for domain in self._members}

    def is_used(self, domain: Domain) -> bool:
        """Whether one of the pool's configured targets is in this domain."""
        return any(state not in self.guests for state in self._members[domain])

    # --- getters; they change nothing ----------------------------------------------------------------------------

    def available_at(self, state: TargetState, now: float) -> float:
        """When the target and its domains admit the next attempt; `now` or earlier: immediately. `inf`: never."""
        at = -inf
        for breaker in state.breakers:
            if breaker.state is _CLOSED and breaker.admission is None and not breaker.disabled:
                found = breaker.rate_limited_until  # as `available_at` returns here, at a fifth of its cost
            else:
                found = breaker.available_at(now)
            if found > at:
                at = found
        return at

    def available_alone_at(self, state: TargetState, now: float) -> float:
        """When the target admits an attempt if the breakers of its region and provider are ignored, whose evidence came from other
        targets. The breaker of its account counts: the target uses the same key and quota."""
        breakers = zip(state.breakers, (None, *state.domains), strict=True)
        return max([one.available_at(now) for one, domain in breakers if domain is None or domain.level == "account"])

    def retry_at(self, state: TargetState, failure: Failure | None, now: float) -> float:
        """When a call should try this target: once it is available, and, if it failed this call, once it may be retried. While a
        probe is in flight, at most one break from now: a probe ends long before its lease does, and wakes the calls that wait."""
        at = self.available_at(state, now)
        if at <= now and failure is not None and not may_retry(state, failure, now):
            return failure.at + failure.pause
        if at < inf and any(breaker.state is State.HALF_OPEN for breaker in state.breakers):
            return min(at, now + self._policy.breaker.fast_break_duration)
        return at

    def to_check(self, now: float) -> dict[TargetState, float]:
        """The targets to check in the background (`Target.check`), and when each admits an attempt: those whose breaker, or a
        domain's, is not closed, and those that were not called since their rate limit."""
        states = [state for state in self.states if state.target.check and _needs_check(state, self._policy.regions)]
        return {state: at for state in states if (at := self.available_at(state, now)) < inf}

    # --- permits and time ----------------------------------------------------------------------------------------

    def acquire(self, state: TargetState, now: float, *, stall_after: float | None, last_resort: bool) -> Permit:
        """Admit an attempt at a target: its domains share its probe, but count no attempts. `stall_after`: seconds after which an
        unanswered attempt is evidence of a stall (None: never)."""
        breaker = state.breaker
        permit = Permit(now, breaker.epoch, False, last_resort, stall_after or inf)
        breaker.last_used = now
        breaker.active += 1
        if state.is_broken:
            before = self.current_states(state)
            for one in state.breakers:
                one.probe(permit, now)
            self.emit_transitions(state, before, now)
        if stall_after is not None:
            breaker.in_flight[permit] = None
        return permit

    def release(self, state: TargetState, permit: Permit) -> None:
        """Release a permit."""
        state.breaker.release(permit)
        if permit.probe:
            self.has_news = True
            for _, breaker in state.domain_breakers():
                breaker.end_probe(permit)

    def forget_attempts(self) -> None:
        """After a fork, in the child: no attempt and no probe is in flight."""
        states = (*self.states, *self.guests)
        for breaker in (*(state.breaker for state in states), *self.domains.values()):
            breaker.forget_attempts()
        for state in states:
            if state.limits is not None:
                state.limits.forget_attempts()

    def advance(self, now: float) -> None:
        """Apply the state changes of recovering targets that depend on time only."""
        for state in list(self.recovering):
            if state.breaker.state is State.RECOVERING:
                before = self.current_states(state)
                state.breaker.advance(now)
                self.emit_transitions(state, before, now)
            if state.breaker.state is not State.RECOVERING:
                del self.recovering[state]

    def open_if_stalled(self, state: TargetState, now: float) -> None:
        """Open the breaker of a target whose attempts wait too long for an answer, before any of them has failed."""
        breaker = state.breaker
        if breaker.state is State.CLOSED and len(breaker.in_flight) >= breaker.config.stalled_calls:
            if now < breaker.next_stall_check:  # a thousand attempts in flight must not all be checked by each call
                return
            breaker.next_stall_check = now + _STALL_CHECK
            if reason := breaker.stall_reason(now):
                breaker.reason = reason
                self._open(state, now)

    def set_disabled(self, state: TargetState, reason: str) -> None:
        """Disable a target of the pool, and the guests that were made from it for callers' own keys; "": enable them."""
        for one in (state, *self.guests):
            if one is state or one.name == state.name + OWN_KEY:
                one.breaker.disabled = reason

    def reset(self, state: TargetState, now: float) -> None:
        """Forget the recorded health of this target. The health of its domains is kept while they have other targets."""
        before = self.current_states(state)
        state.reset()
        state.breaker.evidence_at = now
        for domain in state.domains:
            if len(self._members[domain]) == 1:
                self.domains[domain].reset()
        self.recovering.pop(state, None)
        self.emit_transitions(state, before, now)
        self.pending_events.append(events.TargetReset(state.name))

    # --- what outcomes change ------------------------------------------------------------------------------------

    def record_outcome(self, state: TargetState, permit: Permit, outcome: Outcome, now: float) -> None:
        """Apply one outcome to the target and its domains."""
        kind = outcome.kind
        if kind is _OK:
            self._record_success(state, permit, now)
        elif outcome.health_effect is HealthEffect.FAILURE:
            self.record_failure(state, permit, outcome, now)
        elif outcome.fault_scope is Scope.REQUEST:
            return  # the request is at fault; this includes some 404s and 429s
        elif kind is Kind.RATE_LIMITED:
            state.breaker.rate_limit(now, self._rng, outcome.retry_after, permit.started)
            seconds, self.has_news = state.breaker.rate_limited_until - now, True
            self.pending_events.append(events.RateLimited(state.name, seconds, outcome.retry_after))
        elif kind in (Kind.QUOTA, Kind.AUTH, Kind.NOT_FOUND):
            self._reject(state, outcome, now)

    def _record_success(self, state: TargetState, permit: Permit, now: float, *, has_begun: bool = False) -> None:
        state.rejection, state.not_founds = None, 0
        if state.suspicions:
            found = [cleared(suspicion, permit.started) for suspicion in state.suspicions]
            self.pending_events += [one for one in found if one is not None]
            state.suspicions = [one for one in state.suspicions if not one.cleared]
        if permit.epoch != state.breaker.epoch:
            return
        if state.is_broken:
            self._recover(state, permit, now, has_begun=has_begun)
            return
        started = permit.started
        for breaker in state.breakers:
            if breaker.counts or breaker.admission is not None:
                breaker.record_success(started, now)
            elif started > breaker.last_success_start:
                breaker.last_success_start = started

    def _recover(self, state: TargetState, permit: Permit, now: float, *, has_begun: bool) -> None:
        """A target that was unavailable, or whose domain was, has answered. `has_begun`: with the first content of a stream."""
        before = self.current_states(state)
        if state.breaker.state in BROKEN and not self._has_other(state, now):
            others = (other for other in (*self.states, *self.guests) if other is not state and other.rejection is None)
            probe_soon(others, now, self._rng)
        record = state.breaker.record_first_content if has_begun else state.breaker.record_success
        record(permit.started, now)
        for domain, breaker in state.domain_breakers():
            was_open = breaker.state in BROKEN
            breaker.record_success(permit.started, now)
            if was_open:
                # One probe serves the domain: its other targets may be probed now, one attempt each.
                breaker.recover(now, slow_start=False)
                for other in self._members.get(domain, ()):
                    if other.breaker.state is State.OPEN and other.rejection is None:
                        other.breaker.probe_from(now)
        self.emit_transitions(state, before, now)

    def record_first_content(self, state: TargetState, permit: Permit, now: float) -> None:
        """A stream has begun. If that ends an outage it counts as a success, otherwise only the stream's end does."""
        if state.is_broken:
            self._record_success(state, permit, now, has_begun=True)
        elif permit.epoch == state.breaker.epoch:
            state.breaker.record_first_content(permit.started, now)

    def record_call(self, now: float) -> None:
        """A call has started: the number of calls limits how often an open target is probed."""
        self._probes.record_call(now)

    def record_failure(self, state: TargetState, permit: Permit, outcome: Outcome, now: float) -> None:
        """Count a failure against the target, and, if no connection was made, against its region too."""
        fast = state.fails_fast = outcome.kind is not Kind.TIMEOUT and now - permit.started < self._policy.fast_failure
        if outcome.retry_after:
            state.breaker.stay_away(now, outcome.retry_after)
            self.has_news = True
        if permit.epoch != state.breaker.epoch:
            return
        if permit.last_resort and state.breaker.state in BROKEN:
            state.breaker.record_rejection(now)  # lengthens no break, and ends no other call's probe
            return
        permit.failed_at = now
        opens = state.breaker.record_failure(permit.started, now, needs_span=not outcome.before_connect, fast=fast)
        if not opens and (reason := outlier_reason(state, self.states, self.available_at, now)):
            state.breaker.reason, opens = reason, True
        if opens:
            since = permit.started if permit.probe else inf
            self._open(state, now, outcome, fast=fast and self._has_other(state, now), since=since)
        region = state.domains[0]
        failed = outcome.before_connect and state.breakers[1].record_failure(permit.started, now)
        if failed and len(self._members.get(region, ())) > 1:
            fast = self._has_other(state, now)
            self._open_domain(region, state.breakers[1], now, "connection failed", fast=fast)
        for domain, breaker in state.domain_breakers():
            if breaker.state is State.HALF_OPEN and permit.probe and outcome.fault_scope != "target":
                self._open_domain(domain, breaker, now, "its probe failed", fast=self._has_other(state, now))

    def record_contradicted_invalid(self, state: TargetState, outcome: Outcome, started: float, now: float) -> None:
        """A target rejected a request as INVALID that another target accepted: count a failure of the target."""
        if state.breaker.record_failure(started, now):
            self._open(state, now, outcome)

    def _reject(self, state: TargetState, outcome: Outcome, now: float) -> None:
        """A rejected key, a used-up quota or an unknown model: open the target, and for a key or a quota its account too."""
        at_least = shortest_break(outcome, state.not_founds, self._policy.breaker)
        if outcome.kind is Kind.NOT_FOUND:
            state.not_founds += 1
        before = self.current_states(state)
        state.rejection = None if outcome.kind is Kind.QUOTA else outcome.kind
        state.breaker.record_rejection(now)
        state.breaker.rejected_until = now + at_least
        state.breaker.reason = f"{outcome.kind}: {outcome.message[:80]}"
        refused = is_refused(outcome)
        cause = str(outcome.kind) if refused else ""
        accounts = [
            (domain, breaker)
            for domain, breaker in state.domain_breakers()
            if (outcome.fault_scope, domain.level) == ("account", "account") and len(self._members.get(domain, ())) > 1
        ]
        state.breaker.open(now, self._rng, at_least=at_least, fast=not refused, cause="" if accounts else cause)
        self.emit_transitions(state, before, now)
        for domain, breaker in accounts:
            breaker.rejected_until = now + at_least
            self._open_domain(domain, breaker, now, f"{cause} at {state.name}", at_least, cause=cause)
        self.has_news = True
        self.pending_events.append(events.NeedsAttention(state.name, outcome.kind, outcome.message))

    def _has_other(self, state: TargetState, now: float) -> bool:
        """Whether another target is available."""
        return any(other is not state and self.available_at(other, now) <= now for other in self.states)

    def _longest_break(self, *, fast: bool) -> float:
        return self._probes.longest_break(self._policy.breaker, self.states, fast=fast)

    def _open(
        self, state: TargetState, now: float, outcome: Outcome | None = None, *, fast: bool = False, since: float = inf
    ) -> None:
        breaker, before = state.breaker, self.current_states(state)
        if outcome is not None and (breaker.state is not State.CLOSED or not breaker.reason):
            breaker.reason = f"{outcome.kind}: {outcome.message[:80]}"
        breaker.open(
            now, self._rng, at_least=(outcome.retry_after or 0.0) if outcome else 0.0, fast=fast,
            most=self._longest_break(fast=fast), cause=str(Kind.SERVER) if outcome and outcome.kind is Kind.SERVER else "", since=since,
        )  # fmt: skip
        self.emit_transitions(state, before, now)
        for domain, shared in state.domain_breakers():
            if shared.state in (State.CLOSED, State.RECOVERING) and is_down(
                domain, self._members.get(domain, ()), now, self._policy.breaker.window_max
            ):
                self._open_domain(domain, shared, now, "most of its targets are down", fast=fast)

    def _open_domain(
        self, domain: Domain, breaker: CircuitBreaker, now: float, reason: str, at_least: float = 0.0, *,
        fast: bool = False, cause: str = "",
    ) -> None:  # fmt: skip
        before, breaker.reason = breaker.state, reason
        breaker.open(now, self._rng, at_least=at_least, fast=fast, most=self._longest_break(fast=fast), cause=cause)
        if before is not breaker.state:
            self.emit(str(domain), before, breaker, now, domain.level)

    # --- events --------------------------------------------------------------------------------------------------

    def current_states(self, state: TargetState) -> list[State]:
        return [breaker.state for breaker in state.breakers]

    def emit_transitions(self, state: TargetState, before: list[State], now: float) -> None:
        """An event for each breaker of the target and its domains whose state differs from `before`."""
        if before == self.current_states(state):
            return
        for place, (breaker, was) in enumerate(zip(state.breakers, before, strict=True)):
            if breaker.state is not was:
                domain = state.domains[place - 1] if place else None
                name, level = (str(domain), domain.level) if domain else (state.name, "target")
                if domain is None and breaker.state is State.RECOVERING:
                    self.recovering[state] = None
                self.emit(name, was, breaker, now, level)

    def emit(self, name: str, before: State, breaker: CircuitBreaker, now: float, level: str) -> None:
        """Emit the event of a breaker's state change."""
        breaker.changed_at, self.has_news = now, True
        open_for = max(0.0, breaker.open_until - now) if breaker.state is State.OPEN else 0.0
        self.pending_events.append(events.StateChanged(name, before, breaker.state, breaker.reason, open_for, level))


def _needs_check(state: TargetState, regions: Collection[str] | None) -> bool:
    if regions is not None and state.target.region not in regions:
        return False
    return state.is_broken or state.breaker.rate_limited_until > state.breaker.last_used
