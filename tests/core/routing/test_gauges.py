"""The gauges of limits against the simplest thing that can be right: a token bucket that is filled step by step, and a log."""

from __future__ import annotations

from math import inf

import pytest
from hotspare._routing.gauges import DAY, FIRST_DURATION, Daily, Learnt, Rate, Slots
from hypothesis import given
from hypothesis import strategies as st

COSTS = st.lists(st.tuples(st.floats(0, 5), st.floats(0.1, 12)), min_size=1, max_size=60)
"""Seconds between two costs, and the cost."""


class Bucket:
    """The oracle: a level that is filled by time and emptied by costs."""

    def __init__(self, rate: float, size: float) -> None:
        self.rate, self.size, self.level, self.at = rate, size, size, 0.0

    def pass_to(self, now: float) -> None:
        self.level = min(self.size, self.level + (now - self.at) * self.rate)
        self.at = now

    def admits(self, cost: float) -> bool:
        return self.level >= min(cost, self.size) - 1e-6


@given(COSTS, st.floats(1, 10), st.floats(1, 20))
def test_a_rate_admits_what_a_token_bucket_admits(costs: list[tuple[float, float]], rate: float, burst: float) -> None:
    """GCRA and a token bucket agree on every cost, on what is left, and on the moment at which a cost is admitted."""
    gauge, bucket, now = Rate("requests", rate, 1.0, burst), Bucket(rate, burst), 0.0
    for pause, cost in costs:
        now += pause
        bucket.pass_to(now)
        assert gauge.left(now) == pytest.approx(bucket.level, abs=1e-6)
        at = gauge.ready_at(cost, now)
        if abs(bucket.level - min(cost, burst)) > 1e-6:
            assert (at <= now) == bucket.admits(cost)
        if at > now:  # at that moment it is admitted, and not before
            assert bucket.level + (at - now) * rate == pytest.approx(min(cost, burst), abs=1e-6)
        else:
            gauge.take(cost, now)
            bucket.level -= cost


@given(COSTS, st.lists(st.floats(0, 1), min_size=60, max_size=60))
def test_what_is_given_back_is_there_again(costs: list[tuple[float, float]], parts: list[float]) -> None:
    """A reservation of which a part is given back later leaves what the part that was used leaves: never more than a full
    bucket, and exactly as much while it was not full meanwhile."""
    gauge, bucket, now = Rate("tokens", 10.0, 1.0, 30.0), Bucket(10.0, 30.0), 0.0
    for (pause, cost), part in zip(costs, parts, strict=False):
        now += pause
        gauge.take(cost, now)
        gauge.correct(-cost * part, now)
        bucket.pass_to(now)
        bucket.level -= cost * (1 - part)
        assert gauge.left(now) == pytest.approx(bucket.level, abs=1e-6)


@given(st.lists(st.tuples(st.floats(0, 9000), st.floats(1, 4)), min_size=1, max_size=120))
def test_a_day_holds_no_more_than_its_limit(costs: list[tuple[float, float]]) -> None:
    """Whatever 24 hours are looked at, no more than the limit was admitted in them; and a moment is named at which the next
    cost is admitted."""
    gauge, now, log = Daily("requests", 10), 0.0, list[tuple[float, float]]()
    for pause, cost in costs:
        now += pause
        at = gauge.ready_at(cost, now)
        assert at <= now + DAY + 3600
        if at <= now:
            gauge.take(cost, now)
            log.append((now, cost))
            assert sum(one for when, one in log if when > now - DAY) <= 10 + 1e-9
        else:
            assert gauge.ready_at(cost, at) <= at


def test_a_cost_above_all_that_is_admitted_at_once_waits_for_a_full_bucket() -> None:
    """It is not blocked forever, and later calls wait for it."""
    gauge = Rate("tokens", 60.0, 60.0, 10.0)
    assert gauge.ready_at(25, 0.0) <= 0.0
    gauge.take(25, 0.0)
    assert gauge.ready_at(1, 0.0) == pytest.approx(16.0)
    assert gauge.ready_at(25, 0.0) == pytest.approx(25.0)


def test_slots_count_attempts_and_those_that_wait() -> None:
    """A slot is free for a call only if those before it get one too; when it will be follows how long attempts take."""
    slots = Slots(2)
    slots.take(1, 0.0)
    assert slots.ready_at(1, 0.0) == 0.0
    assert slots.ready_at(1, 0.0, ahead=1) == FIRST_DURATION / 2
    for _ in range(100):
        slots.release(10.0)
    assert slots.left(0.0) == 2
    assert slots.ready_at(1, 0.0, ahead=3) == pytest.approx(10.0, rel=0.01)


class Provider(Bucket):
    """A provider that states its limit as OpenAI does: `limit` a minute, and the seconds until it is full."""

    def __init__(self, limit: float, size: float) -> None:
        super().__init__(limit / 60, size)
        self.limit, self.rejected, self.served = limit, 0, 0

    def answer(self, now: float) -> tuple[float, float] | None:
        self.pass_to(now)
        if self.level < 1:
            self.rejected += 1
            return None
        self.level -= 1
        self.served += 1
        return float(int(self.level)), (self.size - self.level) / self.rate


@given(st.sampled_from([(600.0, 600.0), (600.0, 10.0), (60.0, 60.0), (60.0, 5.0)]), st.floats(0.0, 0.3))
def test_a_learnt_limit_is_used_to_the_full_and_not_exceeded(shape: tuple[float, float], delay: float) -> None:
    """Offered four times what it admits, a provider whose limit is only learnt rejects almost nothing and is fully used,
    whatever its burst, and also if its answers are slow."""
    limit, size = shape
    provider, gauge, now = Provider(limit, size), Learnt("requests"), 0.0
    answers: list[tuple[float, float, tuple[float, float], float]] = []
    for _ in range(round(limit / 60 * 4 * 120)):
        now += 15 / limit
        while answers and answers[0][0] <= now:
            at, started, (remaining, reset), taken = answers.pop(0)
            gauge.observe(limit, remaining, reset, cost=1, taken=taken, started=started, now=at)
        if gauge.ready_at(1, now) <= now:
            gauge.take(1, now)
            found = provider.answer(now)
            if found is not None:
                answers.append((now + delay, now, found, gauge.taken))
    assert provider.rejected <= 0.02 * provider.served + delay * limit / 60 * 4
    assert provider.served >= 0.95 * limit * 2


def test_nothing_remains_until_the_reset() -> None:
    """`remaining: 0` on a success blocks the target until its reset; then the whole limit is available again."""
    gauge = Learnt("requests")
    gauge.take(1, 0.0)
    gauge.observe(10, 0, 6.0, cost=1, taken=1, started=0.0, now=0.2)
    assert gauge.ready_at(1, 0.3) == 6.2
    assert gauge.ready_at(1, 6.2) <= 6.2


def test_an_older_answer_says_nothing_after_a_newer_one() -> None:
    """Answers overtake each other: the one to the latest request counts."""
    gauge = Learnt("requests")
    for taken, remaining in ((1, 9), (3, 7), (2, 2)):
        gauge.take(1, 0.0)
        gauge.observe(10, remaining, 60.0, cost=1, taken=taken, started=0.0, now=0.0)
    assert gauge.left(0.0) == 7
    assert Learnt("tokens").ready_at(1e9, 0.0) == -inf
