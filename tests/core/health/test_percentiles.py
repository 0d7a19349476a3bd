"""Percentiles over the latest samples."""

import random

import pytest
from hotspare._health.percentiles import Percentiles


def filled(*samples: float, size: int = 200) -> Percentiles:
    found = Percentiles(size)
    for sample in samples:
        found.add(sample)
    return found


@pytest.mark.parametrize(
    ("samples", "q", "expected"),
    [
        ([7.0], 0.5, 7.0),
        ([3.0, 1.0], 0.5, 3.0),
        ([4.0, 1.0, 3.0, 2.0], 0.5, 3.0),
        ([4.0, 1.0, 3.0, 2.0], 0.0, 1.0),
        ([4.0, 1.0, 3.0, 2.0], 1.0, 4.0),
        ([float(n) for n in range(20, 0, -1)], 0.95, 20.0),
        ([float(n) for n in range(100)], 0.95, 95.0),
    ],
)
def test_nearest_rank(samples: list[float], q: float, expected: float) -> None:
    """A quantile is one of the samples, in whatever order they came; 1.0 is the largest, not one beyond it."""
    assert filled(*samples).quantile(q) == expected


def test_no_samples() -> None:
    """Without a sample there is no quantile, whatever minimum is given."""
    assert Percentiles().quantile(0.5) is None
    assert Percentiles().quantile(0.5, min_samples=0) is None
    assert len(Percentiles()) == 0


def test_minimum_of_samples() -> None:
    """With fewer samples than the minimum there is no quantile; with as many there is."""
    two = filled(1.0, 2.0)
    assert two.quantile(0.95, min_samples=3) is None
    assert two.quantile(0.95, min_samples=2) == 2.0


def test_the_oldest_sample_goes() -> None:
    """Beyond its size the oldest sample is dropped, and only that one, also among equal ones."""
    found = filled(5.0, 1.0, 1.0, size=3)
    found.add(2.0)
    assert [len(found), found.quantile(0.0), found.quantile(0.5), found.quantile(1.0)] == [3, 1.0, 1.0, 2.0]
    found.add(3.0)
    assert [len(found), found.quantile(0.0), found.quantile(0.5), found.quantile(1.0)] == [3, 1.0, 2.0, 3.0]


def test_64_samples_by_default() -> None:
    """The 65th sample drops the first one."""
    found = Percentiles()
    for sample in [9.0] + [1.0] * 63:
        found.add(sample)
    assert (len(found), found.quantile(1.0)) == (64, 9.0)
    found.add(1.0)
    assert (len(found), found.quantile(1.0)) == (64, 1.0)


def test_against_a_sorted_list() -> None:
    """Any quantile at any moment is that of the last samples, sorted."""
    rng, found, samples = random.Random(7), Percentiles(8), list[float]()
    for _ in range(200):
        sample = float(rng.randrange(12))
        found.add(sample)
        samples.append(sample)
        last = sorted(samples[-8:])
        for q in (0.0, 0.25, 0.5, 0.95, 1.0):
            assert found.quantile(q) == last[min(int(q * len(last)), len(last) - 1)]
