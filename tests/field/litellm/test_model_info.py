"""What LiteLLM knows of a pool: its list of models, capabilities, context windows, prices and costs."""

from collections.abc import Iterator

import litellm
import litellm_hotspare
import pytest
from hotspare import Pool, Target
from hotspare.drill.provider import KEY, Provider

from tests.adapters.litellm.calling import MESSAGES, METHODS, complete

NAMES = ["default", "cheap", "gpt-4.1", "smart", "main", "claude-sonnet-4-5", "spare", "llama3", "local"]


@pytest.fixture
def described(provider: Provider) -> Iterator[Pool]:
    """Three targets: with a price, with LiteLLM's own, and with neither."""
    targets = [
        Target(
            "openai/gpt-4.1",
            name="main",
            base_url=provider.base_url("a"),
            api_key=KEY,
            price=(1, 2),
            aliases={"smart"},
            context_window=1000,
        ),
        Target(
            "anthropic/claude-sonnet-4-5",
            name="spare",
            base_url=provider.base_url("b", "anthropic"),
            api_key=KEY,
        ),
        Target("ollama/llama3", name="local", missing={"tools", "vision"}),
    ]
    with Pool(targets, routes={"default": [["main"], ["spare"]], "cheap": ["local"]}) as pool:
        litellm_hotspare.register(pool)
        yield pool


def test_every_name_is_listed(described: Pool) -> None:
    """Routes, models, aliases and targets' names, of the pool that was registered last."""
    assert litellm.get_valid_models(custom_llm_provider="hotspare") == [f"hotspare/{name}" for name in NAMES]
    with Pool([Target("ollama/llama3", name="other")]) as next_one:
        litellm_hotspare.register(next_one)
    assert litellm.get_valid_models(custom_llm_provider="hotspare") == [
        f"hotspare/{name}" for name in ("default", "llama3", "other")
    ]
    assert "hotspare/smart" not in litellm.model_cost


def test_capabilities(described: Pool) -> None:
    """A route has what one of its targets has."""
    assert litellm.supports_function_calling("hotspare/default")
    assert litellm.supports_function_calling("hotspare/smart")
    assert litellm.supports_vision("hotspare/default")
    assert not litellm.supports_function_calling("hotspare/cheap")
    assert not litellm.supports_vision("hotspare/local")


def test_windows_and_prices(described: Pool) -> None:
    """The largest window of a route; the price of its first target, from the pool's configuration or LiteLLM's map."""
    route = litellm.get_model_info("hotspare/default")
    assert route["max_input_tokens"] == 200_000
    assert (route["input_cost_per_token"], route["output_cost_per_token"]) == (1e-6, 2e-6)
    assert litellm.get_model_info("hotspare/main")["max_input_tokens"] == 1000
    spare, original = litellm.get_model_info("hotspare/spare"), litellm.get_model_info("anthropic/claude-sonnet-4-5")
    assert spare["input_cost_per_token"] == original["input_cost_per_token"] > 0
    assert litellm.get_model_info("hotspare/local")["input_cost_per_token"] == 0


@METHODS
@pytest.mark.anyio
async def test_the_cost_of_an_answer(method: str, described: Pool) -> None:
    """`completion_cost` agrees with the pool, for the model that the answer names, whole and streamed."""
    _, answers = await complete(method, **({"stream_options": {"include_usage": True}} if "stream" in method else {}))
    reply = answers[0] if method.endswith("completion") else litellm.stream_chunk_builder(answers, messages=MESSAGES)
    expected = (reply.usage.prompt_tokens * 1 + reply.usage.completion_tokens * 2) / 1e6
    assert litellm.completion_cost(reply, model="hotspare/default") == pytest.approx(expected)


def test_the_cost_of_a_model_that_a_provider_names_otherwise(described: Pool, provider: Provider) -> None:
    """With a date behind its name, for example: the answering target's price."""
    from litellm_hotspare.model_info import describe_answer

    describe_answer("gpt-4.1-2025-04-14", described.targets[0], "hotspare")
    assert litellm.get_model_info("hotspare/gpt-4.1-2025-04-14")["output_cost_per_token"] == 2e-6


def test_nothing_is_printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """LiteLLM's list of providers and its warnings about prices stay away, and its own setting is kept."""
    monkeypatch.setattr(litellm, "suppress_debug_info", False)
    with Pool([Target("ollama/llama3"), Target("openai/gpt-4.1", api_key=KEY, price=(1, 2))]) as pool:
        litellm_hotspare.register(pool)
    printed = capsys.readouterr()
    assert "Provider List" not in printed.out
    assert "register_model" not in printed.err
    assert litellm.suppress_debug_info is False
