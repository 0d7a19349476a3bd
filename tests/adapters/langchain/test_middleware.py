# LangChain's `create_agent` carries no type for its checkpointer.
# pyright: reportUnknownVariableType=false
"""`HotspareMiddleware`: agents that continue through an outage, report failovers in their stream, and continue after an interrupted run."""

from itertools import pairwise
from typing import Any

import pytest
from hotspare import AllTargetsFailed, ConfigError, Policy, Pool
from hotspare.drill.provider import Provider
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_hotspare import HotspareMiddleware
from langchain_hotspare.middleware import INTERRUPTED
from pydantic import BaseModel

from tests.adapters.langchain.pools import anthropic, hotspare_targets, openai

QUESTION = {"messages": [HumanMessage("call get_weather")]}


@tool
def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"sunny in {city}"


class Weather(BaseModel):
    """A structured answer."""

    city: str
    degrees: int


async def run(agent: Any, state: Any, face: str) -> tuple[list[Any], list[dict[str, Any]]]:
    """The final messages and the notices of the stream."""
    final: Any = None
    notices: list[dict[str, Any]] = []
    modes: Any = ["values", "custom"]
    if face == "sync":
        parts = list(agent.stream(state, stream_mode=modes))
    else:
        parts = [part async for part in agent.astream(state, stream_mode=modes)]
    for mode, value in parts:
        if mode == "custom":
            notices.append(value)
        else:
            final = value
    return final["messages"], notices


@pytest.mark.anyio
@pytest.mark.parametrize("face", ["sync", "async"])
@pytest.mark.parametrize("form", ["pool", "fallbacks"])
async def test_an_agent_goes_on_through_an_outage(provider: Provider, face: str, form: str) -> None:
    """The tool is called and its result is used although the first provider is down; each failover is in the stream."""
    provider.fault("a", "status", status=503)
    own = openai(provider, "a")
    policy = Policy(retry_same_target="never")
    with Pool(hotspare_targets(provider), policy=policy) as pool:
        middleware = (
            HotspareMiddleware(pool=pool)
            if form == "pool"
            else HotspareMiddleware(anthropic(provider, "b"), policy=policy)
        )
        agent: Any = create_agent(own, [get_weather], middleware=[middleware])
        messages, notices = await run(agent, QUESTION, face)
    assert [type(message) for message in messages] == [HumanMessage, AIMessage, ToolMessage, AIMessage]
    assert messages[2].content.startswith("sunny in")
    assert [notice["event"] for notice in notices] == ["hotspare_failover"] * 2
    assert {(notice["attempt"]["status"], notice["attempt"]["kind"]) for notice in notices} == {(503, "server")}
    assert notices[0]["target"] == messages[1].response_metadata["hotspare"]["target"] != notices[0]["source"]


@pytest.mark.anyio
async def test_health_is_shared_by_all_runs(provider: Provider) -> None:
    """The agent's own model is asked until its breaker opens, and no longer: not once for each run."""
    provider.fault("a", "refused")
    middleware = HotspareMiddleware(anthropic(provider, "b"), policy=Policy(retry_same_target="never"))
    agent: Any = create_agent(openai(provider, "a"), [], middleware=[middleware])
    found = [await run(agent, {"messages": [HumanMessage(f"q{number}")]}, "async") for number in range(8)]
    assert [len(notices) for _, notices in found][-1] == 0
    assert 0 < sum(len(notices) for _, notices in found) < 8


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["a", "b", "c"])
async def test_an_interrupted_run_is_repaired(provider: Provider, name: str) -> None:
    """A run was killed between a tool call and its result: every provider refuses such a history. The model gets a message that
    there is no result."""
    call = {"name": "get_weather", "args": {"city": "Seoul"}, "id": "call_1", "type": "tool_call"}
    history = [HumanMessage("the weather?"), AIMessage("", tool_calls=[call]), HumanMessage("go on")]
    with Pool(hotspare_targets(provider)) as pool:
        agent: Any = create_agent(
            openai(provider, "a"), [get_weather], middleware=[HotspareMiddleware(pool=pool, model=name)]
        )
        messages, _ = await run(agent, {"messages": history}, "sync")
    assert messages[-1].content
    assert INTERRUPTED in str(provider.recorded_requests(name)[-1]["body"])
    assert not any(isinstance(message, ToolMessage) for message in messages)  # the agent's own state is left as it is


@pytest.mark.anyio
async def test_structured_answers(provider: Provider) -> None:
    """`response_format` is met by the target that answers."""
    provider.fault("a", "status", status=503)
    with Pool(hotspare_targets(provider)) as pool:
        agent: Any = create_agent(
            openai(provider, "a"), [], middleware=[HotspareMiddleware(pool=pool)], response_format=Weather
        )
        state = await agent.ainvoke({"messages": [HumanMessage("the weather in Seoul")]})
    assert isinstance(state["structured_response"], Weather)


@pytest.mark.anyio
async def test_when_everything_is_down_the_stream_has_said_why(provider: Provider) -> None:
    """The error is hotspare's, with every attempt; the failovers before it were written to the stream."""
    provider.fault(["a", "b", "c"], "status", status=503)
    with Pool(hotspare_targets(provider), deadline=1.5, when_all_down="fail") as pool:
        agent: Any = create_agent(openai(provider, "a"), [], middleware=[HotspareMiddleware(pool=pool)])
        notices: list[Any] = []
        with pytest.raises(AllTargetsFailed) as raised:
            async for value in agent.astream(QUESTION, stream_mode="custom"):
                notices.append(value)
    assert len(notices) == sum(a.target != b.target for a, b in pairwise(raised.value.attempts)) >= 2


def test_mistakes_are_named(provider: Provider) -> None:
    """No source, or two."""
    with pytest.raises(ConfigError, match="exactly one of pool, targets, config"):
        HotspareMiddleware()
    with Pool(hotspare_targets(provider)) as pool, pytest.raises(ConfigError, match="fallbacks"):
        HotspareMiddleware("openai:gpt-4.1", pool=pool)
