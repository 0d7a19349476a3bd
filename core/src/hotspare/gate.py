"""The gate: the only place where shared state changes. Short, under one lock, without I/O.

`next` says what a call does now: start an attempt, pause, or give up. `settle` takes a permit back with what was
learnt. Both leave events to be told, and waiters to be woken, which the caller does after the lock is released.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf

from hotspare import backoff, events, routing
from hotspare.budget import ClientThrottle, Retries
from hotspare.call import Attempt, Call, Member, allowance, least
from hotspare.domains import should_rest
from hotspare.health import Health, Permit, State
from hotspare.outcome import AttemptRecord, Ending, Kind, Outcome
from hotspare.policy import Policy
from hotspare.target import Domain


@dataclass(slots=True, eq=False)
class Ticket:
    """A place among those who wait for a recovery. The driver puts in `wake` how it is woken."""

    woken: bool = False
    wake: Callable[[], object] | None = None

    def ring(self) -> None:
        """Wake whoever waits."""
        self.woken = True
        if self.wake is not None:
            self.wake()


@dataclass(frozen=True, slots=True)
class Pause:
    """Do nothing for `seconds`, or until the ticket is rung."""

    seconds: float
    ticket: Ticket | None = None


@dataclass(frozen=True, slots=True)
class GiveUp:
    """No attempt is left to be made. `why` is said to the user, `retry_after` is in seconds."""

    why: str
    skipped: dict[str, str] = field(default_factory=dict[str, str])
    retry_after: float | None = None


class Gate:
    """Every member's health, every domain's, the budgets and the waiting room of one pool."""

    def __init__(self, members: Sequence[Member], policy: Policy, rng: random.Random) -> None:
        self.members = tuple(members)
        self.policy = policy
        self.rng = rng
        self.domains: dict[Domain, Health] = {}
        self.shared_by: dict[Domain, list[Member]] = {}
        for member in members:
            for domain in member.domains:
                self.domains.setdefault(domain, Health(policy.breaker))
                self.shared_by.setdefault(domain, []).append(member)
        self.retries = Retries(policy.retry_budget)
        self.throttle = ClientThrottle(policy.panic_cap)
        self.outstanding = 0
        self.waiting: dict[Ticket, None] = {}
        self._lock = threading.Lock()
        self._events: list[events.Event] = []
        self._rings: list[Ticket] = []

    def after_fork(self) -> None:
        """In a child process: the lock may have been held by a thread that does not exist here."""
        self._lock = threading.Lock()
        self.waiting.clear()

    def drain(self) -> tuple[list[events.Event], list[Ticket]]:
        """Events to tell and waiters to wake, outside the lock."""
        if not (self._events or self._rings):
            return [], []
        with self._lock:
            told, rings = self._events, self._rings
            self._events, self._rings = [], []
        return told, rings

    # --- what a call does next -----------------------------------------------------------------------------------

    def open(self, now: float) -> None:
        """A call came in."""
        with self._lock:
            self.retries.call(now)

    def next(self, call: Call, now: float) -> Attempt | Pause | GiveUp:
        """Start an attempt, pause, or give up."""
        with self._lock:
            return self._next_locked(call, now)

    def _next_locked(self, call: Call, now: float) -> Attempt | Pause | GiveUp:
        if call.records and not routing_goes_on(call, self.policy):
            return self._give_up(call, "no other target is asked after this", now)
        if call.attempts_left <= 0:
            return self._give_up(call, f"all {call.max_attempts} attempts are used", now)
        if backoff.stopped(call, self.policy, now):
            return self._give_up(call, "the policy's stop condition holds", now)
        pause = self._second_try(call, now)
        if pause is not None:
            return pause
        plan = [member for member in routing.ordered(call, self.policy, now, self.rng) if routing.fits(call, member)]
        found = self._choose(call, plan, now)
        if found is not None:
            return found
        return self._nobody(call, plan, now)

    def _second_try(self, call: Call, now: float) -> Pause | None:
        """The one return visit that comes at once, or sitting out a short Retry-After: a pause before it."""
        if call.last is None or call.returned or call.go_back is not None:
            return None
        member, outcome, seconds = call.last
        policy = self.policy
        if outcome.kind is Kind.THROTTLED and outcome.retry_after is not None and policy.patience:
            wait = outcome.retry_after
            fits = wait <= policy.patience and wait + least(member, policy, streaming=call.streaming) < call.left(now)
        else:
            quick = outcome.kind is Kind.SERVER or (outcome.kind is Kind.TRANSPORT and not outcome.unconnected)
            auto = quick and seconds < 1 and member.health.good_record() and outcome.should_retry is not False
            fits = policy.second_try == "same" and outcome.kind in routing.RETURNABLE
            fits = fits or (policy.second_try == "auto" and auto and outcome.retry_after is None)
            fits = fits and member.health.state is State.CLOSED
            wait = backoff.pause(call, policy, self.rng, now) if fits else 0.0
        if not fits or wait >= call.left(now) or not self._draw(call, now):
            return None
        call.go_back = member
        return Pause(wait)

    def _choose(self, call: Call, plan: list[Member], now: float) -> Attempt | None:
        back, call.go_back = call.go_back, None
        if back is not None and self._opens_at(back, now) <= now:
            call.returned = True
            return self._start(call, back, plan, now, "return")
        last_one = call.attempts_left <= 1
        for member in plan:
            if member in call.asked or not routing.window_allows(call, member):
                continue
            if not self._admits(call, member, now, last_one=last_one and len(plan) > 1):
                continue
            if call.records and call.left(now) < least(member, self.policy, streaming=call.streaming):
                continue
            if self._crowded(call, member) and not self._draw(call, now):
                continue
            why = "first" if not call.records else "failover"
            return self._start(call, member, plan, now, why)
        return self._return(call, plan, now)

    def _return(self, call: Call, plan: list[Member], now: float) -> Attempt | None:
        """Go back to somebody who was asked: once, after all others; again only after waiting for a recovery."""
        if not call.asked or (call.returned and not call.waited):
            return None
        for member in plan:
            outcome = call.asked.get(member)
            if outcome is None or not self._admits(call, member, now, last_one=call.attempts_left <= 1):
                continue
            if call.left(now) < least(member, self.policy, streaming=call.streaming):
                continue
            if call.waited:
                if outcome.kind in routing.WAITABLE and member.health.since >= now - self.policy.breaker.ramp:
                    return self._start(call, member, plan, now, "waited")
                if member.health.state in (State.OPEN, State.HALF_OPEN) or call.idle >= self.policy.breaker.rest_max:
                    return self._start(call, member, plan, now, "waited")
                if outcome.kind is Kind.THROTTLED:
                    return self._start(call, member, plan, now, "waited")
            if not call.returned and outcome.kind in routing.RETURNABLE and self._draw(call, now):
                call.returned = True
                return self._start(call, member, plan, now, "return")
        return None

    def _nobody(self, call: Call, plan: list[Member], now: float) -> Pause | GiveUp | Attempt:
        """Nobody is admissible, or everybody was asked in vain: wait for a recovery, panic, or give up."""
        policy = self.policy
        alive = [m for m in plan if not m.health.disabled and self._waitable(call, m)]
        if not alive:
            return self._give_up(call, "nobody is left to be asked", now)
        opens = {member: self._reopens(call, member, now) for member in alive}
        soonest = min(alive, key=lambda member: opens[member])
        reserve = least(soonest, policy, streaming=call.streaming)
        latest = call.deadline - reserve
        may_wait = policy.when_all_down == "wait" and len(self.waiting) < policy.max_waiters
        if may_wait and now < latest and opens[soonest] <= latest:
            ticket = Ticket()
            position = len(self.waiting)
            self.waiting[ticket] = None
            call.waited = True
            # Only the head of the queue has its timer at the reopening; the others are woken by answers, so that a
            # recovery is met by one probe and then by a slow start, not by a herd.
            until = opens[soonest] if position == 0 else latest
            return Pause(max(0.001, min(until, latest) - now), ticket)
        panic = [m for m in alive if m not in call.asked and self._last_kind(m) is not Kind.DENIED]
        if panic and self.rng.random() >= self.throttle.rejection(now):
            target = min(panic, key=lambda member: opens[member])
            return self._start(call, target, plan, now, "panic", panic=True)
        return self._give_up(call, "nobody is admissible now", now, opens[soonest] - now)

    def _start(
        self, call: Call, member: Member, plan: list[Member], now: float, why: str, *, panic: bool = False
    ) -> Attempt:
        health = member.health
        permit = Permit(now, health.epoch, panic=panic)
        moved = self._states(member)
        health.enter(permit, now)
        for domain in member.domains:
            self.domains[domain].enter(permit, now)
        self._tell_moves(moved, now)
        if call.streaming:
            health.waiting[permit] = None
        others = call.attempts_left > 1 and any(
            other is not member and other not in call.asked and self._opens_at(other, now) <= now for other in plan
        )
        timeout = allowance(call, member, self.policy, now, others=others)
        if permit.probe and others:
            # A probe has a backup: it must not make its caller wait as long as a healthy target may.
            timeout = min(
                timeout, self.policy.timeouts.first_token_min if call.streaming else self.policy.timeouts.whole_min
            )
        if call.last is not None and call.last[0] is not member:
            self._events.append(events.FailedOver(call.id, call.last[0].name, member.name, call.last[1].kind))
        for domain in member.domains:
            call.visits[domain] = call.visits.get(domain, 0) + 1
        call.started_attempts += 1
        self.outstanding += 1
        why = "probe" if permit.probe and why in ("first", "failover") else why
        return Attempt(call.started_attempts, member, permit, call.request, why, timeout, self.policy.timeouts.stall)

    def _give_up(self, call: Call, why: str, now: float, retry_after: float | None = None) -> GiveUp:
        skipped: dict[str, str] = {}
        for member in call.members():
            if member not in call.asked:
                row = routing.choice(call, member, self._opens_at(member, now), self._resting(member, now), 0, now)
                skipped[member.name] = row.why or why
        known = [row for row in (self._reopens(call, m, now) - now for m in call.members()) if 0 < row < inf]
        if retry_after is None and known and not (call.last and call.last[1].blame == "request"):
            retry_after = min(known)
        return GiveUp(why, skipped, retry_after)

    # --- who is admissible ---------------------------------------------------------------------------------------

    def _opens_at(self, member: Member, now: float) -> float:
        opens = member.health.opens_at(now)
        for domain in member.domains:
            opens = max(opens, self.domains[domain].opens_at(now))
        return opens

    def _admits(self, call: Call, member: Member, now: float, *, last_one: bool) -> bool:
        """Whether it may be asked now. A last attempt is no probe: it leaves that to others for a second."""
        health = member.health
        if call.streaming and health.state is State.CLOSED and health.waiting:
            p95 = member.first_token.quantile(0.95) or 0.0
            knobs = self.policy.timeouts
            bound = min(max(knobs.factor * p95, knobs.first_token), knobs.first_token_max)
            if health.stalled(now, bound):
                self._trip(member, now)
        return self._opens_at(member, now) <= (now - 1.0 if last_one and health.state is not State.CLOSED else now)

    def _reopens(self, call: Call, member: Member, now: float) -> float:
        """When it is worth asking again: for one that rests, the end of its rest; for one that failed just now and is
        not resting, the rest that its failure would have earned."""
        opens = self._opens_at(member, now)
        if opens <= now and member in call.asked and call.last is not None:
            return now + self.policy.breaker.rest
        breakers = (member.health, *(self.domains[domain] for domain in member.domains))
        if opens < inf and any(breaker.state is State.HALF_OPEN for breaker in breakers):
            # A probe is out: its answer comes long before its lease ends, and rings whoever waits.
            return min(opens, now + self.policy.breaker.rest)
        return opens

    def _waitable(self, call: Call, member: Member) -> bool:
        outcome = call.asked.get(member)
        return routing.window_allows(call, member) and (outcome is None or outcome.kind in routing.WAITABLE)

    def _last_kind(self, member: Member) -> Kind | None:
        return Kind.DENIED if member.health.why.startswith("denied") else None

    def _crowded(self, call: Call, member: Member) -> bool:
        """Whether this would be the fourth or later visit inside one region or provider."""
        free = self.policy.retry_budget.domain_visits
        return (
            any(call.visits.get(domain, 0) >= free for domain in member.domains if domain.level != "account")
            and len(call.tiers[0]) + len(call.tiers) > free + 1
            and self._has_outsiders(call, member)
        )

    def _has_outsiders(self, call: Call, member: Member) -> bool:
        return any(
            other not in call.asked and set(other.domains).isdisjoint(member.domains) for other in call.members()
        )

    def _draw(self, call: Call, now: float) -> bool:
        told = self.retries.exhausted
        if self.retries.take(now):
            return True
        if not told:
            self._events.append(events.BudgetExhausted(call.id))
        return False

    def _resting(self, member: Member, now: float) -> str:
        for domain in member.domains:
            if self.domains[domain].opens_at(now) > now:
                return f"{domain.level} {domain} rests ({self.domains[domain].why or 'failing'})"
        if member.health.throttled_until > now:
            return "throttled"
        return f"rests ({member.health.why or 'failing'})"

    # --- what is learnt ------------------------------------------------------------------------------------------

    def settle(self, call: Call, attempt: Attempt, outcome: Outcome, now: float) -> AttemptRecord:
        """Take a permit back, with what its attempt showed. Exactly once."""
        with self._lock:
            permit, member = attempt.permit, attempt.member
            if permit.settled:
                raise AssertionError("a permit is settled once")
            permit.settled = True
            self.outstanding -= 1
            seconds = now - permit.started
            record = AttemptRecord(
                attempt.number, member.name, outcome.kind, seconds, attempt.why, outcome.status, outcome.code,
                outcome.message, seconds if call.streaming and outcome.ok else None, outcome.retry_after,
            )  # fmt: skip
            self._learn(member, permit, outcome, now)
            if outcome.ok:
                (member.first_token if call.streaming else member.whole).add(seconds)
                self._confirm_suspects(call, now)
            member.health.leave(permit)
            for domain in member.domains:
                self.domains[domain].leave(permit)
            if outcome.kind is not Kind.ABANDONED:
                self.throttle.note(now, accepted=outcome.ok)
                call.records.append(record)
                call.asked[member] = outcome
                call.last = (member, outcome, seconds)
                call.blamed.update(_blamed(member, outcome))
                self._events.append(events.AttemptEnded(call.id, record))
            self._ring_locked(2 if outcome.ok else 1)
            return record

    def broke(self, call: Call, attempt: Attempt, outcome: Outcome, now: float) -> None:
        """A second observation of a stream that was answered: it broke after its first content."""
        with self._lock:
            member = attempt.member
            if outcome.ending is Ending.FAILURE:
                self._fail(member, attempt.permit, outcome, now)
            self._events.append(events.StreamBroke(call.id, member.name, outcome.kind, outcome.message))

    def ended(self, call: Call, target: str | None, now: float) -> None:
        """A call is over."""
        with self._lock:
            self._events.append(events.CallEnded(call.id, target, tuple(call.records), now - call.started))

    def unpark(self, ticket: Ticket) -> None:
        """Leave the waiting room. A new head of the queue is woken, so that somebody keeps the time."""
        with self._lock:
            head = next(iter(self.waiting), None)
            if self.waiting.pop(ticket, ticket) is None and head is ticket and not ticket.woken:
                self._ring_locked(1, remove=False)

    def _ring_locked(self, count: int, *, remove: bool = True) -> None:
        for ticket in list(self.waiting)[:count] if self.waiting else ():
            if remove:
                del self.waiting[ticket]
            self._rings.append(ticket)

    def _learn(self, member: Member, permit: Permit, outcome: Outcome, now: float) -> None:
        health, kind = member.health, outcome.kind
        if kind is Kind.OK:
            if permit.epoch == health.epoch:
                moved = self._states(member)
                health.success(permit.started, now)
                for domain in member.domains:
                    self._domain_success(domain, permit, now)
                self._tell_moves(moved, now)
            member.invalid = 0
        elif outcome.ending is Ending.FAILURE:
            self._fail(member, permit, outcome, now)
        elif kind is Kind.THROTTLED:
            health.throttle(now, self.rng, outcome.retry_after)
        elif kind in (Kind.EXHAUSTED, Kind.DENIED):
            self._shut_out(member, outcome, now)
        elif kind is Kind.GONE:
            health.disabled = outcome.message or "the model is gone"
            self._events.append(events.NeedsAttention(member.name, kind, outcome.message))
        elif kind is Kind.INVALID:
            member.invalid += 1

    def _fail(self, member: Member, permit: Permit, outcome: Outcome, now: float) -> None:
        health = member.health
        if permit.epoch != health.epoch:
            return
        if health.failure(permit.started, now):
            self._trip(member, now, outcome)
        region = member.domains[0]
        if outcome.unconnected:
            shared = self.domains[region]
            if shared.failure(permit.started, now) and len(self.shared_by[region]) > 1:
                self._trip_domain(region, now, "cannot be connected to")
        for domain in member.domains:
            if self.domains[domain].state is State.HALF_OPEN and permit.probe and outcome.blame != "target":
                self._trip_domain(domain, now, "its probe failed")

    def _trip(self, member: Member, now: float, outcome: Outcome | None = None) -> None:
        moved = self._states(member)
        health = member.health
        if outcome is not None and not health.why:
            health.why = f"{outcome.kind}: {outcome.message[:80]}"
        health.trip(now, self.rng, at_least=(outcome.retry_after or 0.0) if outcome else 0.0)
        self._tell_moves(moved, now)
        for domain in member.domains:
            if self.domains[domain].state in (State.CLOSED, State.RECOVERING) and should_rest(
                domain, self.shared_by[domain], now, self.policy.breaker.window_max
            ):
                self._trip_domain(domain, now, "most of its targets are down")

    def _trip_domain(self, domain: Domain, now: float, why: str, at_least: float = 0.0) -> None:
        health = self.domains[domain]
        before = health.state
        health.why = why
        health.trip(now, self.rng, at_least=at_least)
        if before is not health.state:
            self._events.append(events.StateChanged(str(domain), before, health.state, why, health.until - now))

    def _domain_success(self, domain: Domain, permit: Permit, now: float) -> None:
        shared = self.domains[domain]
        rested = shared.state in (State.OPEN, State.HALF_OPEN)
        shared.success(permit.started, now)
        if rested:
            shared.recover(now, ramp=False)
            for member in self.shared_by[domain]:
                if member.health.state is State.OPEN:
                    member.health.until = min(member.health.until, now)

    def _shut_out(self, member: Member, outcome: Outcome, now: float) -> None:
        """A refused key or a used-up quota: the target rests, and everything on the same account with it."""
        rest = outcome.retry_after if outcome.kind is Kind.EXHAUSTED else None
        at_least = max(rest or 0.0, 0.0) or self.policy.breaker.denied_rest
        moved = self._states(member)
        member.health.why = f"{outcome.kind}: {outcome.message[:80]}"
        member.health.trip(now, self.rng, at_least=at_least)
        self._tell_moves(moved, now)
        if outcome.blame == "account":
            for domain in member.domains:
                if domain.level == "account" and len(self.shared_by[domain]) > 1:
                    self._trip_domain(domain, now, f"{outcome.kind} at {member.name}", at_least)
        self._events.append(events.NeedsAttention(member.name, outcome.kind, outcome.message))

    def _confirm_suspects(self, call: Call, now: float) -> None:
        """A target called a request invalid that another one took: that is the target's failure, not the request's."""
        for member, outcome in call.asked.items():
            if outcome.kind is Kind.INVALID and member.health.failure(call.started, now):
                self._trip(member, now, outcome)

    def _states(self, member: Member) -> list[tuple[str, Health, State]]:
        moved = [(member.name, member.health, member.health.state)]
        return moved + [(str(d), self.domains[d], self.domains[d].state) for d in member.domains]

    def _tell_moves(self, moved: list[tuple[str, Health, State]], now: float) -> None:
        for name, health, before in moved:
            if health.state is not before:
                rest = max(0.0, health.until - now) if health.state is State.OPEN else 0.0
                self._events.append(events.StateChanged(name, before, health.state, health.why, rest))

    # --- what is shown -------------------------------------------------------------------------------------------

    def explain(self, call: Call, route: str, now: float) -> routing.Explanation:
        """The call's plan, without making it."""
        with self._lock:
            tiers = {member: level for level, tier in enumerate(call.tiers) for member in tier}
            plan = routing.ordered(call, self.policy, now, random.Random(0))
            rows = [routing.choice(call, m, self._opens_at(m, now), self._resting(m, now), tiers[m], now) for m in plan]
            return routing.Explanation(route, tuple(sorted(rows, key=lambda row: not row.admissible)))


SUSPICIOUS = 3
"""INVALID answers in a row after which a target's word is doubted, and another one is asked."""


def routing_goes_on(call: Call, policy: Policy) -> bool:
    """Whether the last outcome leaves anything to be tried elsewhere."""
    if call.last is None:
        return True
    member, outcome, _ = call.last
    if outcome.kind is Kind.INVALID:
        return outcome.kind in policy.failover_on or member.invalid >= SUSPICIOUS
    if outcome.kind is Kind.REFUSED:
        return outcome.kind in policy.failover_on
    return True


def _blamed(member: Member, outcome: Outcome) -> tuple[Domain, ...]:
    if outcome.blame == "region":
        return member.domains[:1]
    return tuple(d for d in member.domains if d.level == "account") if outcome.blame == "account" else ()
