"""Tools in a pool of four model families through LiteLLM, with the history that the others wrote."""

from typing import Any

import litellm
import litellm_hotspare
from hotspare.drill.provider import Provider, after_tools

from tests.support.families import PROMPT, TURNS, check, families, route

TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}}}


def test_tools_survive_an_outage_of_each_family(provider: Provider) -> None:
    """A family is down, a second one makes the call; then that one is down, and a third one answers, twelve times over."""
    history: list[Any] = []

    def ask(name: str) -> Any:
        model = f"hotspare/{name}"
        return litellm.completion(model, history, tools=[TOOL]).choices[0].message

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
