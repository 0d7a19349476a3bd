"""How every member and every domain of a pool stands, and what outcomes teach. No lock, no I/O: `gate` holds the lock."""

from __future__ import annotations

import random
from collections.abc import Sequence
from math import inf

from hotspare import events
from hotspare._engine.call import Call, TargetState
from hotspare._health.breaker import CircuitBreaker, Permit, State
from hotspare._health.domains import should_rest
from hotspare.outcome import HealthEffect, Kind, Outcome
from hotspare.policy import Policy
from hotspare.target import Domain

_Moved = list[tuple[str, CircuitBreaker, State]]


class HealthTracker:
    """The health of a pool's members and of the domains they share. `told` collects events for listeners."""

    def __init__(self, members: Sequence[TargetState], policy: Policy, rng: random.Random) -> None:
        self.members: tuple[TargetState, ...] = ()
        self.domains: dict[Domain, CircuitBreaker] = {}
        self.pending_events: list[events.Event] = []
        self._sharing: dict[Domain, list[TargetState]] = {}
        self._policy = policy
        self._rng = rng
        self.add(members)

    def add(self, members: Sequence[TargetState]) -> None:
        """Take on further members; what is known of the others, and of the domains they share, stays."""
        self.members += tuple(members)
        for member in members:
            for domain in member.domains:
                self.domains.setdefault(domain, CircuitBreaker(self._policy.breaker))
                self._sharing.setdefault(domain, []).append(member)

    # --- who may be asked ----------------------------------------------------------------------------------------

    def available_at(self, member: TargetState, now: float) -> float:
        """When the member may be asked next, its domains considered; `now` or earlier: at once. `inf`: never."""
        opens = member.breaker.available_at(now)
        for domain in member.domains:
            opens = max(opens, self.domains[domain].available_at(now))
        return opens

    def retry_at(self, call: Call, member: TargetState, now: float) -> float:
        """When this call has reason to hope for this member: the end of its rest, or of the rest that its failure in
        this call would have earned. A probe that is out answers long before its lease ends, and rings who waits."""
        opens = self.available_at(member, now)
        failed = call.failed_at.get(member)
        if opens <= now and failed is not None and not self.may_retry(call, member, now):
            return failed + self._policy.breaker.break_duration
        breakers = (member.breaker, *(self.domains[domain] for domain in member.domains))
        if opens < inf and any(breaker.state is State.HALF_OPEN for breaker in breakers):
            return min(opens, now + self._policy.breaker.break_duration)
        return opens

    def may_retry(self, call: Call, member: TargetState, now: float) -> bool:
        """Whether something has changed since the member failed this call: somebody was answered, its rest is over, or
        as much time has passed as a rest takes."""
        failed, health = call.failed_at.get(member, -inf), member.breaker
        return (
            health.last_success_start > failed
            or health.state is not State.CLOSED
            or call.asked[member].kind is Kind.RATE_LIMITED
            or now >= failed + self._policy.breaker.break_duration
        )

    def unavailable_reason(self, member: TargetState, now: float) -> str:
        """What keeps a member from being asked, in words."""
        for domain in member.domains:
            if self.domains[domain].available_at(now) > now:
                return f"{domain.level} {domain} rests ({self.domains[domain].reason or 'failing'})"
        if member.breaker.rate_limited_until > now:
            return "throttled"
        return f"rests ({member.breaker.reason or 'failing'})"

    def trip_if_stalled(self, member: TargetState, now: float) -> None:
        """Trip a member on which streams wait too long for their first token, before any of them has failed."""
        health, knobs = member.breaker, self._policy.timeouts
        if health.state is State.CLOSED and health.in_flight:
            p95 = member.first_token.quantile(0.95) or 0.0
            if health.stalled(now, min(max(knobs.factor * p95, knobs.first_token), knobs.first_token_max)):
                self._trip(member, now)

    # --- permits -------------------------------------------------------------------------------------------------

    def acquire(self, member: TargetState, now: float, *, watched: bool, panic: bool) -> Permit:
        """Take a place at a member and its domains. `watched`: waiting long for its first token is evidence."""
        permit = Permit(now, member.breaker.epoch, last_resort=panic)
        moved = self._states(member)
        member.breaker.acquire(permit, now)
        for domain in member.domains:
            self.domains[domain].acquire(permit, now)
        self._emit_transitions(moved, now)
        if watched:
            member.breaker.in_flight[permit] = None
        return permit

    def release(self, member: TargetState, permit: Permit) -> None:
        """Give the places back."""
        member.breaker.release(permit)
        for domain in member.domains:
            self.domains[domain].release(permit)

    # --- what is learnt ------------------------------------------------------------------------------------------

    def record_outcome(self, member: TargetState, permit: Permit, outcome: Outcome, now: float) -> None:
        """What one outcome says about the member and its domains."""
        kind = outcome.kind
        if kind is Kind.OK:
            self._succeed(member, permit, now)
        elif outcome.health_effect is HealthEffect.FAILURE:
            self.fail(member, permit, outcome, now)
        elif kind is Kind.RATE_LIMITED:
            member.breaker.rate_limit(now, self._rng, outcome.retry_after)
        elif kind in (Kind.QUOTA, Kind.AUTH):
            self._block_account(member, outcome, now)
        elif kind is Kind.NOT_FOUND:
            member.breaker.disabled = outcome.message or "the model is gone"
            self.pending_events.append(events.NeedsAttention(member.name, kind, outcome.message))
        elif kind is Kind.INVALID:
            member.invalid += 1

    def _succeed(self, member: TargetState, permit: Permit, now: float) -> None:
        member.invalid = 0
        member.denied = False
        if permit.epoch != member.breaker.epoch:
            return
        moved = self._states(member)
        member.breaker.success(permit.started, now)
        for domain in member.domains:
            shared = self.domains[domain]
            rested = shared.state in (State.OPEN, State.HALF_OPEN)
            shared.success(permit.started, now)
            if rested:
                # One probe serves the domain: its other members may be probed now, one caller each.
                shared.recover(now, ramp=False)
                for other in self._sharing[domain]:
                    if other.breaker.state is State.OPEN and not other.denied:
                        other.breaker.open_until = min(other.breaker.open_until, now)
        self._emit_transitions(moved, now)

    def fail(self, member: TargetState, permit: Permit, outcome: Outcome, now: float) -> None:
        """A failure: a strike at the member, and at the region if it could not even be connected to."""
        health = member.breaker
        if permit.epoch != health.epoch:
            return
        if health.failure(permit.started, now):
            self._trip(member, now, outcome)
        region = member.domains[0]
        if (
            outcome.before_connect
            and self.domains[region].failure(permit.started, now)
            and len(self._sharing[region]) > 1
        ):
            self._trip_domain(region, now, "cannot be connected to")
        for domain in member.domains:
            if self.domains[domain].state is State.HALF_OPEN and permit.probe and outcome.fault_scope != "target":
                self._trip_domain(domain, now, "its probe failed")

    def record_contradicted_invalid(self, call: Call, now: float) -> None:
        """A member called a request invalid that another one took: that is its failure, not the request's."""
        for member, outcome in call.asked.items():
            if outcome.kind is Kind.INVALID and member.breaker.failure(call.started, now):
                self._trip(member, now, outcome)

    def _trip(self, member: TargetState, now: float, outcome: Outcome | None = None) -> None:
        moved = self._states(member)
        health = member.breaker
        if outcome is not None and (health.state is not State.CLOSED or not health.reason):
            health.reason = f"{outcome.kind}: {outcome.message[:80]}"
        health.open(now, self._rng, at_least=(outcome.retry_after or 0.0) if outcome else 0.0)
        self._emit_transitions(moved, now)
        for domain in member.domains:
            if self.domains[domain].state in (State.CLOSED, State.RECOVERING) and should_rest(
                domain, self._sharing[domain], now, self._policy.breaker.window_max
            ):
                self._trip_domain(domain, now, "most of its targets are down")

    def _trip_domain(self, domain: Domain, now: float, why: str, at_least: float = 0.0) -> None:
        health = self.domains[domain]
        before, health.reason = health.state, why
        health.open(now, self._rng, at_least=at_least)
        if before is not health.state:
            self.pending_events.append(
                events.StateChanged(str(domain), before, health.state, why, health.open_until - now)
            )

    def _block_account(self, member: TargetState, outcome: Outcome, now: float) -> None:
        """A refused key or a used-up quota: the target rests, and everything on the same account with it."""
        named = outcome.retry_after if outcome.kind is Kind.QUOTA else None
        at_least = named or self._policy.breaker.auth_break_duration
        moved = self._states(member)
        member.denied = outcome.kind is Kind.AUTH
        member.breaker.reason = f"{outcome.kind}: {outcome.message[:80]}"
        member.breaker.open(now, self._rng, at_least=at_least)
        self._emit_transitions(moved, now)
        if outcome.fault_scope == "account":
            for domain in member.domains:
                if domain.level == "account" and len(self._sharing[domain]) > 1:
                    self._trip_domain(domain, now, f"{outcome.kind} at {member.name}", at_least)
        self.pending_events.append(events.NeedsAttention(member.name, outcome.kind, outcome.message))

    def _states(self, member: TargetState) -> _Moved:
        found: _Moved = [(member.name, member.breaker, member.breaker.state)]
        found += [(str(domain), self.domains[domain], self.domains[domain].state) for domain in member.domains]
        return found

    def _emit_transitions(self, moved: _Moved, now: float) -> None:
        for name, health, before in moved:
            if health.state is not before:
                rest = max(0.0, health.open_until - now) if health.state is State.OPEN else 0.0
                self.pending_events.append(events.StateChanged(name, before, health.state, health.reason, rest))
