"""The budgets of extra attempts: retries, hedges, and calls of last resort."""

from math import exp

import pytest
from hotspare._engine.budgets import ClientThrottle, HedgeTokens, RetryTokens
from hotspare.policy import Hedge, RetryBudget


def drawn(budget: RetryTokens, now: float) -> int:
    """How many tokens there are at this moment; they are taken."""
    count = 0
    while budget.withdraw(now):
        count += 1
    return count


def test_retry_tokens_at_first() -> None:
    """A new pool may make the retries of one minute, or as many as can be kept, whichever is less."""
    assert RetryTokens(RetryBudget()).tokens == 10.0
    assert RetryTokens(RetryBudget(max_tokens=3.0)).tokens == 3.0


def test_a_retry_takes_one_token() -> None:
    """Each retry takes a whole token; with less than one there is none, and an event reports it once until there is one again."""
    budget = RetryTokens(RetryBudget(tokens_per_minute=2.5))
    assert budget.exhausted is False
    assert [budget.withdraw(0.0) for _ in range(3)] == [True, True, False]
    assert (budget.tokens, budget.exhausted) == (0.5, True)
    assert budget.withdraw(12.0), "12 s later half a token has come, which makes it exactly one"
    assert (budget.tokens, budget.exhausted) == (0.0, False)


def test_calls_fill_the_retry_budget() -> None:
    """A call adds a fifth of a token, up to the most that are kept."""
    budget = RetryTokens(RetryBudget(tokens_per_minute=0.0, max_tokens=1.5))
    for _ in range(5):
        budget.deposit(0.0)
    assert budget.tokens == 1.0
    for _ in range(5):
        budget.deposit(0.0)
    assert budget.tokens == 1.5


def test_time_fills_the_retry_budget() -> None:
    """Ten tokens come back in a minute, up to the most that are kept; the first call starts the time."""
    budget = RetryTokens(RetryBudget(tokens_per_call=0.0))
    assert drawn(budget, 500.0) == 10, "the time before the first call counts for nothing"
    assert drawn(budget, 530.0) == 5
    assert drawn(budget, 531.0) == 0
    assert drawn(budget, 10_000.0) == 20
    budget.deposit(10_006.0)
    assert budget.tokens == pytest.approx(1.0)


def test_a_clock_that_is_late_gives_nothing_twice() -> None:
    """Threads may arrive in another order than they read the clock: each span is counted once."""
    budget = RetryTokens(RetryBudget(tokens_per_call=0.0))
    assert drawn(budget, 100.0) == 10
    budget.deposit(106.0)
    budget.deposit(100.0)
    budget.deposit(106.0)
    assert budget.tokens == 1.0


def test_hedge_tokens() -> None:
    """Every twentieth call may be hedged; what is not used is saved, up to a bound; at first there is nothing."""
    tokens = HedgeTokens(Hedge(max_saved=2.0))
    assert not tokens.withdraw()
    for _ in range(19):
        tokens.deposit()
    assert not tokens.withdraw()
    tokens.deposit()
    assert [tokens.withdraw(), tokens.withdraw()] == [True, False]
    for _ in range(100):
        tokens.deposit()
    assert [tokens.withdraw() for _ in range(3)] == [True, True, False]


def test_hedge_tokens_exactly() -> None:
    """A rounding error below one is a whole token, anything less is none."""
    tokens = HedgeTokens(Hedge(max_extra_calls=1 - 1e-10))
    tokens.deposit()
    assert tokens.withdraw()
    tokens = HedgeTokens(Hedge(max_extra_calls=1 - 1e-8))
    tokens.deposit()
    assert not tokens.withdraw()


def test_no_hedge_tokens_without_hedging() -> None:
    """Without a hedge there are no tokens, however many calls there are."""
    tokens = HedgeTokens(None)
    for _ in range(100):
        tokens.deposit()
    assert not tokens.withdraw()


@pytest.mark.parametrize(
    ("accepted", "failed", "expected"),
    [(0, 0, 0.0), (0, 1, 0.5), (0, 3, 0.75), (0, 99, 0.8), (1, 1, 0.0), (1, 3, 0.4), (3, 1, 0.0)],
)
def test_rejection(accepted: int, failed: int, expected: float) -> None:
    """(requests - 2 x accepts) / (requests + 1), from 0 to the bound."""
    throttle = ClientThrottle(0.8)
    for ok in [True] * accepted + [False] * failed:
        throttle.record(5.0, accepted=ok)
    assert throttle.rejection_probability(5.0) == expected


def test_rejection_decays() -> None:
    """What was counted fades over two minutes, accepted attempts as well as others, and time never runs backwards."""
    throttle = ClientThrottle(1.0)
    for _ in range(9):
        throttle.record(0.0, accepted=False)
    left = 9 * exp(-1)
    assert throttle.rejection_probability(120.0) == pytest.approx(left / (left + 1))
    assert throttle.rejection_probability(60.0) == pytest.approx(left / (left + 1))
    assert throttle.rejection_probability(120.0) == pytest.approx(left / (left + 1))
    throttle = ClientThrottle(1.0, seconds=10.0)
    throttle.record(0.0, accepted=True)
    for _ in range(4):
        throttle.record(10.0, accepted=False)
    faded = exp(-1)
    assert throttle.rejection_probability(10.0) == pytest.approx((4 + faded - 2 * faded) / (5 + faded))
