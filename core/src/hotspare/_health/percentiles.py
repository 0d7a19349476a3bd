"""Percentiles over the latest samples, kept sorted so that a quantile is one look-up."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque


class Percentiles:
    """Percentiles over the last `size` samples: seconds, or bytes a second. 64 samples are enough for a p95, and few enough to follow
    changes within an hour. `is_seldom_read`: sort when read, not with each sample. Not thread-safe: samples are added under the
    scheduler's lock only."""

    def __init__(self, size: int = 64, *, is_seldom_read: bool = False) -> None:
        self._size, self._is_seldom_read = size, is_seldom_read
        self._recent: deque[float] = deque(maxlen=size)
        self._sorted: list[float] = []

    def __len__(self) -> int:
        return len(self._recent)

    def add(self, sample: float) -> None:
        """Add a sample; the oldest one beyond `size` is dropped."""
        recent = self._recent
        if not self._is_seldom_read:
            if len(recent) == self._size:
                del self._sorted[bisect_left(self._sorted, recent[0])]
            insort(self._sorted, sample)
        recent.append(sample)

    def clear(self) -> None:
        """Forget all samples."""
        self._recent.clear()
        self._sorted.clear()

    def quantile(self, q: float, *, min_samples: int = 1) -> float | None:
        """The nearest-rank quantile; None with fewer than `min_samples` samples."""
        ordered = sorted(self._recent) if self._is_seldom_read else self._sorted
        size = len(ordered)
        if size < min_samples or not size:
            return None
        return ordered[min(int(q * size), size - 1)]
