"""How long a target takes: the last answers' times, kept sorted so that a percentile is one look-up."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque


class Percentiles:
    """Percentiles over the last `size` samples, in seconds. 64: a minute of calm traffic, one slow hour forgotten."""

    def __init__(self, size: int = 64) -> None:
        self._size = size
        self._recent: deque[float] = deque()
        self._sorted: list[float] = []

    def __len__(self) -> int:
        return len(self._recent)

    def add(self, seconds: float) -> None:
        """Learn one sample, forget the oldest."""
        if len(self._recent) == self._size:
            del self._sorted[bisect_left(self._sorted, self._recent.popleft())]
        self._recent.append(seconds)
        insort(self._sorted, seconds)

    def quantile(self, share: float) -> float | None:
        """The time that `share` of the samples stayed under (nearest rank); None without samples."""
        if not self._sorted:
            return None
        return self._sorted[min(int(share * len(self._sorted)), len(self._sorted) - 1)]
