"""How every member and every domain of a pool stands, and what outcomes teach. No lock, no I/O: `gate` holds the lock."""

from __future__ import annotations

import random
from collections.abc import Sequence
from math import inf

from hotspare import events
from hotspare._engine.call import Call, Member
from hotspare._health.breaker import Health, Permit, State
from hotspare._health.domains import should_rest
from hotspare.outcome import Ending, Kind, Outcome
from hotspare.policy import Policy
from hotspare.target import Domain

_Moved = list[tuple[str, Health, State]]


class Standing:
    """The health of a pool's members and of the domains they share. `told` collects events for listeners."""

    def __init__(self, members: Sequence[Member], policy: Policy, rng: random.Random) -> None:
        self.members: tuple[Member, ...] = ()
        self.domains: dict[Domain, Health] = {}
        self.told: list[events.Event] = []
        self._sharing: dict[Domain, list[Member]] = {}
        self._policy = policy
        self._rng = rng
        self.enroll(members)

    def enroll(self, members: Sequence[Member]) -> None:
        """Take on further members; what is known of the others, and of the domains they share, stays."""
        self.members += tuple(members)
        for member in members:
            for domain in member.domains:
                self.domains.setdefault(domain, Health(self._policy.breaker))
                self._sharing.setdefault(domain, []).append(member)

    # --- who may be asked ----------------------------------------------------------------------------------------

    def opens_at(self, member: Member, now: float) -> float:
        """When the member may be asked next, its domains considered; `now` or earlier: at once. `inf`: never."""
        opens = member.health.opens_at(now)
        for domain in member.domains:
            opens = max(opens, self.domains[domain].opens_at(now))
        return opens

    def worth_asking_at(self, call: Call, member: Member, now: float) -> float:
        """When this call has reason to hope for this member: the end of its rest, or of the rest that its failure in
        this call would have earned. A probe that is out answers long before its lease ends, and rings who waits."""
        opens = self.opens_at(member, now)
        failed = call.failed_at.get(member)
        if opens <= now and failed is not None and not self.ripe(call, member, now):
            return failed + self._policy.breaker.rest
        breakers = (member.health, *(self.domains[domain] for domain in member.domains))
        if opens < inf and any(breaker.state is State.HALF_OPEN for breaker in breakers):
            return min(opens, now + self._policy.breaker.rest)
        return opens

    def ripe(self, call: Call, member: Member, now: float) -> bool:
        """Whether something has changed since the member failed this call: somebody was answered, its rest is over, or
        as much time has passed as a rest takes."""
        failed, health = call.failed_at.get(member, -inf), member.health
        return (
            health.last_success_start > failed
            or health.state is not State.CLOSED
            or call.asked[member].kind is Kind.THROTTLED
            or now >= failed + self._policy.breaker.rest
        )

    def why_resting(self, member: Member, now: float) -> str:
        """What keeps a member from being asked, in words."""
        for domain in member.domains:
            if self.domains[domain].opens_at(now) > now:
                return f"{domain.level} {domain} rests ({self.domains[domain].why or 'failing'})"
        if member.health.throttled_until > now:
            return "throttled"
        return f"rests ({member.health.why or 'failing'})"

    def check_stall(self, member: Member, now: float) -> None:
        """Trip a member on which streams wait too long for their first token, before any of them has failed."""
        health, knobs = member.health, self._policy.timeouts
        if health.state is State.CLOSED and health.waiting:
            p95 = member.first_token.quantile(0.95) or 0.0
            if health.stalled(now, min(max(knobs.factor * p95, knobs.first_token), knobs.first_token_max)):
                self._trip(member, now)

    # --- permits -------------------------------------------------------------------------------------------------

    def enter(self, member: Member, now: float, *, watched: bool, panic: bool) -> Permit:
        """Take a place at a member and its domains. `watched`: waiting long for its first token is evidence."""
        permit = Permit(now, member.health.epoch, panic=panic)
        moved = self._states(member)
        member.health.enter(permit, now)
        for domain in member.domains:
            self.domains[domain].enter(permit, now)
        self._tell(moved, now)
        if watched:
            member.health.waiting[permit] = None
        return permit

    def leave(self, member: Member, permit: Permit) -> None:
        """Give the places back."""
        member.health.leave(permit)
        for domain in member.domains:
            self.domains[domain].leave(permit)

    # --- what is learnt ------------------------------------------------------------------------------------------

    def learn(self, member: Member, permit: Permit, outcome: Outcome, now: float) -> None:
        """What one outcome says about the member and its domains."""
        kind = outcome.kind
        if kind is Kind.OK:
            self._succeed(member, permit, now)
        elif outcome.ending is Ending.FAILURE:
            self.fail(member, permit, outcome, now)
        elif kind is Kind.THROTTLED:
            member.health.throttle(now, self._rng, outcome.retry_after)
        elif kind in (Kind.EXHAUSTED, Kind.DENIED):
            self._shut_out(member, outcome, now)
        elif kind is Kind.GONE:
            member.health.disabled = outcome.message or "the model is gone"
            self.told.append(events.NeedsAttention(member.name, kind, outcome.message))
        elif kind is Kind.INVALID:
            member.invalid += 1

    def _succeed(self, member: Member, permit: Permit, now: float) -> None:
        member.invalid = 0
        member.denied = False
        if permit.epoch != member.health.epoch:
            return
        moved = self._states(member)
        member.health.success(permit.started, now)
        for domain in member.domains:
            shared = self.domains[domain]
            rested = shared.state in (State.OPEN, State.HALF_OPEN)
            shared.success(permit.started, now)
            if rested:
                # One probe serves the domain: its other members may be probed now, one caller each.
                shared.recover(now, ramp=False)
                for other in self._sharing[domain]:
                    if other.health.state is State.OPEN and not other.denied:
                        other.health.until = min(other.health.until, now)
        self._tell(moved, now)

    def fail(self, member: Member, permit: Permit, outcome: Outcome, now: float) -> None:
        """A failure: a strike at the member, and at the region if it could not even be connected to."""
        health = member.health
        if permit.epoch != health.epoch:
            return
        if health.failure(permit.started, now):
            self._trip(member, now, outcome)
        region = member.domains[0]
        if outcome.unconnected and self.domains[region].failure(permit.started, now) and len(self._sharing[region]) > 1:
            self._trip_domain(region, now, "cannot be connected to")
        for domain in member.domains:
            if self.domains[domain].state is State.HALF_OPEN and permit.probe and outcome.blame != "target":
                self._trip_domain(domain, now, "its probe failed")

    def doubt(self, call: Call, now: float) -> None:
        """A member called a request invalid that another one took: that is its failure, not the request's."""
        for member, outcome in call.asked.items():
            if outcome.kind is Kind.INVALID and member.health.failure(call.started, now):
                self._trip(member, now, outcome)

    def _trip(self, member: Member, now: float, outcome: Outcome | None = None) -> None:
        moved = self._states(member)
        health = member.health
        if outcome is not None and (health.state is not State.CLOSED or not health.why):
            health.why = f"{outcome.kind}: {outcome.message[:80]}"
        health.trip(now, self._rng, at_least=(outcome.retry_after or 0.0) if outcome else 0.0)
        self._tell(moved, now)
        for domain in member.domains:
            if self.domains[domain].state in (State.CLOSED, State.RECOVERING) and should_rest(
                domain, self._sharing[domain], now, self._policy.breaker.window_max
            ):
                self._trip_domain(domain, now, "most of its targets are down")

    def _trip_domain(self, domain: Domain, now: float, why: str, at_least: float = 0.0) -> None:
        health = self.domains[domain]
        before, health.why = health.state, why
        health.trip(now, self._rng, at_least=at_least)
        if before is not health.state:
            self.told.append(events.StateChanged(str(domain), before, health.state, why, health.until - now))

    def _shut_out(self, member: Member, outcome: Outcome, now: float) -> None:
        """A refused key or a used-up quota: the target rests, and everything on the same account with it."""
        named = outcome.retry_after if outcome.kind is Kind.EXHAUSTED else None
        at_least = named or self._policy.breaker.denied_rest
        moved = self._states(member)
        member.denied = outcome.kind is Kind.DENIED
        member.health.why = f"{outcome.kind}: {outcome.message[:80]}"
        member.health.trip(now, self._rng, at_least=at_least)
        self._tell(moved, now)
        if outcome.blame == "account":
            for domain in member.domains:
                if domain.level == "account" and len(self._sharing[domain]) > 1:
                    self._trip_domain(domain, now, f"{outcome.kind} at {member.name}", at_least)
        self.told.append(events.NeedsAttention(member.name, outcome.kind, outcome.message))

    def _states(self, member: Member) -> _Moved:
        found: _Moved = [(member.name, member.health, member.health.state)]
        found += [(str(domain), self.domains[domain], self.domains[domain].state) for domain in member.domains]
        return found

    def _tell(self, moved: _Moved, now: float) -> None:
        for name, health, before in moved:
            if health.state is not before:
                rest = max(0.0, health.until - now) if health.state is State.OPEN else 0.0
                self.told.append(events.StateChanged(name, before, health.state, health.why, rest))
