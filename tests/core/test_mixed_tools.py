"""Tools in a pool of four model families, each over its own wire, with the history that the others wrote."""

from collections.abc import Iterator
from typing import Any

import anyio
import pytest
from hotspare import ChatReply, Pool, Target
from hotspare._engine.folding import reply_of
from hotspare.drill.answers import after_tools, answer
from hotspare.drill.provider import KEY, Provider

from tests.support.families import PROMPT, TURNS, check, families, route
from tests.support.methods import EACH_METHOD

TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}}}


@pytest.fixture
def pool(provider: Provider) -> Iterator[Pool]:
    """The four families."""
    with families(provider) as made:
        yield made


async def ask(pool: Pool, method: str, history: list[Any], **options: Any) -> ChatReply:
    """One call through this method; a stream is put together."""
    options |= {"tools": [TOOL], "reasoning_effort": "low"}
    name = method.rpartition(" ")[2]
    if name == "chat":
        return pool.chat(history, **options)
    if name == "stream":
        return reply_of(list(pool.stream(history, **options)))
    if name == "achat":
        return await pool.achat(history, **options)
    return reply_of([chunk async for chunk in pool.astream(history, **options)])


@EACH_METHOD
def test_tools_survive_an_outage_of_each_family(method: str, pool: Pool, provider: Provider) -> None:
    """Twelve rounds of one conversation. In each a family is down, so that a second one makes the call; then that one is down,
    and a third one answers the result, with the whole history before it."""
    history: list[Any] = []

    async def turn(down: str, other: str) -> ChatReply:
        reply = await ask(pool, method, history, model=route(provider, down, other))
        history.append(reply.message)
        return reply

    async def conversation() -> None:
        for first, second, third in TURNS:
            history.append({"role": "user", "content": PROMPT})
            (call,) = (await turn(first, second)).tool_calls
            assert call.name == "get_weather"
            history.append({"role": "tool", "tool_call_id": call.id, "content": "rain"})
            assert (await turn(second, third)).text.endswith(after_tools(PROMPT, ("rain",)))

    anyio.run(conversation, backend=method.rpartition(" ")[0] or "asyncio")
    wrote = {block["dialect"] for message in history for block in message.get("thinking_blocks", ())}
    assert wrote == {"responses", "anthropic", "gemini"}, "the histories hold what only its own provider can read"
    check(provider)


@EACH_METHOD
def test_a_refusal_that_names_responses_is_learnt(method: str, provider: Provider) -> None:
    """Tools on GPT-5.6 and a `-pro` model at a proxy: the first call is immediately sent again, the next ones go there directly."""
    gpt, pro = (
        Target(f"openai/{model}", base_url=provider.base_url(endpoint), api_key=KEY)
        for endpoint, model in (("a", "gpt-5.6"), ("b", "gpt-5.6-pro"))
    )
    with Pool([gpt], when_all_down="fail") as tools, Pool([pro], when_all_down="fail") as plain:

        async def calls() -> None:
            for _ in range(2):
                reply = await ask(tools, method, [{"role": "user", "content": "call get_weather"}])
                assert [call.name for call in reply.tool_calls] == ["get_weather"]
            assert plain.chat("q").text == plain.chat("q").text == answer("q")
            assert tools.chat("q").text == answer("q")

        anyio.run(calls, backend=method.rpartition(" ")[0] or "asyncio")
        assert [tools.health()[gpt.name].failures, plain.health()[pro.name].failures] == [0, 0]
    assert provider.stats("a").dialects == {"openai": 2, "responses": 2}, "without tools, Chat Completions serves it"
    assert provider.stats("b").dialects == {"openai": 1, "responses": 2}
