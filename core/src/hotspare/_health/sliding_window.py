"""The sliding window of a target's recent outcomes, from which its failure ratio is computed. Pure."""

from __future__ import annotations

from collections import deque
from itertools import islice

from hotspare.policy import Breaker


class SlidingWindow:
    """The last `window_calls` outcomes or those of the last `window_seconds`, whichever are more; none older than `window_max`.
    `failures`: how many of them are failures."""

    __slots__ = ("_outcomes", "failures")

    def __init__(self) -> None:
        self._outcomes: deque[tuple[float, bool]] = deque()
        self.failures = 0

    def __len__(self) -> int:
        return len(self._outcomes)

    def record(self, now: float, failed: bool, config: Breaker) -> None:
        """Add an outcome, and drop those that are too old."""
        outcomes = self._outcomes
        outcomes.append((now, failed))
        self.failures += failed
        while outcomes and (
            outcomes[0][0] < now - config.window_max
            or (len(outcomes) > config.window_calls and outcomes[0][0] < now - config.window_seconds)
        ):
            self.failures -= outcomes.popleft()[1]

    def failures_of_last(self, count: int) -> int:
        """How many of the latest `count` outcomes are failures; 0 while there are fewer outcomes."""
        if len(self._outcomes) < count:
            return 0
        return sum(failed for _, failed in islice(reversed(self._outcomes), count))

    def remove_failure(self, at: float) -> bool:
        """Remove a failure that was recorded at `at`. Returns whether it was still in the window."""
        for place in range(len(self._outcomes) - 1, -1, -1):
            if self._outcomes[place] == (at, True):
                del self._outcomes[place]
                self.failures -= 1
                return True
        return False

    def clear(self) -> None:
        """Forget all outcomes."""
        self._outcomes.clear()
        self.failures = 0
