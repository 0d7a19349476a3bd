"""Tools in a pool of four model families through Hotspare, with the history that the others wrote."""

from hotspare.drill.provider import Provider, after_tools
from llama_index.core.base.llms.types import ChatMessage, MessageRole
from llama_index.core.tools import FunctionTool
from llama_index.llms.hotspare import Hotspare

from tests.support.families import PROMPT, TURNS, check, families, route
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
