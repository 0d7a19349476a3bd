"""Attempts side by side: when a slow one is no longer waited for, and when the first one is hedged. No lock, no I/O.

*Racing* (`on_slow = race`): an attempt whose time is up stays under way, and the call goes on as if it had failed.
*Hedging* (`hedge`): a second attempt starts before the first has failed, within a budget of extra calls.
"""

from __future__ import annotations

from hotspare._engine.call import Attempt, Call, TargetState
from hotspare._health.breaker import State
from hotspare.outcome import Kind, Outcome
from hotspare.policy import Hedge, Policy


def note_overdue(call: Call, now: float) -> bool:
    """Mark the running attempts whose time is up, as failures of this call. Returns whether all of them are."""
    for attempt in call.running:
        if attempt.overdue is None and attempt.patience is not None and _due_in(attempt, attempt.patience, now) <= 0:
            seconds = now - attempt.permit.started
            what = "whole answer" if attempt.unary else "first token"
            attempt.overdue = Outcome(Kind.TIMEOUT, f"no {what} within {seconds:.1f} s")
            call.note(attempt.target_state, attempt.overdue, seconds, now)
    return all(attempt.overdue is not None for attempt in call.running)


def next_timer(call: Call, policy: Policy, now: float) -> float | None:
    """Seconds until a running attempt is overdue or to be hedged; None: nothing is decided before one of them ends."""
    times = [
        _due_in(attempt, attempt.patience, now)
        for attempt in call.running
        if attempt.overdue is None and attempt.patience is not None
    ]
    hedge = hedge_delay(call, policy, now)
    if hedge is not None:
        times.append(hedge)
    return max(0.0, min(times)) if times else None


def hedge_delay(call: Call, policy: Policy, now: float) -> float | None:
    """Seconds until the call's one attempt is hedged (0 or less: now); None: it is not.

    Only before the first content, once, and only where the target's own record says what is late.
    """
    knobs = policy.hedge
    if knobs is None or call.hedged or call.shown is not None or len(call.running) != 1 or call.attempts_left <= 0:
        return None
    attempt = call.running[0]
    record = attempt.target_state.completion if attempt.unary else attempt.target_state.first_token
    p95 = record.quantile(0.95)
    if attempt.overdue is not None or p95 is None or len(record) < policy.timeouts.min_samples:
        return None
    return _due_in(attempt, max(knobs.min_delay, knobs.p95_factor * p95), now)


def may_hedge(first: TargetState, other: TargetState, knobs: Hedge) -> bool:
    """Whether `other` may run beside `first`: well, of another region, and not too dear."""
    if other is first or other.breaker.state is not State.CLOSED or other.domains[0] == first.domains[0]:
        return False
    mine, theirs = first.target.price, other.target.price
    if mine is None or theirs is None:
        return True
    return theirs.input <= knobs.max_price_ratio * mine.input and theirs.output <= knobs.max_price_ratio * mine.output


def _due_in(attempt: Attempt, seconds: float, now: float) -> float:
    return attempt.permit.started + seconds - now
