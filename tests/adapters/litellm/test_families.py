"""Tools in a pool of four model families through LiteLLM, with the history that the others wrote."""

from typing import Any

import litellm
import litellm_hotspare
import pytest
from hotspare.drill.provider import Provider, after_tools

from tests.support.families import PROMPT, TURNS, TWIN_TURNS, check, check_twins, families, route, twins
from tests.support.framework_calls import METHODS

EFFORT: Any = {"reasoning_effort": "low", "allowed_openai_params": ["reasoning_effort"]}
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}}}


async def ask(method: str, history: list[Any], name: str, **options: Any) -> Any:
    """One answer's message, in one of LiteLLM's four ways; chunks are put together by LiteLLM."""
    options |= {"model": f"hotspare/{name}", "messages": history, "tools": [TOOL], **EFFORT}
    if method == "whole":
        return litellm.completion(**options).choices[0].message
    if method == "awhole":
        return (await litellm.acompletion(**options)).choices[0].message
    if method == "stream":
        chunks = list(litellm.completion(stream=True, **options))
    else:
        chunks = [chunk async for chunk in await litellm.acompletion(stream=True, **options)]
    return litellm.stream_chunk_builder(chunks).choices[0].message


@pytest.mark.anyio
@pytest.mark.parametrize("method", METHODS)
async def test_tools_survive_an_outage_of_each_family(method: str, provider: Provider) -> None:
    """A family is down, a second one makes the call; then that one is down, and a third one answers, twelve times over."""
    history: list[Any] = []

    with families(provider) as pool:
        litellm_hotspare.register(pool)
        for first, second, third in TURNS:
            history.append({"role": "user", "content": PROMPT})
            called = await ask(method, history, route(provider, first, second))
            (call,) = called.tool_calls
            assert call.function.name == "get_weather"
            history.extend([called.model_dump(), {"role": "tool", "tool_call_id": call.id, "content": "rain"}])
            reply = await ask(method, history, route(provider, second, third))
            assert reply.content.endswith(after_tools(PROMPT, ("rain",)))
            history.append(reply.model_dump())
    check(provider)


@pytest.mark.anyio
@pytest.mark.parametrize("method", METHODS)
async def test_reasoning_goes_back_to_the_model_that_wrote_it(method: str, provider: Provider) -> None:
    """Also through chunks that LiteLLM puts together."""
    history: list[Any] = []

    with twins(provider) as pool:
        litellm_hotspare.register(pool)
        for caller, answerer in TWIN_TURNS:
            history.append({"role": "user", "content": PROMPT})
            called = await ask(method, history, "default", only=[caller])
            (call,) = called.tool_calls
            history.extend([called.model_dump(), {"role": "tool", "tool_call_id": call.id, "content": "rain"}])
            history.append((await ask(method, history, "default", only=[answerer])).model_dump())
    check_twins(provider)
