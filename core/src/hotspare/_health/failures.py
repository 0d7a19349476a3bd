"""Failures from a call's point of view: when a target may be tried again, and which failures the request itself caused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from hotspare import events
from hotspare._health.breaker import Permit, State
from hotspare._health.target_state import Suspicion, TargetState
from hotspare.outcome import Kind

SUSPICION_SECONDS = 10.0
"""A suspicion older than this is dropped with the next one."""


class Failure(NamedTuple):
    """A target's failure in one call: kind, time, and the seconds after which the call tries it again if its state does not change."""

    kind: Kind
    at: float
    pause: float = 1.0


def may_retry(state: TargetState, failure: Failure, now: float) -> bool:
    """Whether something has changed since the target failed a call: another call succeeded there, its breaker has
    changed state, its rate limit is over, or the pause has passed."""
    return (
        state.breaker.last_success_start > failure.at
        or state.breaker.state is not State.CLOSED
        or failure.kind is Kind.RATE_LIMITED
        or now >= failure.at + failure.pause
    )


def suspect(failures: Sequence[tuple[TargetState, Permit]], now: float, call_id: str) -> None:
    """Several targets failed in the same way on one request. If one of them answers a later call, the request caused the failures."""
    suspicion = Suspicion(call_id, tuple(failures))
    for state, _ in failures:
        state.suspicions = [
            one
            for one in state.suspicions
            if one.call_id != call_id and not one.cleared and one.failures[0][1].started > now - SUSPICION_SECONDS
        ]
        state.suspicions.append(suspicion)


def cleared(suspicion: Suspicion, started: float) -> events.RequestAtFault | None:
    """One of the targets has answered an attempt that began at `started`. If that was after the failures, the request caused them: they
    no longer count, and the event to emit is returned."""
    if suspicion.cleared or started <= max(permit.started for _, permit in suspicion.failures):
        return None
    suspicion.cleared = True
    for state, permit in suspicion.failures:
        if permit.failed_at is not None and permit.epoch == state.breaker.epoch:
            state.breaker.retract_failure(permit.failed_at)
    names = tuple(dict.fromkeys(state.name for state, _ in suspicion.failures))
    return events.RequestAtFault(suspicion.call_id, names)
