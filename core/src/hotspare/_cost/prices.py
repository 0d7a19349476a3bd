"""The cost of an answer, from the prices of its targets."""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite

from hotspare.messages import Usage
from hotspare.target import Price, Target


def cost_of(parts: Iterable[tuple[Target, Usage]]) -> float | None:
    """USD of all parts; None if a price or a usage is unknown, or the usage is not a finite number."""
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
    """USD. Prices are per million tokens; tokens read from or written to a cache are part of the input."""
    price = price.of_prompt(usage.input_tokens)
    cached = min(usage.cached_tokens, usage.input_tokens)
    written = min(usage.cache_write_tokens, usage.input_tokens - cached)
    cached_price = price.input if price.cached is None else price.cached
    written_price = price.input if price.cache_write is None else price.cache_write
    return (
        (usage.input_tokens - cached - written) * price.input
        + cached * cached_price
        + written * written_price
        + usage.output_tokens * price.output
    ) / 1e6
