"""Tools in a pool of four model families through Hotspare, with the history that the others wrote."""

from typing import Any

import pytest
from hotspare.drill.provider import Provider, after_tools
from llama_index.core.base.llms.types import ChatMessage, MessageRole, ToolCallBlock
from llama_index.core.tools import FunctionTool
from llama_index.llms.hotspare import Hotspare

from tests.support.families import PROMPT, TURNS, TWIN_TURNS, check, check_twins, families, route, twins
from tests.support.llama_index import calls_of


def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"21 degrees in {city}"


def test_tools_survive_an_outage_of_each_family(provider: Provider) -> None:
    """A family is down, a second one makes the call; then that one is down, and a third one answers, twelve times over."""
    history: list[ChatMessage] = []
    tool = FunctionTool.from_defaults(get_weather)
    with families(provider) as pool:
        llm = Hotspare(pool=pool, reasoning_effort="low")
        for first, second, third in TURNS:
            history.append(ChatMessage(role="user", content=PROMPT))
            called = llm.chat_with_tools([tool], chat_history=history, model=route(provider, first, second))
            (call,) = calls_of(called)
            assert call.tool_name == "get_weather"
            result = {"tool_call_id": call.tool_call_id}
            history += [called.message, ChatMessage("rain", role=MessageRole.TOOL, additional_kwargs=result)]
            reply = llm.chat_with_tools([tool], chat_history=history, model=route(provider, second, third))
            assert str(reply.message.content).endswith(after_tools(PROMPT, ("rain",)))
            history.append(reply.message)
    check(provider)


@pytest.mark.parametrize("streams", [False, True])
def test_reasoning_goes_back_to_the_model_that_wrote_it(streams: bool, provider: Provider) -> None:
    """As a thinking block, also through messages that were stored as JSON."""
    history: list[ChatMessage] = []
    tool = FunctionTool.from_defaults(get_weather)

    def ask(model: str) -> ChatMessage:
        use = llm.stream_chat_with_tools if streams else llm.chat_with_tools
        found: Any = use([tool], chat_history=history, model=model)
        message = (list(found)[-1] if streams else found).message
        return ChatMessage.model_validate_json(message.model_dump_json())

    with twins(provider) as pool:
        llm = Hotspare(pool=pool, additional_kwargs={"reasoning_effort": "low"})
        for caller, answerer in TWIN_TURNS:
            history.append(ChatMessage(role="user", content=PROMPT))
            called = ask(caller)
            (call,) = [block for block in called.blocks if isinstance(block, ToolCallBlock)]
            result = {"tool_call_id": call.tool_call_id}
            history += [called, ChatMessage("rain", role=MessageRole.TOOL, additional_kwargs=result)]
            history.append(ask(answerer))
    check_twins(provider)
