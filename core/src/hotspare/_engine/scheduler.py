"""The scheduler: the only place where the state that calls share changes. Short functions under one lock, without I/O.

`next_step` returns what a call does now, `settle` releases a permit with its outcome. Both collect events to emit and waiters
to wake, which the driver does after the lock is released (`take_pending`).
"""

from __future__ import annotations

import random
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from math import inf
from typing import TypeVar

from hotspare import events
from hotspare._cost.budgets import Budgets
from hotspare._engine import attempts, call_report, decide, fleet, limiting, spending
from hotspare._engine.attempts import SharedState
from hotspare._engine.budgets import ClientThrottle, HedgeTokens, RetryTokens
from hotspare._engine.call import Attempt, Call, OpenStream
from hotspare._engine.decide import Step
from hotspare._engine.fleet import Fleet, Outbox
from hotspare._engine.plan import candidates_by_tier, demand_of, in_order, kept_target
from hotspare._engine.reasons import choice
from hotspare._engine.waiters import Waiter, WaitQueue
from hotspare._health.target_state import TargetState
from hotspare._health.tracker import HealthTracker
from hotspare._routing.explain import Explanation
from hotspare._routing.shared_rate import Request, SharedRate
from hotspare._routing.strategies import Candidate, score
from hotspare.errors import BudgetExceeded
from hotspare.messages import Usage
from hotspare.outcome import CANCELLED, OK, HealthEffect, Outcome
from hotspare.policy import Policy
from hotspare.status import BudgetStatus, PoolHealth, snapshot

T = TypeVar("T")


class Scheduler:
    """The calls, the health, the budgets and the queue of one pool. Every method takes the lock; none waits or does I/O."""

    def __init__(
        self, states: Sequence[TargetState], policy: Policy, rng: random.Random, budgets: Budgets | None = None
    ) -> None:
        self._policy = policy
        self._budgets = budgets
        self._shared = SharedState(
            policy,
            rng,
            HealthTracker(states, policy, rng),
            RetryTokens(policy.retry_budget),
            HedgeTokens(policy.hedge),
            ClientThrottle(policy.max_rejection),
            WaitQueue(),
        )
        self._fleet: Fleet | None = None
        self._lock = threading.Lock()

    @property
    def is_observed(self) -> bool:
        """Whether there are listeners."""
        return self._shared.is_observed

    def observe(self, listeners: bool, *, late: bool = False) -> None:
        """Set whether there are listeners. `late`: all of them accept the events of a call after its end (`call_report`)."""
        self._shared.is_observed, self._shared.reports_late = listeners, late

    @property
    def answered(self) -> deque[tuple[Call, float]]:
        """Calls whose events have yet to be created (`call_report.events_of`), and when they ended. Read without the lock."""
        return self._shared.answered

    def after_fork(self) -> None:
        """After a fork, in the child: replace the lock, which a thread of the parent may have held, and forget waiters and attempts in
        flight, which belong to the parent."""
        self._lock = threading.Lock()
        self._shared.queue.clear()
        self._shared.in_flight = 0
        self._shared.tracker.forget_attempts()
        if self._fleet is not None:
            self._fleet.lost()
            self._shared.tracker.has_news = True  # so that the first call starts the background thread again

    def add(self, states: Sequence[TargetState]) -> None:
        """Add targets."""
        with self._lock:
            self._shared.tracker.add(states)
            if self._fleet is not None:
                self._fleet.follow()

    def add_guests(self, states: Iterable[TargetState]) -> None:
        """Add targets that were passed with single calls."""
        with self._lock:
            self._shared.tracker.add_guests(tuple(states))

    def remove_guests(self, states: Iterable[TargetState]) -> None:
        """Remove targets that were passed with single calls."""
        with self._lock:
            self._shared.tracker.remove_guests(tuple(states))

    def replace(self, states: Sequence[TargetState], policy: Policy) -> None:
        """Switch to these targets and this policy; calls in flight finish with the previous ones. Raises ConfigError for
        contradicting limits; then nothing changes."""
        with self._lock:
            shared = self._shared
            shared.tracker.replace(states, policy)
            self._policy = shared.policy = policy
            shared.retry_tokens = RetryTokens(policy.retry_budget)
            shared.hedge_tokens = HedgeTokens(policy.hedge)
            shared.client_throttle = ClientThrottle(policy.max_rejection)
            shared.queue.wake(inf)
            if self._fleet is not None:
                self._fleet.follow()

    # --- one call: the methods in the order in which they are called --------------------------------------------

    def call_started(self, now: float, call: Call | None = None) -> None:
        """A call has started: add to the retry and hedge budgets. `call`: reported to listeners, if given.

        Raises BudgetExceeded if a spending budget for it is used up.
        """
        shared = self._shared
        with self._lock:
            if call is None or not call.is_check:
                if call is not None and shared.is_observed:
                    call_report.started(call, shared)
                shared.tracker.record_call(now)
                shared.retry_tokens.deposit(now)
                shared.hedge_tokens.deposit()
            if call is not None and self._budgets is not None and not call.pays_itself:
                spending.allow(call, self._budgets)

    def candidates(self, call: Call, now: float) -> list[dict[Candidate, TargetState]]:
        """The targets of a call, tier by tier, with their figures. It changes nothing."""
        with self._lock:
            return candidates_by_tier(call, self._shared, now)

    def next_step(self, call: Call, now: float) -> Step:
        """Start an attempt, wait, or give up."""
        was_queued = call.was_queued
        with self._lock:
            step = decide.next_step(call, self._shared, now)
            if self._shared.is_observed and not call.is_check:
                call_report.stepped(call, step, self._shared, now, was_queued=was_queued)
            return step

    def leave_queue(self, waiter: Waiter, *, for_good: bool = False) -> None:
        """The call no longer waits. `for_good`: it has ended, and loses its place in the queues of limits."""
        with self._lock:
            self._shared.queue.leave(waiter)
            if for_good:
                limiting.leave(waiter.call, self._shared.queue)

    def settle(self, call: Call, attempt: Attempt, outcome: Outcome, now: float) -> None:
        """Release a permit with the outcome of its attempt. Exactly once."""
        with self._lock:
            attempts.settle(call, attempt, outcome, self._shared, now)

    def has_free_alternative(self, call: Call, now: float) -> bool:
        """Whether a target that this call has not tried is available now."""
        with self._lock:
            results = call.results
            return any(
                state not in results and limiting.available_at(call, state, self._shared, now) <= now
                for state in call.supporting(call.states())
            )

    def record_stream(self, call: Call, attempt: Attempt, longest_gap: float, throughput: float) -> None:
        """A stream is complete: record its longest silence (seconds) and its throughput (bytes a second). `call`: for recordings."""
        with self._lock:
            attempt.state.gaps.add(longest_gap)
            attempt.state.throughput.add(throughput)

    def record_stream_end(
        self, call: Call, attempt: Attempt, now: float, usage: Usage | None = None, *, whole: bool = False
    ) -> None:
        """A stream ended, or its caller closed it early: record its outcome. A whole answer received instead of a stream already
        has one. `whole`: the stream was read for a whole answer; its duration is a sample of completion time. `usage`: None if
        unknown. `call`: for recordings."""
        if not isinstance(attempt.result, OpenStream):
            return
        with self._lock:
            attempts.end_stream(attempt, OK, usage, self._shared, now)
            if whole:
                attempt.state.completion.add(now - attempt.permit.started)
                self._shared.completion.add(now - attempt.permit.started)
            self._shared.tracker.record_outcome(attempt.state, attempt.permit, OK, now)

    def record_stream_break(self, call: Call, attempt: Attempt, outcome: Outcome, emitted: str, now: float) -> None:
        """A stream broke after its first content: a second observation of an attempt that was settled as OK.

        The next attempt asks for the continuation of `emitted`, with a new deadline of full length. If the stream was read for a whole
        answer, nothing was delivered: the answer is requested again, within the remaining time.
        """
        with self._lock:
            attempt.end(outcome, now)
            attempts.end_stream(attempt, outcome, None, self._shared, now)
            attempt.state.record_end(outcome, now)
            attempt.seconds = float("inf")  # not a fast failure: another target comes first
            call.last = attempt
            call.retry_used = call.was_queued = False
            if call.streaming:
                call.emitted = emitted
                call.extend_deadline(now + call.time_budget)
            elif attempt.record is not None:
                attempt.record = replace(attempt.record, kind=outcome.kind, message=outcome.message)
            tracker = self._shared.tracker
            if call.is_reported_late:
                call_report.catch_up(call, self._shared)
            if outcome.health_effect is HealthEffect.FAILURE:
                tracker.record_failure(attempt.state, attempt.permit, outcome, now)
            tracker.pending_events.append(
                events.StreamBroke(call.id, attempt.state.name, outcome.kind, outcome.message)
            )

    def record_call_end(self, call: Call, now: float, error: BaseException | None = None) -> None:
        """A call has ended. `error`: the exception for its caller."""
        for attempt in call.attempts:
            if attempt.is_streaming:  # its caller closed it early
                with self._lock:
                    attempts.end_stream(attempt, CANCELLED, None, self._shared, now)
        if call.usage is None and call.parts:
            call.cost = spending.call_cost(call)
        if error is None and not self._shared.is_observed and self._budgets is None:
            return
        ended = call_report.ended(call, error, self._shared, now)
        if not ended and self._budgets is None:
            return
        with self._lock:
            pending = self._shared.tracker.pending_events
            if self._budgets is not None and not call.pays_itself:
                pending += spending.count(call, self._budgets)
            pending += ended

    def locked(self, work: Callable[[], T]) -> T:
        """Run `work`, which must neither wait nor do I/O, under the lock."""
        with self._lock:
            return work()

    def spent(self) -> dict[str, float]:
        """USD spent in the current period, by budget."""
        with self._lock:
            return {} if self._budgets is None else self._budgets.spent()

    def budgets(self) -> list[BudgetStatus]:
        """The current state of each budget. Changes nothing."""
        with self._lock:
            return [] if self._budgets is None else self._budgets.status()

    @property
    def has_pending(self) -> bool:
        """Whether events or waiters are pending. Read without the lock: later ones are taken by the call that added them."""
        return bool(self._shared.tracker.pending_events or self._shared.queue.to_wake or self._shared.answered)

    def take_pending(self) -> tuple[list[events.Event], list[Waiter]]:
        """The events to emit and the waiters to wake, now that the lock is free."""
        tracker, queue = self._shared.tracker, self._shared.queue
        with self._lock:
            pending, tracker.pending_events = tracker.pending_events, []
            to_wake, queue.to_wake = queue.to_wake, []
        return pending, to_wake

    def take_to_wake(self) -> list[Waiter]:
        """Like `take_pending`, but the waiters only."""
        with self._lock:
            to_wake, self._shared.queue.to_wake = self._shared.queue.to_wake, []
        return to_wake

    # --- an operator's commands ---------------------------------------------------------------------------------

    def disable(self, name: str, reason: str) -> None:
        """Admit no attempt at this target. Raises KeyError for an unknown name."""
        with self._lock:
            self._shared.tracker.set_disabled(self._state_of(name), reason)
            self._shared.tracker.pending_events.append(events.TargetDisabled(name, reason))

    def enable(self, name: str) -> None:
        """Admit attempts again, as far as its health allows. Raises KeyError for an unknown name."""
        with self._lock:
            self._shared.tracker.set_disabled(self._state_of(name), "")
            self._shared.tracker.pending_events.append(events.TargetEnabled(name))
            self._shared.queue.wake(inf)

    def reset(self, name: str, now: float) -> None:
        """Forget the recorded health of this target. Raises KeyError for an unknown name."""
        with self._lock:
            self._shared.tracker.reset(self._state_of(name), now)
            self._shared.queue.wake(inf)

    def in_flight_at(self, name: str) -> int:
        """Attempts in flight at this target, streams until their end. Raises KeyError for an unknown name."""
        with self._lock:
            return self._state_of(name).in_flight

    def _state_of(self, name: str) -> TargetState:
        for state in self._shared.tracker.states:
            if state.name == name:
                return state
        names = ", ".join(state.name for state in self._shared.tracker.states)
        raise KeyError(f"no target of the pool is called {name!r}; use one of {names}")

    # --- a fleet: the state of other processes, through the store ------------------------------------------------

    def join(self, member: Callable[[HealthTracker], Fleet]) -> None:
        """Join a fleet. `member`: creates the object that handles the state of other processes."""
        with self._lock:
            self._fleet = member(self._shared.tracker)

    @property
    def has_news(self) -> bool:
        """Whether there is something to write to the store or to query from it. Read without the lock."""
        return self._shared.tracker.has_news

    @property
    def shares_limits(self) -> bool:
        """Whether there are fleet-wide limits. Read without the lock."""
        return self._fleet is not None and self._fleet.shares_limits

    def fleet_outbox(self, now: float) -> Outbox:
        """What to write to the store now, and what to query."""
        with self._lock:
            return Outbox() if self._fleet is None else self._fleet.outbox(now)

    def fleet_change(self, change: Callable[[Fleet], bool]) -> None:
        """Apply what was read from the store. `change` returns whether a waiting call may continue now."""
        with self._lock:
            if self._fleet is not None and change(self._fleet):
                self._shared.queue.wake(1)

    def fleet_granted(self, rate: SharedRate, request: Request, grant: tuple[float, float] | None, now: float) -> None:
        """The store's answer about a fleet-wide limit. `grant`: units, and seconds to wait for them; None: no answer."""
        with self._lock:
            if grant is None:
                rate.failed(request, now)
            else:
                rate.granted(*grant, now)
            if self._fleet is not None:
                for limits in self._fleet.limits_of(rate):
                    limiting.wake_next(limits, self._shared.queue)

    # --- getters; they change nothing -----------------------------------------------------------------------------

    @property
    def check_jitter(self) -> float:
        """Upper bound of the random delay of a background check, in seconds."""
        return self._policy.check_jitter

    def to_check(self, now: float) -> dict[TargetState, float]:
        """The targets to check in the background, and when they admit an attempt. In a fleet, this requests the leases of their
        probes."""
        with self._lock:
            states = self._shared.tracker.to_check(now)
            for state in states:
                fleet.want_probe(state, self._shared.tracker, now)
            return states

    def is_available(self, state: TargetState, now: float) -> bool:
        """Whether the target admits an attempt now."""
        with self._lock:
            return self._shared.tracker.available_at(state, now) <= now

    def health(self, now: float) -> PoolHealth:
        """A snapshot of the pool's health. Changes nothing."""
        with self._lock:
            shared = self._shared
            return snapshot(shared.tracker, now, shared.in_flight, len(shared.queue), shared.retry_tokens.tokens)

    def explain(self, call: Call, route: str, now: float) -> Explanation:
        """The plan of a call, without making the call. Changes nothing."""
        with self._lock:
            if self._budgets is not None and not call.pays_itself:
                with suppress(BudgetExceeded):
                    spending.allow(call, self._budgets)
            tiers = {state: level for level, tier in enumerate(call.tiers) for state in tier}
            demand = demand_of(call, self._shared, now, random.Random(0))
            plan = list(in_order(call, demand, kept_target(call, self._shared, demand)))
            rows = [
                replace(
                    choice(call, state, self._shared, tiers[state], now),
                    score=score(state, demand),
                    note=demand.passed.get(state, ""),
                )
                for state in plan
            ]
            rows += [
                choice(call, state, self._shared, state.target.tier, now)
                for state in call.excluded
                if state not in tiers
            ]
            return Explanation(route, tuple(sorted(rows, key=lambda row: not row.admissible)))
