"""Health shared between the processes of a fleet: what this one reads and what it writes. Pure; the scheduler holds the lock.

Only differences to the known content of the store are written, so that nothing is written twice and an emptied store is filled
again. Failures that this process's own network may have caused (no connection, no answer in time) are never shared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from math import inf
from typing import NamedTuple

from hotspare import events
from hotspare._health.admission import Part
from hotspare._health.breaker import CircuitBreaker, State
from hotspare._health.facts import SLACK, Fact, FactKind, Slot, supersedes
from hotspare._health.probe_lease import UNUSED_LEASE, ProbeLease
from hotspare._health.target_state import TargetState
from hotspare._health.tracker import HealthTracker
from hotspare._routing.limits import TargetLimits
from hotspare._routing.shared_rate import Request, SharedRate
from hotspare.outcome import Kind

RECOVERY_SECONDS = 120.0
"""Seconds for which a recovery is kept in the store: longer than any break that another process may still assume."""
COMMAND_SECONDS = 30 * 86400.0
"""Seconds for which an operator's command is kept in the store. A process that has read it keeps it until it exits."""
_REJECTIONS = {str(kind): kind for kind in (Kind.AUTH, Kind.NOT_FOUND)}


class Subjects(NamedTuple):
    """The names of a target and its account in the store: digests."""

    target: str
    account: str


@dataclass(slots=True)
class LeaseRequest:
    """A request to the store for a probe's lease: acquire or renew it, or (`seconds` 0) release it."""

    subject: str
    name: str
    seconds: float


@dataclass(slots=True)
class Outbox:
    """What to write to the store, and what to query."""

    facts: list[Fact] = field(default_factory=list[Fact])
    leases: list[LeaseRequest] = field(default_factory=list[LeaseRequest])
    requests: list[tuple[SharedRate, Request]] = field(default_factory=list[tuple[SharedRate, Request]])


@dataclass(slots=True)
class _Watched:
    """A breaker that the fleet shares. `state`: its target's; for an account, that of one of its targets. `prolonged`: the lease of its
    probe was renewed, because the probe has started."""

    breaker: CircuitBreaker
    state: TargetState
    name: str
    level: str
    prolonged: bool = False


class Fleet:
    """The part of a pool that exchanges state with other processes. `subjects`, `limit_name`: give the names of targets and of limits in the
    store. `place`: of this process among all, from 0 to 1. `expected`: number of processes to assume while the store is unavailable (None:
    the last count)."""

    def __init__(
        self,
        tracker: HealthTracker,
        subjects: Callable[[TargetState], Subjects],
        limit_name: Callable[[tuple[object, ...], str], str],
        place: float,
        expected: int | None,
    ) -> None:
        self._tracker, self._subjects, self._limit_name = tracker, subjects, limit_name
        self._place, self._expected = place, expected
        self.is_connected = False
        self._members = expected or 1
        self._known: dict[tuple[str, Slot], tuple[float, Fact]] = {}
        self._watched: dict[str, _Watched] = {}
        self._states: dict[str, list[TargetState]] = {}
        self._commanded_at: dict[str, float] = {}
        self.follow()

    def follow(self) -> None:
        """Share the breakers and limits of the pool's current targets."""
        self._watched.clear()
        self._states.clear()
        for state in self._tracker.states:
            target, account = self._subjects(state)
            self._states.setdefault(target, []).append(state)
            self._watched.setdefault(target, _Watched(state.breaker, state, state.name, "target"))
            domain = next(one for one in state.domains if one.level == "account")
            breaker = self._tracker.domains[domain]
            self._watched.setdefault(account, _Watched(breaker, state, f"account of {state.name}", "account"))
            if state.limits is not None and any(group.gauges for group in state.limits.groups):
                state.limits.shares = True
        for scope, group in self._tracker.limits.items():
            if not group.shared:
                group.share(lambda unit, scope=scope: self._limit_name(scope, unit))  # type: ignore[misc]
        self._set_parts()
        if self.is_connected:
            self._set_leases(-inf)

    @property
    def shares_limits(self) -> bool:
        """Whether there are fleet-wide limits."""
        return any(group.shared for group in tuple(self._tracker.limits.values()))

    def _rates(self) -> Iterable[SharedRate]:
        return [rate for group in self._tracker.limits.values() for rate in group.shared]

    def _set_parts(self) -> None:
        part = Part(self._members, self._place * self._members)
        for one in self._watched.values():
            one.breaker.part = part
        for rate in self._rates():
            rate.share(self._members if self._expected is None else self._expected)

    def _set_leases(self, now: float) -> None:
        for one in self._watched.values():
            one.breaker.lease = one.breaker.lease or ProbeLease(now)

    # --- the store -----------------------------------------------------------------------------------------------

    def connected(self, members: int, now: float) -> None:
        """The store is available, and counts `members` processes."""
        if members != self._members:
            self._members = max(1, members)
            self._set_parts()
        if self.is_connected:
            return
        self.is_connected = True
        self._set_leases(now)
        for rate in self._rates():
            rate.is_store_down = False

    def lost(self) -> bool:
        """The store is unavailable: from now on this process decides alone. Returns whether that is new."""
        was_connected = self.is_connected
        self.is_connected = False
        self._known.clear()
        for one in self._watched.values():
            one.breaker.lease = None
        for rate in self._rates():
            rate.lost()
        return was_connected

    def merge_all(self, facts: Iterable[Fact], now: float) -> None:
        """Merge all facts of the store. Facts that it lacks, or that are newer here, are written again."""
        self._known.clear()
        leases = [one.breaker.lease for one in self._watched.values()]
        found = list(facts)
        held = {fact.subject for fact in found if fact.slot == "probe"}
        for subject, lease in zip(self._watched, leases, strict=True):
            if lease is not None and subject not in held and max(lease.own_until, lease.other_until) > now:
                lease.settle(now, now, own=False)
        for fact in found:
            self.merge(fact, now)

    # --- state found by other processes --------------------------------------------------------------------------

    def merge(self, fact: Fact, now: float) -> None:
        """Apply a fact found by another process, or earlier by this one."""
        self._known[fact.subject, fact.slot] = now, fact
        if fact.slot == "command":
            self._apply_command(fact, now)
        watched = self._watched.get(fact.subject)
        if watched is None:
            return
        if fact.slot == "probe":
            self._apply_lease(watched, fact, now)
        elif watched.level == "account":
            self._apply_health(watched, fact, now)
        else:
            for state in self._states[fact.subject]:
                self._apply_health(_Watched(state.breaker, state, state.name, "target"), fact, now)

    def _apply_health(self, watched: _Watched, fact: Fact, now: float) -> None:
        breaker, state = watched.breaker, watched.state
        before = breaker.state
        at, until = now - fact.age, now + fact.remaining
        if fact.kind == "limited":
            if until > breaker.rate_limited_until + SLACK:
                breaker.stay_away(now, fact.remaining)
                self._tracker.pending_events.append(events.RateLimited(watched.name, fact.remaining, None))
        elif fact.kind == "open":
            self._apply_break(watched, fact, at, until)
        elif at > breaker.evidence_at and breaker.cause and before in (State.OPEN, State.HALF_OPEN):
            breaker.recover(at, slow_start=watched.level == "target", by_others=True)
            if watched.level == "target":
                state.rejection, state.not_founds = None, 0
                self._tracker.recovering[state] = None
                for domain in state.domains:
                    if self._tracker.domains[domain].state is State.OPEN:
                        self._tracker.domains[domain].probe_from(now)
        if breaker.state is not before:
            names = [str(one) for one in state.domains if one.level == "account"]
            name = state.name if watched.level == "target" else names[0]
            self._tracker.emit(name, before, breaker, now, watched.level)

    def _apply_break(self, watched: _Watched, fact: Fact, at: float, until: float) -> None:
        breaker = watched.breaker
        is_down = breaker.state in (State.OPEN, State.HALF_OPEN)
        if at <= breaker.last_success_start or (not is_down and at <= breaker.evidence_at):
            return  # this process has newer evidence
        if is_down and breaker.cause and until <= breaker.open_until + SLACK:
            return
        breaker.open_as_others(until, int(fact.level), fact.cause, at)
        if fact.cause in (Kind.AUTH, Kind.QUOTA, Kind.NOT_FOUND):
            breaker.rejected_until = max(breaker.rejected_until, until)
        if watched.level == "target":
            watched.state.rejection = _REJECTIONS.get(fact.cause)

    def _apply_lease(self, watched: _Watched, fact: Fact, now: float) -> None:
        lease = watched.breaker.lease
        if lease is not None and lease.own_until <= now:
            lease.settle(now + fact.remaining, now, own=False)

    def _apply_command(self, fact: Fact, now: float) -> None:
        at = now - fact.age
        for state in self._tracker.states:
            if state.name != fact.subject or at <= self._commanded_at.get(state.name, -inf):
                continue
            self._commanded_at[state.name] = at
            reason = (fact.cause or "by an operator") if fact.kind == "disabled" else ""
            if reason != state.breaker.disabled:
                self._tracker.set_disabled(state, reason)
                event = events.TargetDisabled(state.name, reason) if reason else events.TargetEnabled(state.name)
                self._tracker.pending_events.append(event)

    # --- state found by this process -----------------------------------------------------------------------------

    def record_command(self, name: str, now: float) -> bool:
        """An operator has disabled or enabled a target in this process. Returns whether a waiting call may continue now."""
        self._commanded_at[name] = now
        self._tracker.has_news = True
        return True

    def outbox(self, now: float) -> Outbox:
        """What to write to the store now, and what to query."""
        self._tracker.has_news = False
        found = Outbox()
        if not self.is_connected:
            return found
        for fact in self._facts(now):
            at, known = self._known.get((fact.subject, fact.slot), (now, None))
            if known is not None and known.remaining > now - at:
                aged = replace(known, remaining=known.remaining - (now - at), age=known.age + now - at)
                if not supersedes(fact, aged):
                    continue
            self._known[fact.subject, fact.slot] = now, fact
            found.facts.append(fact)
        for subject, one in self._watched.items():
            found.leases += self._lease_requests(subject, one, now)
        for rate in self._rates():
            request = rate.request(now)
            if request is not None:
                found.requests.append((rate, request))
        return found

    def _lease_requests(self, subject: str, one: _Watched, now: float) -> Iterable[LeaseRequest]:
        lease, was_prolonged = one.breaker.lease, one.prolonged
        if lease is None:
            return
        one.prolonged = lease.in_use
        if lease.in_use and not was_prolonged and lease.own_until > now:
            yield LeaseRequest(subject, one.name, one.breaker.config.probe_lease)
        elif was_prolonged and not lease.in_use and lease.own_until > now:
            probes_again = one.breaker.state is State.HALF_OPEN  # the previous probe ended without a verdict
            if not probes_again:
                lease.settle(now, now, own=False)
            yield LeaseRequest(subject, one.name, UNUSED_LEASE if probes_again else 0.0)
        elif lease.wanted:
            yield LeaseRequest(subject, one.name, UNUSED_LEASE)

    def _facts(self, now: float) -> Iterable[Fact]:
        for subject, one in self._watched.items():
            breaker, name = one.breaker, one.name
            if breaker.state is State.OPEN and breaker.cause and breaker.open_until > now:
                left, age = breaker.open_until - now, now - breaker.evidence_at
                yield Fact(subject, "health", "open", left, max(0.0, age), name, breaker.cause, float(breaker.trips))
            elif breaker.state in (State.RECOVERING, State.CLOSED) and breaker.recovered_at > now - RECOVERY_SECONDS:
                age = max(0.0, now - breaker.recovered_at)
                yield Fact(subject, "health", "recovering", RECOVERY_SECONDS - age, age, name)
            if breaker.rate_limited_until > now + SLACK:
                yield Fact(subject, "limit", "limited", breaker.rate_limited_until - now, 0.0, name)
        for state in self._tracker.states:
            at = self._commanded_at.get(state.name, -inf)
            if now - at < COMMAND_SECONDS:
                reason = state.breaker.disabled
                kind: FactKind = "disabled" if reason else "enabled"
                left, age = COMMAND_SECONDS - (now - at), max(0.0, now - at)
                yield Fact(state.name, "command", kind, left, age, state.name, reason)

    # --- answers of the store ------------------------------------------------------------------------------------

    def leased(self, subject: str, remaining: float, now: float, *, own: bool) -> bool:
        """The store's answer about a lease: its owner and its remaining time. Returns whether this process may probe now."""
        watched = self._watched.get(subject)
        if watched is None or watched.breaker.lease is None:
            return False
        watched.breaker.lease.settle(now + remaining, now, own=own)
        return own

    def limits_of(self, rate: SharedRate) -> list[TargetLimits]:
        """The targets' limits that contain this rate."""
        found = [state.limits for state in self._tracker.states if state.limits is not None]
        return [limits for limits in found if any(rate in group.shared for group in limits.groups)]


def want_probe(state: TargetState, tracker: HealthTracker, now: float) -> None:
    """A call could not try this target. If only the fleet's probe lease was missing, request the lease."""
    for breaker in state.breakers:
        if breaker.lease is not None and breaker.wants_lease(now):
            tracker.has_news = True


def may_probe_early(state: TargetState, tracker: HealthTracker, now: float) -> bool:
    """Whether this process may try an open target before its break is over: in a fleet, the one with the lease."""
    lease = state.breaker.lease
    if lease is None or not state.breaker.cause or lease.own_until > now:
        return True
    tracker.has_news = lease.want(now) or tracker.has_news
    return False
