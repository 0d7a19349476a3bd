"""Calls and the limits of their targets: when a call is admitted, what its attempts take and give back, which calls wait.

The scheduler holds the lock. For a target without limits only one attribute is read.
"""

from __future__ import annotations

from collections.abc import Container
from math import inf
from typing import TYPE_CHECKING

from hotspare import events
from hotspare._engine.call import Attempt, Call, OpenStream
from hotspare._engine.commands import Wait
from hotspare._engine.waiters import Waiter, WaitQueue
from hotspare._health.target_state import TargetState
from hotspare._routing.limits import RELEASED_AFTER, TargetLimits
from hotspare._routing.shared_rate import ANSWER_TIMEOUT
from hotspare.messages import ChatReply, Usage
from hotspare.outcome import Kind, Outcome

if TYPE_CHECKING:
    from hotspare._engine.attempts import SharedState

_OK = Kind.OK
MIN_WAIT = 0.001
"""Shortest wait in the queue, in seconds: prevents a busy loop when the time to wait has just ended."""


def ready_at(call: Call, state: TargetState, now: float) -> float:
    """When the target's limits admit an attempt of this call; `now` or earlier: immediately."""
    return -inf if state.limits is None else state.limits.ready_at(call.need, now, call.ticket)


def available_at(call: Call, state: TargetState, shared: SharedState, now: float) -> float:
    """When the target's health and limits admit an attempt of this call; `now` or earlier: immediately."""
    at = shared.tracker.available_at(state, now)
    return at if state.limits is None else max(at, ready_at(call, state, now))


def others_in(call: Call, state: TargetState, tried: Container[TargetState], shared: SharedState, now: float) -> float:
    """Seconds until any target that the call can try after this one admits an attempt. `inf`: never, or it is the call's last attempt."""
    soonest = inf
    if call.attempts_left < 2:
        return soonest
    for other in call.states():
        if other is not state and other not in tried and call.may_use(other):
            if other.breaker.in_flight:
                shared.tracker.open_if_stalled(other, now)
            at = available_at(call, other, shared, now)
            if at <= now:
                return 0.0
            soonest = min(soonest, at - now)
    return soonest


def is_limited(call: Call, state: TargetState, shared: SharedState, now: float) -> bool:
    """Whether a limit blocks this call. The first time emits `LimitReached`."""
    limits = state.limits
    if limits is None or limits.ready_at(call.need, now, call.ticket) <= now:
        return False
    if limits.hold(call.need, now):
        shared.tracker.has_news = True
    if limits.is_fetching(call.need, now, call.ticket):
        return True
    if not limits.is_reached:
        limits.is_reached = True
        seconds = limits.ready_at(call.need, now) - now
        reason = limits.reason(call.need, now)
        shared.tracker.pending_events.append(events.LimitReached(state.name, reason, seconds))
    limits.held_at = now
    return True


def await_grant(call: Call, state: TargetState, shared: SharedState, now: float) -> Wait | None:
    """Wait at most `ANSWER_TIMEOUT` seconds for the store, if nothing but its pending answer about a fleet-wide limit blocks this call."""
    limits = state.limits
    if limits is None or not limits.shares or shared.tracker.available_at(state, now) > now:
        return None
    if limits.ready_at(call.need, now, call.ticket) <= now or not limits.is_fetching(call.need, now, call.ticket):
        return None
    waiter = shared.queue.enter(call, now + ANSWER_TIMEOUT)
    until = min(wait_turn(call, state, waiter, now), now + ANSWER_TIMEOUT)
    return Wait(max(MIN_WAIT, until - now), waiter)


def reason(call: Call, state: TargetState, now: float) -> str:
    """The limit that blocks a call."""
    assert state.limits is not None
    return state.limits.reason(call.need, now)


def take(call: Call, attempt: Attempt, limits: TargetLimits, shared: SharedState, now: float) -> None:
    """Take what an attempt is expected to use from its target's limits."""
    attempt.reserved = limits.take(call.need, now)
    if limits.is_low:
        shared.tracker.has_news = True
    if limits.is_reached and now - limits.held_at >= RELEASED_AFTER:
        limits.is_reached = False
        shared.tracker.pending_events.append(events.LimitReleased(attempt.state.name))


def settle(attempt: Attempt, outcome: Outcome, usage: Usage | None, shared: SharedState, now: float) -> None:
    """Give back what an attempt did not use, once, and wake the next waiting call."""
    limits, reserved = attempt.state.limits, attempt.reserved
    attempt.reserved = None
    if limits is None or reserved is None:
        return
    limits.settle(reserved, outcome, usage, now)
    wake_next(limits, shared.queue)


def settle_answered(attempt: Attempt, outcome: Outcome, shared: SharedState, now: float) -> None:
    """An attempt has its outcome: learn the limits that the answer states, and settle, unless its stream is still running."""
    result, state, found, ok = attempt.result, attempt.state, outcome.limits, outcome.kind is _OK
    if ok and result is not None:
        found = result.first.limits if isinstance(result, OpenStream) else result.limits
    if found and shared.policy.learn_limits:
        state.limits = state.limits or TargetLimits()
        for limit in state.limits.observe(found, attempt.reserved, outcome, now):
            shared.tracker.pending_events.append(events.LimitLearnt(state.name, limit))
    if attempt.reserved is not None and not (ok and isinstance(result, OpenStream)):
        settle(attempt, outcome, result.usage if isinstance(result, ChatReply) else None, shared, now)


def free(state: TargetState, now: float) -> float:
    """How many more attempts the target admits now; 0 if its limits have their own queue."""
    admitted = state.breaker.free(now)
    return admitted if state.limits is None else max(0.0, min(admitted, state.limits.free(now)))


def wait_turn(call: Call, state: TargetState, waiter: Waiter, now: float) -> float:
    """Join the queue of this target's limits, or keep the place in it. Returns when the call should check again; `inf`: the limits
    do not block it, or it is woken when it is first."""
    limits, ticket = state.limits, call.ticket
    if limits is None or limits.ready_at(call.need, now, ticket) <= now:
        return inf
    if ticket is None or ticket.limits is not limits:
        if ticket is not None:
            ticket.limits.leave(ticket)
        call.ticket = ticket = limits.join(call.need, now)
    ticket.waiter = waiter
    return limits.ready_at(call.need, now, ticket) if limits.is_first(ticket) else inf


def leave(call: Call, queue: WaitQueue) -> None:
    """Leave the queue of the limits: the next call in it is woken and checks again."""
    ticket, call.ticket = call.ticket, None
    if ticket is not None:
        ticket.limits.leave(ticket)
        wake_next(ticket.limits, queue)


def wake_next(limits: TargetLimits, queue: WaitQueue) -> None:
    """Wake the calls that may be admitted now."""
    for ticket in limits.next_tickets():
        queue.wake_one(ticket.waiter)
