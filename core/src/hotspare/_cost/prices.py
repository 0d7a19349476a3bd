"""The cost of an answer from the prices of its targets."""

from __future__ import annotations

from collections.abc import Iterable

from hotspare.messages import Usage
from hotspare.target import Price, Target


def cost_of(parts: Iterable[tuple[Target, Usage]]) -> float | None:
    """USD of all these parts together; None where a price is not known."""
    total = 0.0
    for target, usage in parts:
        if target.price is None:
            return None
        total += _cost(target.price, usage)
    return total


def _cost(price: Price, usage: Usage) -> float:
    """USD. Prices are per million tokens."""
    cached = usage.cached_tokens * (price.input if price.cached is None else price.cached)
    return (
        (usage.input_tokens - usage.cached_tokens) * price.input + cached + usage.output_tokens * price.output
    ) / 1e6
