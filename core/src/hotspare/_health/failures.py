"""Failures as calls see them: when a target may be tried again, and which failures were the request's fault."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from hotspare import events
from hotspare._health.breaker import Permit
from hotspare._health.target_state import Suspicion, TargetState
from hotspare.outcome import Kind

RECENT = 10.0
"""Seconds for which a suspicion of a request is kept, and over which calls are counted."""


class Failure(NamedTuple):
    """How a target failed a call: kind, time, and the seconds after which the call tries it again if nothing else changes."""

    kind: Kind
    at: float
    pause: float = 1.0


def suspect(failures: Sequence[tuple[TargetState, Permit]], now: float, call_id: str) -> None:
    """Several targets failed in the same way on one request. If one of them answers a later call, it was the request's fault."""
    suspicion = Suspicion(call_id, tuple(failures))
    for state, _ in failures:
        state.suspicions = [
            one
            for one in state.suspicions
            if one.call_id != call_id and not one.cleared and one.failures[0][1].started > now - RECENT
        ]
        state.suspicions.append(suspicion)


def cleared(suspicion: Suspicion, started: float) -> events.RequestAtFault | None:
    """One of the targets has answered an attempt that began at `started`: if that was later than the failures, they are the
    request's, and count no longer. Returns what is to be reported then."""
    if suspicion.cleared or started <= max(permit.started for _, permit in suspicion.failures):
        return None
    suspicion.cleared = True
    for state, permit in suspicion.failures:
        if permit.failed_at is not None and permit.epoch == state.breaker.epoch:
            state.breaker.retract_failure(permit.failed_at)
    names = tuple(dict.fromkeys(state.name for state, _ in suspicion.failures))
    return events.RequestAtFault(suspicion.call_id, names)
