"""The cost of an answer."""

import pytest
from hotspare._cost.prices import cost_of
from hotspare.messages import Usage
from hotspare.target import LongPrice, Price, Target


def priced(*price: float) -> Target:
    return Target("p/m", price=Price(*price)) if price else Target("p/m")


@pytest.mark.parametrize(
    ("price", "usage", "usd"),
    [
        ((2.0, 8.0), Usage(1_000_000, 500_000), 6.0),
        ((2.0, 8.0), Usage(1_000_000, 0, cached_tokens=400_000), 2.0),  # no price of cached tokens
        ((2.0, 8.0, 0.5), Usage(1_000_000, 0, cached_tokens=400_000), 1.4),
        ((2.0, 8.0, 0.0), Usage(1_000_000, 0, cached_tokens=400_000), 1.2),  # cached tokens are free
        ((2.0, 8.0), Usage(1_000_000, 0, cached_tokens=3_000_000), 2.0),  # never more than the input
        ((2.0, 8.0, 0.5), Usage(1_000_000, 0, cache_write_tokens=400_000), 2.0),  # no price of writing to a cache
        ((2.0, 8.0, 0.5, 2.5), Usage(1_000_000, 0, 300_000, 400_000), 0.6 + 0.15 + 1.0),
        ((2.0, 8.0, 0.5, 2.5), Usage(1_000_000, 0, 800_000, 400_000), 0.4 + 0.5),  # nor more than what is left of it
    ],
)
def test_cost_of_one_part(price: tuple[float, ...], usage: Usage, usd: float) -> None:
    """Prices are per million tokens; cached tokens are part of the input, and may have a price of their own."""
    assert cost_of([(priced(*price), usage)]) == pytest.approx(usd, rel=1e-9)


def test_a_long_prompt_has_prices_of_its_own() -> None:
    """They count for all tokens of the request, once the prompt is longer than `above`; what they leave out is as usual."""
    target = Target("p/m", price=Price(1.0, 2.0, 0.5, None, LongPrice(200_000, 10.0, 20.0)))
    assert cost_of([(target, Usage(200_000, 100_000))]) == pytest.approx(0.4)
    assert cost_of([(target, Usage(200_001, 100_000, cached_tokens=200_001))]) == pytest.approx(0.1 + 2.0, rel=1e-4)


def test_cost_of_parts() -> None:
    """Parts add up; nothing costs nothing; one unknown price makes the whole unknown."""
    one, two = (priced(1.0, 0.0), Usage(1_000_000)), (priced(0.0, 3.0), Usage(0, 1_000_000))
    assert cost_of([one, two]) == pytest.approx(4.0)
    assert cost_of([]) == 0.0
    assert cost_of([one, (priced(), Usage(1, 1)), two]) is None


def test_what_was_not_counted_has_no_cost() -> None:
    """No usage is no cost of zero, beside other parts too; a count beyond any number has no cost either."""
    assert cost_of([(priced(2.0, 8.0), Usage())]) is None
    assert cost_of([(priced(2.0, 8.0), Usage(1, 1)), (priced(2.0, 8.0), Usage())]) is None
    assert cost_of([(priced(2.0, 8.0), Usage(10**400, 1))]) is None
    assert cost_of([(priced(1e308, 1e308), Usage(10**9, 10**9))]) is None
