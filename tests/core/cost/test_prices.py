"""The cost of an answer."""

import pytest
from hotspare._cost.prices import cost_of
from hotspare.messages import Usage
from hotspare.target import Price, Target


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
    ],
)
def test_cost_of_one_part(price: tuple[float, ...], usage: Usage, usd: float) -> None:
    """Prices are per million tokens; cached tokens are part of the input, and may have a price of their own."""
    assert cost_of([(priced(*price), usage)]) == pytest.approx(usd, rel=1e-9)


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
