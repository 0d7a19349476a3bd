"""Tools in a pool of four model families through ChatHotspare, with the history that the others wrote."""

from functools import reduce
from operator import add
from typing import Any

import pytest
from hotspare.drill.provider import Provider, after_tools
from langchain_core.messages import AIMessage, AIMessageChunk, AnyMessage, HumanMessage
from langchain_core.runnables import Runnable
from langchain_hotspare import ChatHotspare

from tests.adapters.langchain.test_portability import get_weather
from tests.support.families import PROMPT, TURNS, TWIN_TURNS, check, check_twins, families, route, twins
from tests.support.framework_calls import METHODS


async def ask(llm: Runnable[Any, AIMessage], method: str, history: list[AnyMessage], model: str) -> AIMessage:
    """One answer, in one of LangChain's four ways; chunks are added up and stored as the message that they make."""
    if method == "whole":
        return llm.invoke(history, model=model)
    if method == "awhole":
        return await llm.ainvoke(history, model=model)
    if method == "stream":
        whole = reduce(add, llm.stream(history, model=model))
    else:
        whole = reduce(add, [chunk async for chunk in llm.astream(history, model=model)])
    assert isinstance(whole, AIMessageChunk)
    return AIMessage.model_validate(whole.model_dump(exclude={"type", "tool_call_chunks", "chunk_position"}))


@pytest.mark.anyio
@pytest.mark.parametrize("method", METHODS)
async def test_tools_survive_an_outage_of_each_family(method: str, provider: Provider) -> None:
    """A family is down, a second one makes the call; then that one is down, and a third one answers, twelve times over."""
    history: list[AnyMessage] = []

    with families(provider) as pool:
        llm = ChatHotspare(pool=pool, reasoning_effort="low").bind_tools([get_weather])
        for first, second, third in TURNS:
            history.append(HumanMessage(PROMPT))
            called = await ask(llm, method, history, route(provider, first, second))
            assert [call["name"] for call in called.tool_calls] == ["get_weather"]
            history.extend([called, get_weather.invoke(called.tool_calls[0])])
            history.append(await ask(llm, method, history, route(provider, second, third)))
            assert history[-1].text.endswith(after_tools(PROMPT, ("21 degrees in Seoul",)))
    check(provider)


@pytest.mark.anyio
@pytest.mark.parametrize("method", METHODS)
async def test_reasoning_goes_back_to_the_model_that_wrote_it(method: str, provider: Provider) -> None:
    """Also through chunks that LangChain adds up."""
    history: list[AnyMessage] = []

    with twins(provider) as pool:
        llm = ChatHotspare(pool=pool, reasoning_effort="low").bind_tools([get_weather])
        for caller, answerer in TWIN_TURNS:
            history.append(HumanMessage(PROMPT))
            called = await ask(llm, method, history, caller)
            history.extend([called, get_weather.invoke(called.tool_calls[0])])
            history.append(await ask(llm, method, history, answerer))
    check_twins(provider)
