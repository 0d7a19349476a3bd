"""The bounds of settings that are numbers."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from hotspare.errors import Problem

MAX_NUMBER = 30 * 86400
"""The largest value of a setting that is not a count: in seconds, 30 days. Sockets and locks of every platform can wait that long."""
_FRACTIONS = frozenset(
    {"failure_ratio", "outlier_ratio", "slow_start_min_share", "max_deadline_fraction", "max_rejection", "share"}
)
_ABOVE_ZERO = frozenset(
    {
        *("deadline", "total_deadline", "max_attempts", "max_alike_failures", "early_probe_interval"),
        *("consecutive_failures", "stalled_calls", "free_attempts_per_domain"),
    }
)
"""Settings that would fail every call, open every breaker, or start attempts without end, if they were 0."""


def out_of_range(path: str, group: Any) -> list[Problem]:
    """The mistakes in the numbers of a group of settings. `path`: the beginning of its fields' paths."""
    found: list[Problem] = []
    for setting in fields(group):
        value = getattr(group, setting.name)
        hint = ""
        if isinstance(value, int | float) and value < 0:
            hint = "must not be negative"
        elif setting.name in _ABOVE_ZERO and value == 0:
            hint = "must be above 0"
        elif isinstance(value, float) and value > MAX_NUMBER:
            hint = f"must be at most {MAX_NUMBER} (seconds: 30 days)"
        elif setting.name in _FRACTIONS and value > 1:
            hint = "must be between 0 and 1"
        if hint:
            found.append(Problem.at(f"{path}.{setting.name}", value, hint))
    return found
