"""Percentiles over the latest samples, kept sorted so that a quantile is one look-up."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque


class Percentiles:
    """Percentiles over the last `size` samples: seconds, or bytes a second. 64: recent enough to follow a change of an hour,
    enough for a p95. Not thread-safe: samples are added under the scheduler's lock only."""

    def __init__(self, size: int = 64) -> None:
        self._size = size
        self._recent: deque[float] = deque()
        self._sorted: list[float] = []

    def __len__(self) -> int:
        return len(self._recent)

    def add(self, sample: float) -> None:
        """Add a sample; the oldest one beyond `size` is dropped."""
        if len(self._recent) == self._size:
            del self._sorted[bisect_left(self._sorted, self._recent.popleft())]
        self._recent.append(sample)
        insort(self._sorted, sample)

    def clear(self) -> None:
        """Forget all samples."""
        self._recent.clear()
        self._sorted.clear()

    def quantile(self, q: float, *, min_samples: int = 1) -> float | None:
        """The nearest-rank quantile; None with fewer than `min_samples` samples."""
        ordered = self._sorted
        size = len(ordered)
        if size < min_samples or not size:
            return None
        return ordered[min(int(q * size), size - 1)]
