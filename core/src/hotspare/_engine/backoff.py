"""tenacity's `wait_*` and `stop_*` objects, evaluated on the pool's clock.

tenacity is the policy language: ``Pool(..., stop=stop_after_delay(10) | stop_after_attempt(4))``. It neither sleeps nor
reads a clock here: it is passed a `RetryCallState` built from the call's own times.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from hotspare._engine.call import Call
from hotspare.policy import Policy

if TYPE_CHECKING:
    from tenacity import RetryCallState

DEFAULT_PAUSE = (0.05, 0.25)
"""Seconds before a retry without `Policy.wait`, uniformly at random: long enough for a connection to be reopened, and spread
so that concurrent calls do not retry at the same moment."""


def pause(call: Call, policy: Policy, rng: random.Random, now: float) -> float:
    """Seconds to wait before a retry."""
    if policy.wait is None:
        return rng.uniform(*DEFAULT_PAUSE)
    return max(0.0, float(policy.wait(_state(call, now))))


def stopped(call: Call, policy: Policy, now: float) -> bool:
    """Whether `policy.stop` ends the call before its next attempt."""
    return policy.stop is not None and bool(call.attempts) and bool(policy.stop(_state(call, now)))


def _state(call: Call, now: float) -> RetryCallState:
    from concurrent.futures import Future

    from tenacity import RetryCallState, Retrying

    records = call.records
    state = RetryCallState(Retrying(), None, (), {})
    state.attempt_number = max(1, len(call.attempts))
    state.start_time = call.started
    state.outcome_timestamp = now
    state.idle_for = call.idle_seconds
    future: Future[object] = Future()
    future.set_exception(ConnectionError(records[-1].message if records else ""))
    state.outcome = future  # type: ignore[assignment]
    return state
