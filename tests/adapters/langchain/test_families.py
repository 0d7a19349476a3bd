"""Tools in a pool of four model families through ChatHotspare, with the history that the others wrote."""

from hotspare.drill.provider import Provider, after_tools
from langchain_core.messages import AnyMessage, HumanMessage
from langchain_hotspare import ChatHotspare

from tests.adapters.langchain.test_portability import get_weather
from tests.support.families import PROMPT, TURNS, check, families, route


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
