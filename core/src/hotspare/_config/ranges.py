"""The bounds of settings that are numbers."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from hotspare.errors import Problem

MAX_NUMBER = 30 * 86400
"""The largest value of a setting that is no count. Of seconds it is 30 days: what sockets and locks of every platform can wait for."""
_FRACTIONS = frozenset(
    {"failure_ratio", "outlier_ratio", "slow_start_min_share", "max_deadline_fraction", "max_rejection", "share"}
)


def out_of_range(path: str, group: Any) -> list[Problem]:
    """What is wrong with the numbers of a group of settings. `path`: what the paths of its fields begin with."""
    found: list[Problem] = []
    for knob in fields(group):
        value = getattr(group, knob.name)
        if isinstance(value, int | float) and value < 0:
            found.append(Problem.at(f"{path}.{knob.name}", value, "must not be negative"))
        elif isinstance(value, float) and value > MAX_NUMBER:
            found.append(
                Problem.at(f"{path}.{knob.name}", value, f"must be at most {MAX_NUMBER} (of seconds: 30 days)")
            )
        elif knob.name in _FRACTIONS and value > 1:
            found.append(Problem.at(f"{path}.{knob.name}", value, "must be between 0 and 1"))
    return found
