"""Prices and context windows from the data set in the package genai-prices (extra `prices`). No network access."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import cache
from typing import Any

from hotspare.errors import MissingExtra
from hotspare.target import LongPrice, Price, Target

_PROVIDERS = {"gemini": "google", "xai": "x-ai", "bedrock": "aws", "vertex": "google"}
"""Providers whose name in the data set differs."""
_NO_PROVIDER = frozenset({"openai-compatible", "holysheep", "ollama", "vllm"})
"""Presets whose name does not determine the price; their base URL is looked up instead."""


@dataclass(frozen=True, slots=True)
class Known:
    """The data set's entry for a target. `model`: its name, as ``provider/model``."""

    model: str
    price: Price | None
    context_window: int | None


@dataclass(frozen=True, slots=True)
class Edition:
    """The version of the data set's package, and the date of its newest price that is already valid (None: no price has a date)."""

    version: str
    newest: date | None


def look_up(target: Target, at: datetime) -> Known | None:
    """The data set's entry for a target; None if the model is unknown. `at`: the time for which prices are looked up, since they may depend on the day and the hour.

    The service tier in the target's `extra` ("flex", "priority") is considered. Raises MissingExtra.
    """
    snapshot = _snapshot()
    provider = _PROVIDERS.get(target.provider, target.provider)
    where: dict[str, str | None] = {"provider_id": provider, "provider_api_url": None}
    if target.provider in _NO_PROVIDER:
        if target.base_url is None:
            return None
        where = {"provider_id": None, "provider_api_url": target.base_url}
    for name in (target.model, *target.aliases):
        try:
            found, model = snapshot.find_provider_model(name, None, **where)
        except LookupError:
            continue
        tier = target.extra.get("service_tier")
        prices = model.get_prices(at, {"service_tier": tier} if isinstance(tier, str) else None)
        return Known(f"{found.id}/{model.id}", _price(prices), model.context_window)
    return None


def complete(targets: Iterable[Target], at: datetime) -> tuple[Target, ...]:
    """The targets with the data set's price and context window, where they have none of their own. Raises MissingExtra."""
    return tuple(_completed(target, at) for target in targets)


def _completed(target: Target, at: datetime) -> Target:
    known = look_up(target, at) if target.price is None or target.context_window is None else None
    if known is None:
        return target
    return replace(
        target,
        price=target.price or known.price,
        context_window=target.context_window or known.context_window,
    )


def edition(at: datetime) -> Edition:
    """The installed data set. Raises MissingExtra."""
    from importlib.metadata import version

    days: list[date] = []
    for model in (model for provider in _snapshot().providers for model in provider.models):
        many = isinstance(model.prices, list)  # a list if prices depend on the time, else one object
        dated: list[Any] = [*(model.prices if many else ()), *(model.price_variants or ())]
        days += [one.constraint.start_date for one in dated if hasattr(one.constraint, "start_date")]
    return Edition(version("genai-prices"), max((day for day in days if day <= at.date()), default=None))


@cache
def _snapshot() -> Any:
    try:
        from genai_prices.data_snapshot import get_snapshot
    except ImportError:
        raise MissingExtra("looking up prices", "prices") from None
    return get_snapshot()


def _price(prices: Any) -> Price | None:
    """The prices of tokens; None if those of input or output are missing (a model priced per request or per hour)."""
    tiered = [prices.input_mtok, prices.output_mtok, prices.cache_read_mtok, prices.cache_write_mtok]
    base = [None if one is None else float(getattr(one, "base", one)) for one in tiered]
    if base[0] is None or base[1] is None:
        return None
    starts = sorted({tier.start for one in tiered for tier in getattr(one, "tiers", ())})
    if not starts:
        return Price(base[0], base[1], base[2], base[3])
    above = starts[0]
    long = [_above(one, above) for one in tiered]
    return Price(base[0], base[1], base[2], base[3], LongPrice(above, long[0] or 0.0, long[1] or 0.0, long[2], long[3]))


def _above(price: Any, tokens: int) -> float | None:
    """The price for prompts of more than `tokens` tokens."""
    if price is None:
        return None
    reached = [tier.price for tier in getattr(price, "tiers", ()) if tier.start <= tokens]
    return float(reached[-1] if reached else getattr(price, "base", price))
