"""The gate: the only place where shared state changes. Short, under one lock, without I/O.

`next` says what a call does now: start an attempt, pause, or give up. `settle` takes a permit back with what was
learnt. Both leave events to be told, and waiters to be woken, which the caller does after the lock is released.
"""

from __future__ import annotations

import random
import threading
from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from operator import attrgetter

from hotspare import events
from hotspare._engine import backoff
from hotspare._engine import continuation as recovery
from hotspare._engine import hedging as beside
from hotspare._engine.budgets import ClientThrottle, HedgeTokens, RetryTokens
from hotspare._engine.call import Attempt, Call, TargetState, attempt_timeout, min_useful_time, stall_bound, wants_unary
from hotspare._engine.waiters import Waiter, WaitQueue
from hotspare._health.breaker import State
from hotspare._health.tracker import HealthTracker
from hotspare._routing import candidates as routing
from hotspare.outcome import AttemptReason, AttemptRecord, HealthEffect, Kind, Outcome
from hotspare.policy import Policy


@dataclass(frozen=True, slots=True)
class Pause:
    """Do nothing for `seconds` (None: without limit), until the ticket is rung, or until a running attempt ends."""

    seconds: float | None
    ticket: Waiter | None = None


@dataclass(frozen=True, slots=True)
class GiveUp:
    """No attempt is left to be made. `why` is said to the user, `retry_after` is in seconds."""

    why: str
    skipped: dict[str, str] = field(default_factory=dict[str, str])
    retry_after: float | None = None


class Scheduler:
    """Every call passes here: the standing of members and domains, the budgets and the waiting room of one pool."""

    def __init__(self, members: Sequence[TargetState], policy: Policy, rng: random.Random) -> None:
        self.tracker = HealthTracker(members, policy, rng)
        self.members, self.domains = self.tracker.members, self.tracker.domains
        self.policy = policy
        self.rng = rng
        self.retries = RetryTokens(policy.retry_budget)
        self.hedges = HedgeTokens(policy.hedge)
        self.client_throttle = ClientThrottle(policy.max_rejection)
        self.in_flight = 0
        self.waiting = WaitQueue()
        self._lock = threading.Lock()

    def after_fork(self) -> None:
        """In a child process: the lock may have been held by a thread that does not exist here."""
        self._lock = threading.Lock()
        self.waiting.clear()

    def add(self, members: Sequence[TargetState]) -> None:
        """Take on further members."""
        with self._lock:
            self.tracker.add(members)
            self.members = self.tracker.members

    def take_pending(self) -> tuple[list[events.Event], list[Waiter]]:
        """Events to tell and waiters to wake, outside the lock."""
        if not (self.tracker.pending_events or self.waiting.to_wake):
            return [], []
        with self._lock:
            told, rings = self.tracker.pending_events, self.waiting.to_wake
            self.tracker.pending_events, self.waiting.to_wake = [], []
        return told, rings

    # --- what a call does next -----------------------------------------------------------------------------------

    def call_started(self, now: float) -> None:
        """A call came in."""
        with self._lock:
            self.retries.deposit(now)
            self.hedges.deposit()

    def next_step(self, call: Call, now: float) -> Attempt | Pause | GiveUp:
        """Start an attempt, pause, or give up."""
        with self._lock:
            if call.running and not beside.note_overdue(call, now):
                return self._hedge(call, now) or Pause(beside.next_timer(call, self.policy, now))
            step = self._go_on(call, now)
            return Pause(None) if call.running and isinstance(step, GiveUp) else step

    def _go_on(self, call: Call, now: float) -> Attempt | Pause | GiveUp:
        """The next step of a call of which nothing runs, or only what is overdue."""
        if call.turn > now:
            return Pause(call.turn - now)
        if not routing.goes_on(call, self.policy):
            return self._give_up(call, "no other target is asked after this", now)
        if call.attempts_left <= 0:
            return self._give_up(call, f"all {call.max_attempts} attempts are used", now)
        if backoff.stopped(call, self.policy, now):
            return self._give_up(call, "the policy's stop condition holds", now)
        plan = self._plan(call, now)
        return (
            self._second_try(call, now)
            or self._first_visit(call, plan, now)
            or self._return_visit(call, plan, now)
            or self._refused(call, plan, now)
            or self._wait(call, plan, now)
            or self._panic(call, plan, now)
        )

    def _plan(self, call: Call, now: float) -> list[TargetState]:
        return [m for m in routing.ordered(call, self.policy, now, self.rng) if routing.fits(call, m)]

    def _hedge(self, call: Call, now: float) -> Attempt | None:
        """A second attempt beside the first, if it is due, somebody is there for it, and the budget has one."""
        knobs, due = self.policy.hedge, beside.hedge_delay(call, self.policy, now)
        if knobs is None or due is None or due > 0:
            return None
        call.hedged = True
        first, plan = call.running[0].target_state, self._plan(call, now)
        for member in plan:
            if (
                member not in call.asked
                and beside.may_hedge(first, member, knobs)
                and self._admits(call, member, plan, now)
            ):
                return self._start(call, member, plan, now, AttemptReason.HEDGE) if self.hedges.withdraw() else None
        return None

    def _second_try(self, call: Call, now: float) -> Pause | None:
        """The pause before the one return visit that comes at once, or sitting out a short Retry-After."""
        if call.last is None or call.returned or call.go_back is not None or call.running:
            return None
        member, outcome, seconds = call.last
        policy = self.policy
        if outcome.kind is Kind.RATE_LIMITED:
            wait = outcome.retry_after
            if wait is None or wait > policy.max_retry_after_wait:
                return None
        elif member.breaker.state is State.CLOSED and routing.same_again(outcome, seconds, member, policy):
            wait = backoff.pause(call, policy, self.rng, now)
        else:
            return None
        if wait + min_useful_time(call, member, policy) >= call.left(now) or not self._draw(call, now):
            return None
        call.go_back = member
        return Pause(wait)

    def _first_visit(self, call: Call, plan: list[TargetState], now: float) -> Attempt | None:
        """Whoever pauses for a return visit goes back; else the first admissible member that was not asked yet."""
        back, call.go_back = call.go_back, None
        if back is not None and self.tracker.available_at(back, now) <= now:
            call.returned = True
            return self._start(call, back, plan, now, AttemptReason.RETRY)
        for member in plan:
            if member in call.asked or not self._admits(call, member, plan, now):
                continue
            if self._crowded(call, member) and not self._draw(call, now):
                continue
            return self._start(call, member, plan, now, AttemptReason.FAILOVER if call.last else AttemptReason.FIRST)
        return None

    def _return_visit(self, call: Call, plan: list[TargetState], now: float) -> Attempt | None:
        """Go back to somebody who was asked: once, after all others; and again when a wait has changed something."""
        for member in plan:
            outcome = call.asked.get(member)
            if outcome is None or call.runs_at(member) or not self._admits(call, member, plan, now):
                continue
            if call.waited and outcome.kind in routing.WAITABLE and self.tracker.may_retry(call, member, now):
                return self._start(call, member, plan, now, AttemptReason.AFTER_WAIT)
            if not call.returned and outcome.kind in routing.RETURNABLE and self._draw(call, now):
                call.returned = True
                return self._start(call, member, plan, now, AttemptReason.RETRY)
        return None

    def _refused(self, call: Call, plan: list[TargetState], now: float) -> GiveUp | None:
        """The end of a call that nothing but the retry budget keeps from asking somebody: waiting would not change that."""
        if any(member not in call.asked and self._admits(call, member, plan, now) for member in plan):
            return self._give_up(call, "the retry budget is exhausted", now)
        return None

    def _wait(self, call: Call, plan: list[TargetState], now: float) -> Pause | None:
        """Nobody is admissible, or everybody was asked in vain: wait for a recovery while the deadline lasts."""
        if self.policy.when_all_down != "wait" or len(self.waiting) >= self.policy.max_waiters:
            return None
        soonest, opens = self._soonest(call, plan, now)
        if soonest is None:
            return None
        latest = call.deadline - min_useful_time(call, soonest, self.policy)
        if opens > latest or now >= latest:
            return None
        call.waited = True
        ticket = self.waiting.enter(call, latest)
        until = opens if self.waiting.leader is ticket else latest
        return Pause(max(0.001, until - now), ticket)

    def _panic(self, call: Call, plan: list[TargetState], now: float) -> Attempt | GiveUp:
        """One attempt although nobody is admissible, so that a recovery is always noticed; else the end."""
        soonest, opens = self._soonest(call, plan, now)
        if soonest is None:
            return self._give_up(call, "nobody is left to be asked", now)
        fresh = [m for m in plan if m not in call.asked and not m.denied and not m.breaker.disabled]
        if call.panics and fresh and self.rng.random() >= self.client_throttle.rejection_probability(now):
            member = min(fresh, key=lambda one: self.tracker.available_at(one, now))
            return self._start(call, member, plan, now, AttemptReason.LAST_RESORT, panic=True)
        return self._give_up(call, "nobody is admissible now", now, max(0.0, opens - now))

    def _soonest(self, call: Call, plan: list[TargetState], now: float) -> tuple[TargetState | None, float]:
        """Which member this call may hope for first, and when."""
        best, when = None, inf
        for member in plan:
            outcome = call.asked.get(member)
            hopeful = outcome is None or (outcome.kind in routing.WAITABLE and not call.runs_at(member))
            if hopeful and routing.window_allows(call, member):
                opens = self.tracker.retry_at(call, member, now)
                if opens < when:
                    best, when = member, opens
        return best, when

    def _start(
        self,
        call: Call,
        member: TargetState,
        plan: list[TargetState],
        now: float,
        why: AttemptReason,
        *,
        panic: bool = False,
    ) -> Attempt:
        whole = wants_unary(call, member, self.policy)
        permit = self.tracker.acquire(member, now, watched=call.watched and not whole, panic=panic)
        others = call.attempts_left > 1 and any(
            other is not member and other not in call.asked and self.tracker.available_at(other, now) <= now
            for other in plan
        )
        timeout = attempt_timeout(call, member, self.policy, now, whole=whole, others=others)
        if permit.probe and others:
            # A probe has a backup: it must not make its caller wait as long as a healthy target may.
            knobs = self.policy.timeouts
            timeout = min(timeout, knobs.completion_min if whole else knobs.first_token_min)
        patience = None
        if others and self.policy.on_slow == "race":
            patience, timeout = timeout, call.left(now)
        if call.last is not None and call.last[0] is not member:
            source, outcome, _ = call.last
            self.tracker.pending_events.append(events.FailedOver(call.id, source.name, member.name, outcome.kind))
        for domain in member.domains:
            call.visits[domain] = call.visits.get(domain, 0) + 1
        call.started_attempts += 1
        self.in_flight += 1
        why = AttemptReason.PROBE if permit.probe and why in (AttemptReason.FIRST, AttemptReason.FAILOVER) else why
        request = recovery.request_for(call, member, self.policy)
        stall = stall_bound(member, self.policy)
        attempt = Attempt(
            call.started_attempts, member, permit, request, why, timeout, stall, whole,
            continues=request is not call.request, patience=patience,
        )  # fmt: skip
        call.running.append(attempt)
        return attempt

    def _give_up(self, call: Call, why: str, now: float, retry_after: float | None = None) -> GiveUp:
        """The end of a call, with the reason for each member that was not asked."""
        skipped: dict[str, str] = {}
        for member in call.members():
            if member not in call.asked:
                row = self._choice(call, member, 0, now)
                skipped[member.name] = row.reason or why
        return GiveUp(why, skipped, retry_after)

    def _admits(self, call: Call, member: TargetState, plan: list[TargetState], now: float) -> bool:
        """Whether the member may be asked now by this call, with time enough. A last attempt is no probe while others may
        make one: it leaves a rest's end to them for a second."""
        if not routing.window_allows(call, member):
            return False
        if not wants_unary(call, member, self.policy):
            self.tracker.trip_if_stalled(member, now)
        if call.last and call.left(now) < min_useful_time(call, member, self.policy):
            return False
        shy = call.attempts_left <= 1 and len(plan) > 1 and member.breaker.state is not State.CLOSED
        return self.tracker.available_at(member, now) <= (now - 1.0 if shy else now)

    def _crowded(self, call: Call, member: TargetState) -> bool:
        """Whether this visit would not be free: a fourth or later one inside one failure domain."""
        return any(call.visits.get(d, 0) >= self.policy.retry_budget.free_attempts_per_domain for d in member.domains)

    def _draw(self, call: Call, now: float) -> bool:
        told = self.retries.exhausted
        if self.retries.withdraw(now):
            return True
        if not told:
            self.tracker.pending_events.append(events.BudgetExhausted(call.id))
        return False

    # --- what is learnt ------------------------------------------------------------------------------------------

    def settle(self, call: Call, attempt: Attempt, outcome: Outcome, now: float) -> AttemptRecord:
        """Take a permit back, with what its attempt showed. Exactly once."""
        with self._lock:
            permit, member = attempt.permit, attempt.target_state
            if permit.settled:
                raise AssertionError("a permit is settled once")
            permit.settled = True
            self.in_flight -= 1
            call.running.remove(attempt)
            seconds = now - permit.started
            record = AttemptRecord(
                attempt.number, member.name, outcome.kind, seconds, attempt.reason, outcome.status, outcome.code,
                outcome.message, seconds if outcome.ok and not attempt.unary else None, outcome.retry_after,
            )  # fmt: skip
            insort(call.records, record, key=attrgetter("number"))
            self.tracker.pending_events.append(events.AttemptEnded(call.id, record))
            self.tracker.record_outcome(member, permit, outcome, now)
            self.tracker.release(member, permit)
            if outcome.ok:
                (member.completion if attempt.unary else member.first_token).add(seconds)
                self.tracker.record_contradicted_invalid(call, now)
            if outcome.kind is Kind.CANCELLED or outcome is attempt.overdue:
                call.lost.append(member.target)
            if outcome.kind is not Kind.CANCELLED:
                self.client_throttle.record(now, accepted=outcome.ok)
                call.note(member, outcome, seconds, now)
                if outcome.kind is Kind.INVALID and self._learnt_manners(attempt, outcome, streaming=call.streaming):
                    del call.asked[member]
            if outcome.ok:
                self.waiting.answered(now)
            else:
                self.waiting.failed()
            return record

    def _learnt_manners(self, attempt: Attempt, outcome: Outcome, *, streaming: bool) -> bool:
        """Whether a 400 told how this member wants to be asked: with an instruction instead of a prefill, or without
        streaming. Then the same call may ask it again."""
        member = attempt.target_state
        if attempt.continues and attempt.request.messages[-1].get("role") == "assistant":
            member.prefill = False
            return True
        if not streaming and not attempt.unary and "stream" in outcome.message.lower():
            member.streams = False
            return True
        return False

    def has_free_alternative(self, call: Call, member: TargetState, now: float) -> bool:
        """Whether another member that this call has not asked is free now."""
        with self._lock:
            return any(
                other is not member and other not in call.asked and self.tracker.available_at(other, now) <= now
                for other in call.members()
            )

    def record_stream_break(self, call: Call, attempt: Attempt, outcome: Outcome, shown: str, now: float) -> None:
        """A second observation of a stream that was answered: it broke after its first content, `shown`."""
        with self._lock:
            call.broke(attempt, outcome, shown, now)
            if outcome.health_effect is HealthEffect.FAILURE:
                self.tracker.fail(attempt.target_state, attempt.permit, outcome, now)
            self.tracker.pending_events.append(
                events.StreamBroke(call.id, attempt.target_state.name, outcome.kind, outcome.message)
            )

    def record_call_end(self, call: Call, now: float) -> None:
        """A call is over."""
        records = tuple(call.records)
        target = next((record.target for record in reversed(records) if record.kind is Kind.OK), None)
        with self._lock:
            self.tracker.pending_events.append(events.CallEnded(call.id, target, records, now - call.started))

    def leave_queue(self, ticket: Waiter) -> None:
        """Leave the waiting room."""
        with self._lock:
            self.waiting.leave(ticket)

    # --- what is shown -------------------------------------------------------------------------------------------

    def explain(self, call: Call, route: str, now: float) -> routing.Explanation:
        """The call's plan, without making it."""
        with self._lock:
            tiers = {member: level for level, tier in enumerate(call.tiers) for member in tier}
            plan = routing.ordered(call, self.policy, now, random.Random(0))
            rows = [self._choice(call, member, tiers[member], now) for member in plan]
            return routing.Explanation(route, tuple(sorted(rows, key=lambda row: not row.admissible)))

    def _choice(self, call: Call, member: TargetState, tier: int, now: float) -> routing.Choice:
        standing = self.tracker
        return routing.choice(
            call, member, standing.available_at(member, now), standing.unavailable_reason(member, now), tier, now
        )
