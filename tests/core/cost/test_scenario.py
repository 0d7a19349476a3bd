"""The configuration of docs/cost.md, played against the embedded provider: models by task, and what that saves."""

import tomllib
from decimal import Decimal
from pathlib import Path

import pytest
from hotspare import ChatReply, Pool
from hotspare.drill.provider import Provider
from hotspare.events import CallEnded, Event

PAGE = Path(__file__).parents[3] / "docs/cost.md"
WIRES = {"claude": "anthropic", "flash": "gemini"}
PRICES = {"gpt": ("2.0", "8.0"), "claude": ("3.0", "15.0"), "flash": ("0.3", "2.5"), "deepseek": ("0.27", "1.10")}
"""USD per million tokens, as in the page's table."""


def usd(target: str, replies: list[ChatReply]) -> Decimal:
    """What the tokens of these replies cost at a target."""
    paid, made = map(Decimal, PRICES[target])
    return sum((paid * one.usage.input_tokens + made * one.usage.output_tokens for one in replies), Decimal(0)) / 10**6


def test_models_by_task(provider: Provider) -> None:
    """Simple work goes to the cheap model, hard work to the strong one, batches to DeepSeek; cost and saving equal a sum that is
    made of the prices in the page and the tokens that the provider counted."""
    config = tomllib.loads(PAGE.read_text(encoding="utf-8").partition("```toml\n")[2].partition("```")[0])
    for number, target in enumerate(config["targets"]):
        name = target["name"]
        base = provider.base_url("abcd"[number], WIRES.get(name, "openai"))
        target |= {"base_url": base + ("/v1beta" if name == "flash" else ""), "api_key": "test-1"}
    seen: list[Event] = []
    with Pool.from_config(config) as pool:
        pool.subscribe(seen.append)
        replies = [
            *(pool.chat(f"classify {n}", model="simple") for n in range(5)),
            *(pool.chat(f"prove {n}", model="hard") for n in range(3)),
            *(one.result() for one in pool.map([f"summarise {n}" for n in range(10)], model="batch")),
        ]
        again = pool.chat("classify 0", model="simple")
        spent = pool.spent()["month"]
    assert [one.target for one in replies] == ["flash"] * 5 + ["claude"] * 3 + ["deepseek"] * 10
    expected = usd("flash", replies[:5]) + usd("claude", replies[5:8]) + usd("deepseek", replies[8:])
    assert sum(one.cost or 0.0 for one in replies) == pytest.approx(float(expected), rel=1e-9)
    assert spent == pytest.approx(float(expected), rel=1e-9)
    assert (again.cached, again.cost) == ("hit", 0.0)
    saved = usd("claude", replies) - expected
    calls = [event for event in seen if isinstance(event, CallEnded)]
    assert sum(event.cost or 0.0 for event in calls) == pytest.approx(float(usd("claude", replies) - saved), rel=1e-9)
    print(f"saved {saved:.6f} of {usd('claude', replies):.6f} USD")
    assert saved > 0
