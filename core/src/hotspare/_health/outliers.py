"""Outlier detection: targets that answer most calls, but fail far more often than an equal target. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from hotspare._health.breaker import State
from hotspare._health.target_state import TargetState


def is_outlier(state: TargetState, states: Iterable[TargetState], is_ready: Callable[[TargetState], bool]) -> bool:
    """Whether another target with the same model and tier is ready and fails far less often: among the latest outcomes, or, while
    `state` recovers, among those since its probe. Sets the breaker's reason."""
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
                breaker.reason = f"{failures} of the last {size} attempts failed, far more than at {other.name}"
                return True
    return False
