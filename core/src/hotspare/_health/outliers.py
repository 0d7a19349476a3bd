"""Targets that answer most calls, and yet fail far more often than an equal one. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from hotspare._health.breaker import State
from hotspare._health.target_state import TargetState


def is_outlier(state: TargetState, states: Iterable[TargetState], is_ready: Callable[[TargetState], bool]) -> bool:
    """Whether one of the `states` with the same model and tier is ready and does much better: of its latest outcomes, or
    of those since the probe while it recovers. Sets the breaker's reason."""
    breaker = state.breaker
    size = breaker.config.window_calls
    if breaker.state is State.RECOVERING:
        size = min(size, breaker.recent[0])
    failures = breaker.failures_of_last(size)
    if failures < max(2, breaker.config.outlier_ratio * size):
        return False
    place = state.target.model, state.target.tier
    for other in states:
        if other is not state and (other.target.model, other.target.tier) == place:
            others_size, others_failures = other.breaker.recent
            if 2 * others_failures * size <= failures * others_size and is_ready(other):
                breaker.reason = f"{failures} of the last {size} attempts failed, and {other.name} does better"
                return True
    return False
