"""Tools in a pool of four model families through Hotspare, with the history that the others wrote."""

from typing import Any

import pytest
from hotspare.drill.provider import Provider, after_tools
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, MessageRole
from llama_index.core.tools import FunctionTool
from llama_index.llms.hotspare import Hotspare

from tests.support.families import PROMPT, TURNS, TWIN_TURNS, check, check_twins, families, route, twins
from tests.support.framework_calls import METHODS
from tests.support.llama_index import calls_of


def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"21 degrees in {city}"


TOOL = FunctionTool.from_defaults(get_weather)


async def ask(llm: Hotspare, method: str, history: list[ChatMessage], model: str) -> ChatResponse:
    """One answer, in one of LlamaIndex's four ways; of a stream its last response. The message goes through JSON."""
    options: dict[str, Any] = {"chat_history": history, "model": model}
    if method == "whole":
        found = llm.chat_with_tools([TOOL], **options)
    elif method == "awhole":
        found = await llm.achat_with_tools([TOOL], **options)
    elif method == "stream":
        found = list(llm.stream_chat_with_tools([TOOL], **options))[-1]
    else:
        found = [one async for one in await llm.astream_chat_with_tools([TOOL], **options)][-1]
    found.message = ChatMessage.model_validate_json(found.message.model_dump_json())
    return found


def result_of(called: ChatResponse) -> ChatMessage:
    """The result of the one call of an answer."""
    (call,) = calls_of(called)
    assert call.tool_name == "get_weather"
    return ChatMessage("rain", role=MessageRole.TOOL, additional_kwargs={"tool_call_id": call.tool_call_id})


@pytest.mark.anyio
@pytest.mark.parametrize("method", METHODS)
async def test_tools_survive_an_outage_of_each_family(method: str, provider: Provider) -> None:
    """A family is down, a second one makes the call; then that one is down, and a third one answers, twelve times over."""
    history: list[ChatMessage] = []

    with families(provider) as pool:
        llm = Hotspare(pool=pool, reasoning_effort="low")
        for first, second, third in TURNS:
            history.append(ChatMessage(role="user", content=PROMPT))
            called = await ask(llm, method, history, route(provider, first, second))
            history.extend([called.message, result_of(called)])
            history.append((await ask(llm, method, history, route(provider, second, third))).message)
            assert str(history[-1].content).endswith(after_tools(PROMPT, ("rain",)))
    check(provider)


@pytest.mark.anyio
@pytest.mark.parametrize("method", METHODS)
async def test_reasoning_goes_back_to_the_model_that_wrote_it(method: str, provider: Provider) -> None:
    """As a thinking block, also through messages that were stored as JSON."""
    history: list[ChatMessage] = []

    with twins(provider) as pool:
        llm = Hotspare(pool=pool, additional_kwargs={"reasoning_effort": "low"})
        for caller, answerer in TWIN_TURNS:
            history.append(ChatMessage(role="user", content=PROMPT))
            called = await ask(llm, method, history, caller)
            history.extend([called.message, result_of(called)])
            history.append((await ask(llm, method, history, answerer)).message)
    check_twins(provider)
