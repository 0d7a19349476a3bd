"""One question about Seoul's weather, by alias, to four models: through one relay key, and through each provider's own wire."""

from typing import Any

import pytest
from hotspare import AllTargetsFailed, Pool, SecretStr, Target
from hotspare.drill.answers import after_tools
from hotspare.drill.provider import KEY, Provider

from tests.support.methods import run

MODELS = {
    "gpt-4.1": "openai/gpt-4.1",
    "claude-sonnet-4": "anthropic/claude-sonnet-4-20250514",
    "gemini-2.5-flash": "gemini/gemini-2.5-flash",
    "deepseek": "deepseek/deepseek-chat",
}
"""Alias -> the model as its own provider names it."""
WIRES = {"openai": "openai", "anthropic": "anthropic", "gemini": "gemini", "deepseek": "openai"}
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
QUESTION = "What is the weather in Seoul? call get_weather"


def relay(provider: Provider) -> Pool:
    """All four models behind one OpenAI-shaped relay, on one key."""
    url = provider.base_url("a", "openai")
    return Pool(
        [
            Target(
                f"holysheep/{id.partition('/')[2]}", base_url=url, api_key=SecretStr(KEY), aliases={alias}, name=alias
            )
            for alias, id in MODELS.items()
        ]
    )


def own_wires(provider: Provider) -> Pool:
    """Each model at its own provider, in that provider's wire format."""
    return Pool(
        [
            Target(id, base_url=provider.base_url(endpoint, WIRES[id.partition("/")[0]]), api_key=SecretStr(KEY), aliases={alias}, name=alias)
            for endpoint, (alias, id) in zip("abcd", MODELS.items(), strict=True)
        ]
    )  # fmt: skip


async def converse(pool: Pool, method: str, alias: str) -> str:
    """The question, the tool that the model calls, and the answer to its result."""
    ask: Any = pool.achat if method == "achat" else pool.chat
    messages: list[Any] = [{"role": "user", "content": QUESTION}]
    options: dict[str, Any] = {"model": alias, "tools": [WEATHER], "substitute": False}

    async def one() -> Any:
        found = ask(messages, **options)
        return await found if method == "achat" else found

    called = await one()
    assert called.target == alias
    (call,) = called.tool_calls
    assert call.name == "get_weather"
    messages += [called.message, {"role": "tool", "tool_call_id": call.id, "content": "18 °C, clear"}]
    answered = await one()
    assert answered.target == alias
    return str(answered.text)


@pytest.mark.parametrize("method", ["chat", "asyncio achat", "trio achat"])
@pytest.mark.parametrize("pool_of", [relay, own_wires])
def test_by_alias(method: str, pool_of: Any, provider: Provider) -> None:
    """Each alias reaches its own model and no other, calls the tool, and answers with its result."""

    async def each(pool: Pool, name: str) -> None:
        for alias in MODELS:
            assert await converse(pool, name, alias) == after_tools(QUESTION, ("18 °C, clear",))

    run(method, pool_of(provider), each)
    endpoints = "a" * 4 if pool_of is relay else "abcd"
    for endpoint, id in zip(endpoints, MODELS.values(), strict=True):
        sent = [f"{one['path']} {one['body'].get('model', '')}" for one in provider.recorded_requests(endpoint)]
        assert sum(id.partition("/")[2] in one for one in sent) == 2


def test_one_relay_key_is_one_account(provider: Provider) -> None:
    """A rejected key keeps calls from all four models, not only from the one that was called."""
    provider.fault("a", "status", status=401)
    pool = relay(provider)
    with pytest.raises(AllTargetsFailed):
        pool.chat("hi", max_attempts=1)
    (account,) = [one for one in pool.health().domains if one.level == "account"]
    assert (account.state, round(account.available_in)) == ("open", 300)
    assert {choice.skipped for choice in pool.explain().choices} == {"unavailable"}
