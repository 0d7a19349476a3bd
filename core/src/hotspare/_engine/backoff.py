"""tenacity's `wait_*` and `stop_*` objects, asked on our clock.

tenacity is the policy language: whoever knows it writes ``Pool(..., stop=stop_after_delay(10) | stop_after_attempt(4))``.
It never sleeps here, nor looks at a clock: it is handed a `RetryCallState` built from the call's own times.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tenacity import RetryCallState

    from hotspare._engine.call import Call
    from hotspare.policy import Policy


def pause(call: Call, policy: Policy, rng: random.Random, now: float) -> float:
    """Seconds to wait before a return visit: what `policy.wait` says, else 50 to 250 ms at random."""
    if policy.wait is None:
        return rng.uniform(0.05, 0.25)
    return max(0.0, float(policy.wait(_state(call, now))))


def stopped(call: Call, policy: Policy, now: float) -> bool:
    """Whether `policy.stop` ends the call before its next attempt."""
    return policy.stop is not None and call.started_attempts > 0 and bool(policy.stop(_state(call, now)))


def _state(call: Call, now: float) -> RetryCallState:
    from concurrent.futures import Future

    from tenacity import RetryCallState, Retrying

    state = RetryCallState(Retrying(), None, (), {})
    state.attempt_number = max(1, call.started_attempts)
    state.start_time = call.started
    state.outcome_timestamp = now
    state.idle_for = call.idle
    future: Future[object] = Future()
    future.set_exception(ConnectionError(call.records[-1].message if call.records else ""))
    state.outcome = future  # type: ignore[assignment]
    return state
