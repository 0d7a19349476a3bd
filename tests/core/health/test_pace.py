"""How fast a target is now, and usually, and when it counts as slow."""

from math import exp

import pytest
from hotspare._health.pace import Pace
from hotspare.brownout import Brownout

CONFIG = Brownout(samples=4, window=1.0)


def used(*times: float, config: Brownout | None = CONFIG, start: float = 0.0) -> Pace:
    """A target that took so long, at one answer a second."""
    pace = Pace(config)
    for place, seconds in enumerate(times):
        pace.record(seconds, start + place)
    return pace


def test_the_estimate_is_a_peak() -> None:
    """A slow answer raises the estimate immediately; fast answers, and time, lower it within half a minute."""
    assert Pace(None).estimate(5.0) is None
    pace = used(1.0, 3.0)
    assert pace.estimate(1.0) == 3.0
    assert pace.estimate(31.0) == pytest.approx(3.0 * exp(-1))
    pace.record(1.0, 31.0)
    assert pace.estimate(31.0) == pytest.approx(3.0 * exp(-1) + 1.0 * (1 - exp(-1)))
    pace.record(9.0, 30.0)  # it was recorded late
    assert pace.estimate(31.0) == 9.0


def test_an_attempt_without_an_answer_raises_the_estimate_only() -> None:
    """It would have taken longer than that; a short one is no evidence, and neither is one at a target without a record."""
    pace = used(1.0)
    pace.record_at_least(0.5, 0.0)
    assert pace.estimate(0.0) == 1.0
    pace.record_at_least(4.0, 0.0)
    assert pace.estimate(0.0) == 4.0
    empty = Pace(None)
    empty.record_at_least(4.0, 0.0)
    assert empty.estimate(0.0) is None


def test_slow_and_back() -> None:
    """Three times as slow as usual, by the median of the last four; back after three answers below twice the usual time."""
    pace = used(*[1.0] * 10)
    assert (pace.usual, pace.lately, pace.slow) == (1.0, 1.0, False)
    assert [pace.record(4.0, 10.0 + n) for n in range(3)] == [False, False, True]
    assert (pace.slow, pace.slow_seconds, pace.lately) == (True, 4.0, None)
    assert [pace.record(2.5, 20.0 + n) for n in range(4)] == [False] * 4  # between the thresholds
    assert [pace.record(1.0, 60.0 + n) for n in range(3)] == [False, False, True]
    assert (pace.slow, pace.back_since) == (False, 62.0)


def test_what_lasts_becomes_usual() -> None:
    """Short slow times change nothing; after half an hour of them they are usual, and the target is not slow any more."""
    pace = used(*[1.0] * 10)
    moves = [n for n in range(4000) if pace.record(4.0, 10.0 + n)]
    assert moves[0] < 5
    assert 400 < moves[1] < 2000
    assert (pace.slow, pace.usual) == (False, 4.0)


def test_too_little_is_known() -> None:
    """Without eight samples nothing is usual, and without the rule nothing is slow."""
    assert used(1.0, 1.0, 1.0, 9.0, 9.0, 9.0).usual is None
    assert not used(*[1.0] * 10, *[9.0] * 10, config=None).slow


def test_many_samples_are_thinned() -> None:
    """A thousand answers a second leave at most 64 and a few more in the window, spread over all of it."""
    pace = Pace(Brownout())
    for n in range(20_000):
        pace.record(1.0 if n < 10_000 else 2.0, n / 1000)
    assert 60 <= len(pace._recent) <= 70
    assert pace._recent[-1][0] - pace._recent[0][0] > 9.0
