"""Tools in a pool of four model families through LiteLLM, with the history that the others wrote."""

from typing import Any

import litellm
import litellm_hotspare
import pytest
from hotspare.drill.provider import Provider, after_tools

from tests.support.families import PROMPT, TURNS, TWIN_TURNS, check, check_twins, families, route, twins

EFFORT: Any = {"reasoning_effort": "low", "allowed_openai_params": ["reasoning_effort"]}
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}}}


def test_tools_survive_an_outage_of_each_family(provider: Provider) -> None:
    """A family is down, a second one makes the call; then that one is down, and a third one answers, twelve times over."""
    history: list[Any] = []

    def ask(name: str) -> Any:
        model = f"hotspare/{name}"
        return litellm.completion(model, history, tools=[TOOL], **EFFORT).choices[0].message

    with families(provider) as pool:
        litellm_hotspare.register(pool)
        for first, second, third in TURNS:
            history.append({"role": "user", "content": PROMPT})
            called = ask(route(provider, first, second))
            (call,) = called.tool_calls
            assert call.function.name == "get_weather"
            history += [called.model_dump(), {"role": "tool", "tool_call_id": call.id, "content": "rain"}]
            reply = ask(route(provider, second, third))
            assert reply.content.endswith(after_tools(PROMPT, ("rain",)))
            history.append(reply.model_dump())
    check(provider)


@pytest.mark.parametrize("streams", [False, True])
def test_reasoning_goes_back_to_the_model_that_wrote_it(streams: bool, provider: Provider) -> None:
    """Also through chunks that LiteLLM puts together."""
    history: list[Any] = []

    def ask(model: str) -> Any:
        found = litellm.completion("hotspare/default", history, tools=[TOOL], stream=streams, only=[model], **EFFORT)
        whole = litellm.stream_chunk_builder(list(found)) if streams else found
        return whole.choices[0].message

    with twins(provider) as pool:
        litellm_hotspare.register(pool)
        for caller, answerer in TWIN_TURNS:
            history.append({"role": "user", "content": PROMPT})
            called = ask(caller)
            (call,) = called.tool_calls
            history += [called.model_dump(), {"role": "tool", "tool_call_id": call.id, "content": "rain"}]
            history.append(ask(answerer).model_dump())
    check_twins(provider)
