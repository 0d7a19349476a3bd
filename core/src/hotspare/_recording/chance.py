"""Records the inputs of decisions besides their arguments: random numbers, and the results of tenacity's objects."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

from hotspare.policy import Policy


class NotedRandom(random.Random):
    """Draws from another source, and records each number: all methods that the engine uses are built on `random`."""

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
class NotedRule:
    """One of tenacity's `wait_*` or `stop_*`, and what it said."""

    rule: Callable[[Any], float | bool]
    noted: list[float | bool]

    def __call__(self, state: Any) -> float | bool:
        value = self.rule(state)
        self.noted.append(value)
        return value


def noting(policy: Policy, waits: list[float | bool], stops: list[float | bool]) -> Policy:
    """The policy, whose `wait` and `stop` note what they say."""
    changes: dict[str, Any] = {}
    if policy.wait is not None:
        changes["wait"] = NotedRule(cast("Any", policy.wait), waits)
    if policy.stop is not None:
        changes["stop"] = NotedRule(cast("Any", policy.stop), stops)
    return replace(policy, **changes) if changes else policy
