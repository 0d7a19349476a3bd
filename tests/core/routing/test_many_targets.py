"""No call does work in proportion to the pool: counted in function calls, which a busy machine does not change."""

import sys
from types import FrameType
from typing import Any

import pytest

from benchmarks.choosing import STRATEGIES, call_once, pool_of


def work(count: int, strategy: str) -> float:
    """Python functions that a call enters, on average, with so many targets."""
    pool, entered = pool_of(count, strategy), 0
    for _ in range(5):
        call_once(pool)

    def profile(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal entered
        entered += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        for _ in range(40):
            call_once(pool)
    finally:
        sys.setprofile(None)
    return entered / 40


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_choice_among_a_thousand_costs_what_one_among_four_does(strategy: str) -> None:
    """At most twice as much; `benchmarks.choosing` measures the time."""
    assert work(1000, strategy) <= 2 * work(4, strategy)
