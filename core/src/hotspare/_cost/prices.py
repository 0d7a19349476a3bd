"""The cost of an answer from the prices of its targets."""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite

from hotspare.messages import Usage
from hotspare.target import Price, Target


def cost_of(parts: Iterable[tuple[Target, Usage]]) -> float | None:
    """USD of all these parts together; None where a price or a usage is not known, or the usage is beyond any number."""
    total = 0.0
    try:
        for target, usage in parts:
            if target.price is None or not usage.known:
                return None
            total += _cost(target.price, usage)
    except OverflowError:
        return None
    return total if isfinite(total) else None


def _cost(price: Price, usage: Usage) -> float:
    """USD. Prices are per million tokens."""
    cached = min(usage.cached_tokens, usage.input_tokens)
    cached_price = price.input if price.cached is None else price.cached
    return (
        (usage.input_tokens - cached) * price.input + cached * cached_price + usage.output_tokens * price.output
    ) / 1e6
