"""Tools in a pool of four model families through ChatHotspare, with the history that the others wrote."""

from functools import reduce
from operator import add

import pytest
from hotspare.drill.provider import Provider, after_tools
from langchain_core.messages import AIMessage, AIMessageChunk, AnyMessage, HumanMessage
from langchain_hotspare import ChatHotspare

from tests.adapters.langchain.test_portability import get_weather
from tests.support.families import PROMPT, TURNS, TWIN_TURNS, check, check_twins, families, route, twins


def test_tools_survive_an_outage_of_each_family(provider: Provider) -> None:
    """A family is down, a second one makes the call; then that one is down, and a third one answers, twelve times over."""
    history: list[AnyMessage] = []
    with families(provider) as pool:
        llm = ChatHotspare(pool=pool, reasoning_effort="low").bind_tools([get_weather])
        for first, second, third in TURNS:
            history.append(HumanMessage(PROMPT))
            called = llm.invoke(history, model=route(provider, first, second))
            assert [call["name"] for call in called.tool_calls] == ["get_weather"]
            history += [called, get_weather.invoke(called.tool_calls[0])]
            reply = llm.invoke(history, model=route(provider, second, third))
            assert reply.text.endswith(after_tools(PROMPT, ("21 degrees in Seoul",)))
            history.append(reply)
    check(provider)


@pytest.mark.parametrize("streams", [False, True])
def test_reasoning_goes_back_to_the_model_that_wrote_it(streams: bool, provider: Provider) -> None:
    """Also through chunks that LangChain adds up."""
    history: list[AnyMessage] = []

    def ask(model: str) -> AIMessage:
        if not streams:
            return llm.invoke(history, model=model)
        whole = reduce(add, llm.stream(history, model=model))
        assert isinstance(whole, AIMessageChunk)
        return AIMessage.model_validate(whole.model_dump(exclude={"type", "tool_call_chunks", "chunk_position"}))

    with twins(provider) as pool:
        llm = ChatHotspare(pool=pool, reasoning_effort="low").bind_tools([get_weather])
        for caller, answerer in TWIN_TURNS:
            history.append(HumanMessage(PROMPT))
            called = ask(caller)
            history += [called, get_weather.invoke(called.tool_calls[0])]
            history.append(ask(answerer))
    check_twins(provider)
