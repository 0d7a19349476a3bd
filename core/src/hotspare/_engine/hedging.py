"""Concurrent attempts: when a slow attempt counts as failed, and when the first attempt is hedged. Pure.

*Racing* (`on_slow = race`): an attempt that exceeds its timeout stays in flight, and the call continues as if it had failed.
*Hedging* (`hedge`): a second attempt starts before the first has failed, within a budget of extra calls.
"""

from __future__ import annotations

from hotspare._engine.call import Attempt, Call
from hotspare._health.breaker import State
from hotspare._health.target_state import TargetState
from hotspare.outcome import Kind, Outcome
from hotspare.policy import Hedge, Policy


def mark_overdue(call: Call, now: float) -> bool:
    """Mark the running attempts that exceeded their timeout as failures of this call. Returns whether all running attempts have."""
    running = call.running
    for attempt in running:
        if (
            attempt.outcome is None
            and attempt.race_after is not None
            and _due_in(attempt, attempt.race_after, now) <= 0
        ):
            attempt.end(timeout_outcome(attempt, now), now)
            call.last = attempt
    return all(attempt.outcome is not None for attempt in running)


def timeout_outcome(attempt: Attempt, now: float) -> Outcome:
    """The outcome of an attempt that exceeded its timeout."""
    what = "whole answer" if attempt.unary else "first token"
    return Outcome(Kind.TIMEOUT, f"no {what} within {now - attempt.permit.started:.1f} s")


def next_timer(call: Call, policy: Policy, now: float) -> float | None:
    """Seconds until a running attempt is overdue or has to be hedged; None: nothing is due before one of them ends."""
    times = [
        _due_in(attempt, attempt.race_after, now)
        for attempt in call.running
        if attempt.outcome is None and attempt.race_after is not None
    ]
    delay = hedge_delay(call, policy, now)
    if delay is not None:
        times.append(delay)
    return max(0.0, min(times)) if times else None


def hedge_delay(call: Call, policy: Policy, now: float) -> float | None:
    """Seconds until the call's only attempt is hedged (0 or less: now); None: it is not hedged.

    Once per call, before the first content, and only if the target has enough latency samples for a p95.
    """
    hedge = policy.hedge
    if hedge is None or call.hedged or call.emitted is not None or call.attempts_left <= 0:
        return None
    running = call.running
    if len(running) != 1 or running[0].outcome is not None:
        return None
    attempt = running[0]
    samples = attempt.state.completion if attempt.unary else attempt.state.first_token
    p95 = samples.quantile(0.95, min_samples=policy.timeouts.min_samples)
    return None if p95 is None else _due_in(attempt, max(hedge.min_delay, hedge.p95_factor * p95), now)


def may_hedge(first: TargetState, other: TargetState, hedge: Hedge) -> bool:
    """Whether `other` may run beside `first`: its breaker is closed, it is in another region, and its price is low enough."""
    if other is first or other.breaker.state is not State.CLOSED or other.domains[0] == first.domains[0]:
        return False
    mine, theirs = first.target.price, other.target.price
    if mine is None or theirs is None:
        return True
    limit = hedge.max_price_ratio
    return theirs.input <= limit * mine.input and theirs.output <= limit * mine.output


def _due_in(attempt: Attempt, seconds: float, now: float) -> float:
    return attempt.permit.started + seconds - now
