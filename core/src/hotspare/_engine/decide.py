"""What a call does next: the rules, in their order. The scheduler holds the lock; no I/O, no clock.

While an attempt is running and not overdue, a call only checks its timers: rule 0. Otherwise the first rule that applies decides:

1. give up: the outcome allows no failover, the attempts are used up, or `Policy.stop` is met;
2. retry the same target, after a pause;
3. start the retry whose pause is over, or else fail over to the next target that was not tried;
   if none is available, to a target that only the breaker of its region or provider blocks;
4. retry an earlier target: once, when all have been tried, and again when its state has changed while the call waited;
5. give up if only the retry budget blocks an attempt: waiting would not change that;
6. an early probe: while calls wait, one of them a second (at first seven) tries a target whose break is not over;
7. wait in the queue until a target becomes available, at most until the deadline; but give up if the request is too long for
   the targets that are available;
8. one attempt of last resort although no target is available, so that a recovery is always noticed; else give up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import inf

from hotspare._engine import attempts, backoff, hedging, limiting
from hotspare._engine.attempts import SharedState
from hotspare._engine.call import Attempt, Call
from hotspare._engine.commands import Wait
from hotspare._engine.decision import Decision, decision_of
from hotspare._engine.first import first_attempt
from hotspare._engine.reasons import choice
from hotspare._engine.timeouts import min_useful_time
from hotspare._health.breaker import State
from hotspare._health.failures import may_retry
from hotspare._routing.candidates import RETRYABLE, TRANSIENT, retries_at_once, window_allows
from hotspare.outcome import AttemptReason, Kind, Scope

ACCEPTED_LATELY = 5.0
"""For this many seconds after a target accepted a request, an INVALID for a similar request counts as the caller's fault."""


@dataclass(frozen=True, slots=True)
class GiveUp:
    """No attempt is possible. `skipped`: why each target was not tried. `retry_after`: seconds (None: unknown). `is_limited`:
    only a limit blocks the call."""

    reason: str
    skipped: dict[str, str] = field(default_factory=dict[str, str])
    retry_after: float | None = None
    is_limited: bool = False


Step = Attempt | Wait | GiveUp


def next_step(call: Call, shared: SharedState, now: float) -> Step:
    """What the call does now."""
    if call.attempts and call.running and not hedging.mark_overdue(call, now):
        if shared.trace is not None:
            shared.trace.begin(0)
        return _hedge(call, shared, now) or Wait(hedging.next_timer(call, call.policy, now))  # rule 0
    attempt = first_attempt(call, shared, now)
    if attempt is not None:
        return attempt
    step = _first_answer(call, shared, now)
    if call.ticket is not None and not (isinstance(step, Wait) and step.waiter is not None):
        limiting.leave(call, shared.queue)
    return Wait(None) if isinstance(step, GiveUp) and call.running else step


def _first_answer(call: Call, shared: SharedState, now: float) -> Step:
    reason = _stop_reason(call, now)
    if shared.trace is not None:
        shared.trace.begin(1)
    if reason:
        return give_up(call, shared, reason, now)
    decision = decision_of(call, shared, now)
    for number, rule in _RULES:
        step = rule(decision)
        if step is not None:
            if shared.trace is not None:
                shared.trace.rule = 6 if number == 7 and isinstance(step, Attempt) else number
            return step
    raise AssertionError("the last rule always returns a step")


def _stop_reason(call: Call, now: float) -> str:
    """Rule 1: why the call ends here, or ""."""
    if call.last is not None and not _may_continue(call, call.last):
        return "the policy allows no failover after this outcome"
    if len(call.attempts) >= call.max_attempts:
        return f"all {call.max_attempts} attempts are used"
    if (call.attempts or call.was_queued) and call.time_left(now) <= 0:
        return "deadline exceeded"
    most = call.policy.max_alike_failures
    if most is not None and len(attempts.alike_failures(call)) >= most:
        return f"the request has failed in the same way at {most} target{'s' * (most > 1)}"
    return "the policy's stop condition is met" if backoff.stopped(call, call.policy, now) else ""


def _may_continue(call: Call, last: Attempt) -> bool:
    """Whether another target may be tried after the latest outcome."""
    assert last.outcome is not None
    kind = last.outcome.kind
    if kind in call.policy.failover_on:
        return True
    if kind is Kind.INVALID:
        streak = last.state.invalid_streaks.get(call.features, 0)
        quiet = last.ended - last.state.accepted.get(call.features, -inf) >= ACCEPTED_LATELY
        return (
            last.superseded
            or last.outcome.fault_scope is Scope.TARGET
            or (streak >= call.policy.doubt_invalid_after and quiet)
        )
    return kind is not Kind.CONTENT_FILTER


def _retry_same_target(decision: Decision) -> Wait | None:
    """Rule 2: the pause before the one retry that goes to the target that has just failed, or its short Retry-After."""
    call, policy, now = decision.call, decision.call.policy, decision.now
    last = call.to_retry
    if last is None or last.outcome is None:
        return None
    if last.outcome.kind is Kind.RATE_LIMITED:
        if last.outcome.retry_after is None or decision.has_equal(last.state):
            return None
        seconds = max(last.outcome.retry_after, last.state.breaker.rate_limited_until - now)
        if seconds > policy.max_retry_after_wait:
            return None
    elif policy.retry_same_target != "always" and (
        decision.has_equal(last.state) or (last.state.breaker.failures_in_a_row > 1 and decision.has_other())
    ):
        return None
    elif last.state.breaker.state_at(now) is State.CLOSED and retries_at_once(
        last.outcome, last.seconds, last.state, policy
    ):
        seconds = backoff.pause(call, policy, decision.shared.rng, now)
    else:
        return None
    if seconds + min_useful_time(call, last.state, policy) >= call.time_left(now):
        return None
    if not attempts.take_retry_token(call, decision.shared, now):
        return None
    call.retry_target = last.state
    return Wait(seconds)


def _failover(decision: Decision) -> Attempt | Wait | None:
    """Rule 3: the retry whose pause is over, or else the first admissible target that was not tried. If one is blocked only because the
    fleet's store has not answered yet, the call waits for the store."""
    call, now = decision.call, decision.now
    retry, call.retry_target = call.retry_target, None
    if retry is not None and limiting.available_at(call, retry, decision.shared, now) <= now:
        call.retry_used = True
        return decision.start(retry, AttemptReason.RETRY)
    for alone in (False, True):
        for state in decision.candidates:
            if state in decision.results:
                continue
            if not decision.is_admissible(state, alone=alone):
                if wait := limiting.await_grant(call, state, decision.shared, now):
                    return wait
                continue
            if alone and (state.breaker.state is not State.CLOSED or decision.is_admissible(state)):
                continue  # blocked by its own breaker, or by the retry budget
            if decision.needs_retry_token(state) and not attempts.take_retry_token(call, decision.shared, now):
                continue
            return decision.start(state, AttemptReason.FAILOVER if call.last else AttemptReason.FIRST)
    return None


def _retry_earlier(decision: Decision) -> Attempt | None:
    """Rule 4: a target that failed this call before."""
    call, now = decision.call, decision.now
    for state in decision.candidates:
        failure = decision.failure_of(state)
        if failure is None or call.is_running_at(state) or not decision.is_admissible(state):
            continue
        if call.was_queued and failure.kind in TRANSIENT and may_retry(state, failure, now):
            extra = state.breaker.last_success_start <= failure.at
            return decision.start(state, AttemptReason.AFTER_WAIT, extra=extra)
        if not call.retry_used and failure.kind in RETRYABLE and attempts.take_retry_token(call, decision.shared, now):
            call.retry_used = True
            return decision.start(state, AttemptReason.RETRY)
    return None


def _budget_exhausted(decision: Decision) -> GiveUp | None:
    """Rule 5: a target is admissible, and only the retry budget keeps the call from trying it."""
    if any(state not in decision.results and decision.is_admissible(state) for state in decision.candidates):
        return give_up(decision.call, decision.shared, "the retry budget is exhausted", decision.now)
    return None


def _enqueue(decision: Decision) -> Attempt | Wait | GiveUp | None:
    """Rules 6 and 7: an early probe, or else wait for a recovery, up to the latest moment at which an attempt can still be
    answered in time, even if every break ends later, because breaks are estimates. Times that a provider stated are not: if they end
    too late, the call does not wait."""
    call, shared, now = decision.call, decision.shared, decision.now
    if call.policy.when_all_down != "wait":
        return None
    state, available = decision.earliest()
    if state is None or state.rejection is not None:  # a rejected key or model stays rejected while a call waits
        return None
    if any(
        (outcome.kind, outcome.fault_scope) == (Kind.CONTEXT_LENGTH, Scope.REQUEST)
        for outcome in decision.outcomes.values()
    ):
        return give_up(call, shared, "the request is too long for the targets that are available", now)
    latest = call.deadline - min_useful_time(call, state, call.policy)
    if max(state.stated_until, limiting.ready_at(call, state, now)) > latest or now >= latest:
        return None
    probed = decision.early_probe_target()
    if probed is not None and now >= shared.next_early_probe:
        shared.next_early_probe = now + call.policy.early_probe_interval
        return decision.start(probed, AttemptReason.EARLY_PROBE, extra=True)
    if len(shared.queue) >= call.policy.max_waiters:
        return None
    call.was_queued = True
    waiter = shared.queue.enter(call, latest)
    until = min(latest, limiting.wait_turn(call, state, waiter, now))
    if shared.queue.leader is waiter:
        until = min(until, available, inf if probed is None else shared.next_early_probe)
    return Wait(max(limiting.MIN_WAIT, until - now), waiter)


def _last_resort(decision: Decision) -> Attempt | GiveUp:
    """Rule 8: one attempt although no target is available, unless the client throttle rejects it."""
    call, shared, now = decision.call, decision.shared, decision.now
    untried = [
        state
        for state in decision.candidates
        if state not in decision.results
        and window_allows(state, decision.outcomes)
        and not (state.key_is_rejected or state.breaker.disabled or limiting.ready_at(call, state, now) > now)
    ]
    if call.allow_last_resort and untried and shared.rng.random() >= shared.client_throttle.rejection_probability(now):
        state = min(untried, key=lambda one: shared.tracker.available_at(one, now))
        return decision.start(state, AttemptReason.LAST_RESORT)
    earliest, available = decision.earliest()
    if earliest is None:
        return give_up(call, shared, "no target is left to try", now)
    held = limiting.ready_at(call, earliest, now) > now
    reason = "the limits of the targets are reached" if held else "no target is available"
    return replace(give_up(call, shared, reason, now, max(0.0, available - now)), is_limited=held)


def _hedge(call: Call, shared: SharedState, now: float) -> Attempt | None:
    """Rule 0: a second attempt beside the first, if it is due, a suitable target exists, and the hedge budget allows it."""
    hedge, delay = call.policy.hedge, hedging.hedge_delay(call, call.policy, now)
    if hedge is None or delay is None or delay > 0:
        return None
    call.hedged = True
    decision, first = decision_of(call, shared, now), call.running[0].state
    for state in decision.candidates:
        if state not in decision.results and hedging.may_hedge(first, state, hedge) and decision.is_admissible(state):
            return decision.start(state, AttemptReason.HEDGE) if shared.hedge_tokens.withdraw() else None
    return None


def give_up(call: Call, shared: SharedState, reason: str, now: float, retry_after: float | None = None) -> GiveUp:
    """The end of a call, with the reason for each target that was not tried."""
    results = call.results
    skipped = {
        state.name: choice(call, state, shared, 0, now).reason or reason
        for state in call.states()
        if state not in results
    }
    skipped |= {state.name: exclusion.reason for state, exclusion in call.excluded.items()}
    return GiveUp(reason, skipped, retry_after)


_RULES: tuple[tuple[int, Callable[[Decision], Step | None]], ...] = (
    (2, _retry_same_target),
    (3, _failover),
    (4, _retry_earlier),
    (5, _budget_exhausted),
    (7, _enqueue),  # 6 if it starts an early probe
    (8, _last_resort),
)
"""The rules by number, in their order: the first that returns a step decides."""
