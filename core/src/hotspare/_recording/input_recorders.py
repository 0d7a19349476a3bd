"""Records the inputs of decisions besides their arguments: random numbers, and the results of tenacity's objects."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

from hotspare.policy import Policy


class RecordingRandom(random.Random):
    """Draws from another source, and records each number. All methods that the engine uses are built on `random`."""

    def __init__(self, source: random.Random) -> None:
        super().__init__(0)
        self._source = source
        self.noted: list[float] = []

    def random(self) -> float:
        """The next number of the source."""
        number = self._source.random()
        self.noted.append(number)
        return number


@dataclass(eq=False, slots=True)
class RecordingRule:
    """One of tenacity's `wait_*` or `stop_*` objects, which records each of its results."""

    rule: Callable[[Any], float | bool]
    noted: list[float | bool]

    def __call__(self, state: Any) -> float | bool:
        value = self.rule(state)
        self.noted.append(value)
        return value


def with_recording_rules(policy: Policy, waits: list[float | bool], stops: list[float | bool]) -> Policy:
    """The policy with a `wait` and a `stop` that append their results to these lists."""
    changes: dict[str, Any] = {}
    if policy.wait is not None:
        changes["wait"] = RecordingRule(cast("Any", policy.wait), waits)
    if policy.stop is not None:
        changes["stop"] = RecordingRule(cast("Any", policy.stop), stops)
    return replace(policy, **changes) if changes else policy
