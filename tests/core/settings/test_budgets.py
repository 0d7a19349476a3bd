"""Each setting of `RetryBudget` and of `Hedge` has an effect."""

from typing import Any

import pytest
from hotspare import Hedge, Price, RetryBudget, Timeouts
from hotspare.testing import ScriptedTarget, VirtualClock, answer, fail, scripted_pool

from tests.support.calls import Ask, run_calls
from tests.support.settings import Effects, Two

RETRIES, HEDGES = Effects(RetryBudget), Effects(Hedge)


@pytest.mark.parametrize("name", RETRIES.names)
def test_the_setting_of_the_retry_budget_has_an_effect(name: str) -> None:
    """What is seen differs between two values of the setting, in the expected way."""
    RETRIES.check(name)


@pytest.mark.parametrize("name", HEDGES.names)
def test_the_setting_of_hedges_has_an_effect(name: str) -> None:
    """What is seen differs between two values of the setting, in the expected way."""
    HEDGES.check(name)


def attempts(budget: RetryBudget, *, calls: int = 1, pause: float = 0.0) -> list[int]:
    """How many attempts each of these calls makes, before it ends or the budget ends it. Six targets of one domain fail."""
    clock = VirtualClock(0)
    targets = [ScriptedTarget(name, fail(401), id=f"p/{name}", region="r", account=name) for name in "abcdefgh"]
    pool = scripted_pool(*targets, clock=clock, retry_budget=budget, when_all_down="fail", max_attempts=8)
    counts: list[int] = []
    for _ in range(calls):
        (seen,) = run_calls("sync", pool, clock, [Ask(pause=pause)])
        counts.append(len(seen.records))
        clock.advance(1000 - clock() % 1000 - pause)  # all of them are available again
    return counts


def tokens(budget: RetryBudget, *, calls: int, pause: float) -> float:
    """Retry tokens after a number of calls that need none."""
    two = Two(retry_budget=budget)
    two.calls(calls, pause=pause)
    return two.pool.health().retry_tokens


@RETRIES.of("tokens_per_call", {0.25: 1.0, 0.5: 2.0})
def _(value: float) -> object:
    """After four calls."""
    return tokens(RetryBudget(tokens_per_call=value, tokens_per_minute=0), calls=4, pause=0)


@RETRIES.of("tokens_per_minute", {2.0: 3.0, 6.0: 9.0})
def _(value: float) -> object:
    """A minute's tokens at first, and half of them after half a minute."""
    return tokens(RetryBudget(tokens_per_minute=value, tokens_per_call=0), calls=2, pause=30)


@RETRIES.of("max_tokens", {5.0: 5.0, 9.0: 9.0})
def _(value: float) -> object:
    """After an hour."""
    return tokens(RetryBudget(max_tokens=value), calls=2, pause=3600)


@RETRIES.of("free_attempts_per_domain", {1: [1], 3: [3]})
def _(value: int) -> object:
    """Attempts in one region, where the budget is empty."""
    return attempts(RetryBudget(tokens_per_call=0, tokens_per_minute=0, free_attempts_per_domain=value))


def hedged(*, record: float = 0.25, before: int = 8, late: int = 1, price: float = 1.0, **hedge: Any) -> list[float]:
    """The seconds after which late attempts were hedged. `before`: calls that were answered after `record` seconds."""
    two = Two(
        [*[answer("ok", delay=record)] * before, answer("late", delay=20)],
        answer("ok", delay=0.25),
        hedge=Hedge(**{"max_extra_calls": 1.0, **hedge}),
        timeouts=Timeouts(first_token_min=25, max_deadline_fraction=1.0),
    )
    for target, usd in ((two.a, 1.0), (two.b, price)):
        assert target is not None
        object.__setattr__(target.target, "price", Price(usd, usd))
    two.calls(before)
    found: list[float] = []
    for _ in range(late):
        start = two.clock()
        (seen,) = two.calls(1)
        if any(one.reason == "hedge" for one in seen.records):
            assert two.b is not None and two.b.received[-1].time is not None
            found.append(two.b.received[-1].time - start)
    return found


HEDGES.of("min_delay", {0.5: [0.5], 2.0: [2.0]})(lambda value: hedged(min_delay=value))
HEDGES.of("p95_factor", {1.5: [3.0], 2.0: [4.0]})(lambda value: hedged(record=2, p95_factor=value))
HEDGES.of("max_extra_calls", {0.1: [0.5], 0.05: []})(lambda value: hedged(before=9, max_extra_calls=value))
HEDGES.of("max_price_ratio", {2.0: [], 4.0: [0.5]})(lambda value: hedged(price=3, max_price_ratio=value))


@HEDGES.of("max_saved", {1.0: 1, 3.0: 2})
def _(value: float) -> object:
    """Hedges of two late calls, each of which earns half a hedge, after many calls that needed none."""
    return len(hedged(before=12, late=2, max_extra_calls=0.5, max_saved=value))
