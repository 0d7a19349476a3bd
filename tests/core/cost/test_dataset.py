"""Prices and context windows from the data set of genai-prices."""

from datetime import UTC, datetime
from typing import Any

import pytest
from genai_prices import Usage as TheirUsage
from genai_prices import calc_price
from hotspare import Pool, Price, Target
from hotspare._cost import dataset
from hotspare._cost.prices import cost_of
from hotspare.messages import Usage

AT = datetime(2026, 11, 1, 12, tzinfo=UTC)
IDS = [
    ("openai/gpt-4.1", "openai"), ("openai/gpt-5", "openai"), ("anthropic/claude-sonnet-4-20250514", "anthropic"),
    ("gemini/gemini-2.5-flash", "google"), ("gemini/gemini-2.5-pro", "google"), ("deepseek/deepseek-chat", "deepseek"),
    ("azure/gpt-4.1", "azure"), ("openrouter/openai/gpt-4.1", "openrouter"), ("groq/llama-3.3-70b-versatile", "groq"),
    ("mistral/mistral-small-latest", "mistral"), ("xai/grok-4", "x-ai"),
]  # fmt: skip
USAGES = [
    Usage(1_000, 500), Usage(12_345, 678, cached_tokens=10_000), Usage(5_000, 10, cached_tokens=1_000, cache_write_tokens=2_000),
    Usage(200_000, 1), Usage(200_001, 9_000, cached_tokens=7),
]  # fmt: skip


def target(id: str, **fields: Any) -> Target:
    return Target(id, **{"api_key": "k", **({"base_url": "http://x"} if id.startswith("azure/") else {}), **fields})


@pytest.mark.parametrize(("id", "provider"), IDS)
def test_costs_equal_those_of_the_data_set(id: str, provider: str) -> None:
    """The cost of every kind of token, of short and of long prompts, equals what genai-prices itself computes."""
    (found,) = dataset.complete([target(id)], AT)
    for usage in USAGES:
        theirs = calc_price(
            TheirUsage(
                input_tokens=usage.input_tokens, output_tokens=usage.output_tokens, cache_read_tokens=usage.cached_tokens,
                cache_write_tokens=usage.cache_write_tokens,
            ),
            found.model, provider_id=provider, genai_request_timestamp=AT,
        )  # fmt: skip
        assert cost_of([(found, usage)]) == pytest.approx(float(theirs.total_price), rel=1e-9)


def test_what_a_target_states_is_kept() -> None:
    """The data set fills gaps only: a price of the configuration, or a window, is not replaced."""
    own = target("openai/gpt-4.1", price=Price(1, 2), name="own", max_output_tokens=7)
    windowed = target("openai/gpt-4.1", context_window=5)
    found = dataset.complete([own, windowed], AT)
    assert (found[0].price, found[0].context_window, found[0].max_output_tokens) == (Price(1, 2), 1_000_000, 7)
    assert found[1].price is not None and (found[1].price.input, found[1].context_window) == (2.0, 5)


def test_what_is_not_known_stays_unknown() -> None:
    """A model that the data set does not have, and a server of one's own, have no price: not 0."""
    for unknown in (
        target("openai/no-such-model"),
        target("vllm/gpt-4.1"),
        target("ollama/gpt-4.1", base_url="http://x:1/v1"),
    ):
        assert dataset.look_up(unknown, AT) is None
        (found,) = dataset.complete([unknown], AT)
        assert found is unknown
        assert cost_of([(found, Usage(1, 1))]) is None


def test_the_service_tier_is_considered() -> None:
    """A target that asks for OpenAI's flex tier has the price of that tier."""
    flex = dataset.look_up(target("openai/gpt-5", extra={"service_tier": "flex"}), AT)
    plain = dataset.look_up(target("openai/gpt-5"), AT)
    assert flex is not None and plain is not None and flex.price is not None and plain.price is not None
    assert (flex.price.input, flex.price.output) == (plain.price.input / 2, plain.price.output / 2)


def test_a_pool_looks_prices_up_where_it_is_allowed_to() -> None:
    """`prices=True` fills them in; without it nothing is looked up."""
    assert Pool(target("openai/gpt-4.1")).targets[0].price is None
    (found,) = Pool(target("openai/gpt-4.1"), prices=True).targets
    assert found.price is not None and found.context_window == 1_000_000


def test_without_the_extra() -> None:
    """A missing package is named with the command that installs it."""
    import sys

    from hotspare import MissingExtra

    kept = {name: sys.modules.pop(name) for name in list(sys.modules) if name.startswith("genai_prices")}
    dataset._snapshot.cache_clear()
    sys.modules["genai_prices"] = None  # type: ignore[assignment]
    try:
        with pytest.raises(MissingExtra, match=r"hotspare\[prices\]"):
            Pool(target("openai/gpt-4.1"), prices=True)
    finally:
        del sys.modules["genai_prices"]
        sys.modules.update(kept)
