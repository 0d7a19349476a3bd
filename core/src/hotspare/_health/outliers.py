"""Outlier detection: targets that answer most calls, but fail far more often than an equal target. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from hotspare._health.breaker import State
from hotspare._health.target_state import TargetState


def outlier_reason(
    state: TargetState, states: Iterable[TargetState], available_at: Callable[[TargetState, float], float], now: float
) -> str:
    """Why the breaker of `state` should open as that of an outlier, or "": it has failed at least twice as often as another target with the
    same model and tier that is available. The latest outcomes count, or, while `state` recovers, those since its probe."""
    breaker = state.breaker
    size = breaker.config.window_calls
    if breaker.state is State.RECOVERING:
        size = min(size, len(breaker.window))
    failures = breaker.window.failures_of_last(size)
    if failures < max(2, breaker.config.outlier_ratio * size):
        return ""
    place = state.target.model, state.target.tier
    for other in states:
        if other is not state and (other.target.model, other.target.tier) == place:
            others_size, others_failures = other.breaker.recent
            if 2 * others_failures * size <= failures * others_size and available_at(other, now) <= now:
                return f"{failures} of the last {size} attempts failed, far more than at {other.name}"
    return ""
