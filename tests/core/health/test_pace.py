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
    pace.record(1.0, 30.0)
    pace.record(1.0, 31.0)
    assert pace.estimate(30.0) == pace.estimate(31.0) == 9.0, "time lowers it, and not a fast answer of the same moment"


def test_a_slower_answer_never_gives_a_lower_estimate() -> None:
    """Neither below nor above the peak as time has lowered it."""
    found = list[float | None]()
    for seconds in (0.1, 2.0, 4.9, 5.1, 7.0, 9.9, 10.0, 11.0):
        pace = used(10.0)
        pace.record(seconds, 20.8)
        found.append(pace.estimate(20.8))
    assert found == sorted(found, key=lambda one: one or 0.0) and found[-2:] == [10.0, 11.0]


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


def test_how_many_answers_are_enough() -> None:
    """Three of less than twice the usual time bring a target back; four slow ones, since then, make it slow again."""
    pace = used(*[1.0] * 10)
    assert [pace.record(4.0, 10.0 + n) for n in range(3)] == [False, False, True]
    assert [pace.record(1.9, 20.0 + n) for n in range(3)] == [False, False, True]
    assert [pace.record(4.0, 30.0 + n) for n in range(4)] == [False, False, False, True]


@pytest.mark.parametrize(("seconds", "slow"), [(0.25, False), (0.35, True)])
def test_a_difference_that_nobody_notices(seconds: float, slow: bool) -> None:
    """A fast target is not slow before its answers take a quarter of a second more than usual."""
    assert used(*[0.05] * 10, *[seconds] * 10).slow is slow


def test_which_answers_count_as_usual() -> None:
    """The first eight, and from then on one in ten seconds."""
    pace = used(*[1.0] * 4, *[2.0] * 4)
    assert pace.usual == 2.0
    pace.record(1.0, 8.0)
    assert pace.usual == 2.0
    pace.record(1.0, 17.0)
    assert pace.usual == 1.0
    burst = Pace(CONFIG)
    for _ in range(20):
        burst.record(1.0, 5.0)
    assert burst.usual is None, "answers of one moment are hardly more than one observation"


@pytest.mark.parametrize(("seconds", "minutes"), [(2.0, 6), (4.0, 40)])
def test_the_usual_time_is_that_of_the_last_minutes(seconds: float, minutes: int) -> None:
    """However long it was another one: ten minutes count, or an hour while the target is slow."""
    pace = Pace(CONFIG)
    for n in range(200):
        pace.record(1.0, n * 10.0)
    for n in range(minutes * 6):
        pace.record(seconds, 2000.0 + n * 10.0)
    assert (pace.usual, pace.slow) == (seconds, False)


def test_the_window_of_recent_answers() -> None:
    """It holds the last ones or those of the last `window`, whichever are more, and none older than `window_max`; what is exactly
    as old as that counts. Of answers that follow closely some are left out."""
    config = Brownout(samples=4, window=64.0, window_max=128.0)
    pace = used(*[1.0] * 6, config=config)
    pace.record(1.0, 5.5)
    pace.record(1.0, 65.0)
    assert [at for at, _ in pace._recent] == [1.0, 2.0, 3.0, 4.0, 5.0, 65.0]
    few = used(*[1.0] * 3, config=config)
    few.record(1.0, 128.0)
    assert [at for at, _ in few._recent] == [0.0, 1.0, 2.0, 128.0]
    few.record(1.0, 128.5)
    assert [at for at, _ in few._recent] == [1.0, 2.0, 128.0, 128.5]


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
    pace = used(*[1.0] * 10, config=None)
    assert not any(pace.record(9.0, 10.0 + n) for n in range(10)) and not pace.slow


def test_many_samples_are_thinned() -> None:
    """A thousand answers a second leave at most 64 and a few more in the window, spread over all of it."""
    pace = Pace(Brownout())
    for n in range(20_000):
        pace.record(1.0 if n < 10_000 else 2.0, n / 1000)
    assert 60 <= len(pace._recent) <= 70
    assert pace._recent[-1][0] - pace._recent[0][0] > 9.0
