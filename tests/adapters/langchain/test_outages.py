"""Agents, graphs, chains and batches return the right result through an outage, over both kinds of targets."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, TypedDict

import pytest
from hotspare import Pool
from hotspare.drill.provider import Provider, after_tools, answer
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, AIMessageChunk, AnyMessage, HumanMessage, ToolMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tools import tool
from langchain_hotspare import ChatHotspare
from langchain_hotspare.targets import targets_of
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.prebuilt import ToolNode
from pydantic import BaseModel

from tests.adapters.langchain.pools import hotspare_targets, langchain_models

PROMPT = "Please call get_weather and tell me"
pytestmark = pytest.mark.anyio


@tool
def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"21 degrees in {city}"


@pytest.fixture(params=["hotspare", "langchain"])
def llm(request: pytest.FixtureRequest, provider: Provider) -> Iterator[ChatHotspare]:
    """A model over a new pool, whose breakers are closed."""
    targets = hotspare_targets(provider) if request.param == "hotspare" else targets_of(langchain_models(provider))
    with Pool(targets) as pool:
        yield ChatHotspare(pool=pool)


def fails_after(provider: Provider, requests: int) -> None:
    """The primary answers this many requests and then fails for good; the second target is down from the start."""
    provider.fault("a", "status", status=503, skip=requests)
    provider.fault("b", "refused")


def check(messages: list[AnyMessage]) -> None:
    """Check the loop's four messages: question, tool call, result, and the answer that repeats the result."""
    _, call, result, last = messages
    assert isinstance(call, AIMessage)
    assert isinstance(result, ToolMessage)
    assert [c["name"] for c in call.tool_calls] == ["get_weather"]
    assert last.text == after_tools(PROMPT, (str(result.content),))
    metadata = last.response_metadata["hotspare"]
    assert metadata["failovers"] >= 1
    assert metadata["target"] != call.response_metadata["hotspare"]["target"]


@pytest.mark.parametrize("method", ["invoke", "ainvoke"])
async def test_an_agent_whose_primary_fails_between_two_steps(
    llm: ChatHotspare, method: str, provider: Provider
) -> None:
    """One provider makes the tool call, another one answers its result."""
    fails_after(provider, 1)
    agent = create_agent(llm, [get_weather])
    ask: Any = {"messages": [HumanMessage(PROMPT)]}
    state = agent.invoke(ask) if method == "invoke" else await agent.ainvoke(ask)
    check(state["messages"])


@pytest.mark.parametrize("fault", ["silence", "cut", "status"])
async def test_an_agents_stream_that_breaks_before_its_first_token(
    llm: ChatHotspare, fault: str, provider: Provider
) -> None:
    """The consumer gets each answer once, under one id, and nothing of the broken stream."""
    options = {"silence": {}, "cut": {"at": 0}, "status": {"status": 529}}[fault]
    provider.fault("a", fault, skip=1, **options)
    llm.deadline = 3
    agent = create_agent(llm, [get_weather])
    texts: dict[str | None, str] = {}
    ask: Any = {"messages": [HumanMessage(PROMPT)]}
    async for message, _ in agent.astream(ask, stream_mode="messages"):
        if isinstance(message, AIMessageChunk) and message.text:
            texts[message.id] = texts.get(message.id, "") + message.text
        if isinstance(message, ToolMessage):
            result = str(message.content)
    assert list(texts.values()) == [after_tools(PROMPT, (result,))]


class _State(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]


async def test_a_graph_streams_through_an_outage(llm: ChatHotspare, provider: Provider) -> None:
    """A hand-written LangGraph loop; the primary fails between two steps."""
    fails_after(provider, 1)
    bound = llm.bind_tools([get_weather])

    async def ask(state: _State) -> dict[str, Any]:
        return {"messages": [await bound.ainvoke(state["messages"])]}

    def more(state: _State) -> Literal["tools", "__end__"]:
        last = state["messages"][-1]
        return "tools" if isinstance(last, AIMessage) and last.tool_calls else END  # type: ignore[return-value]

    graph = StateGraph(_State)
    graph.add_node("model", ask)
    graph.add_node("tools", ToolNode([get_weather]))
    graph.add_edge(START, "model")
    graph.add_conditional_edges("model", more)
    graph.add_edge("tools", "model")
    streamed: list[str] = []
    final: Any = None
    async for mode, event in graph.compile().astream(
        {"messages": [HumanMessage(PROMPT)]}, stream_mode=["messages", "values"]
    ):
        if mode == "values":
            final = event
        elif isinstance(event[0], AIMessageChunk):
            streamed.append(event[0].text)
    check(final["messages"])
    assert "".join(streamed) == final["messages"][-1].text


class City(BaseModel):
    """A city."""

    name: str
    people: int


@pytest.mark.parametrize("method", ["function_calling", "json_schema", "json_mode"])
async def test_structured_output_through_an_outage(llm: ChatHotspare, method: Any, provider: Provider) -> None:
    """Every method works, sync and async, whichever target answers."""
    provider.configure(
        None,
        replies={"biggest": {"json": {"name": "Seoul", "people": 9}, "call": {"City": {"name": "Seoul", "people": 9}}}},
    )
    fails_after(provider, 1)
    structured = llm.with_structured_output(City, method=method)
    replies = [structured.invoke("the biggest city, as JSON") for _ in range(3)]
    replies.append(await structured.ainvoke("the biggest city, as JSON"))
    assert replies == [City(name="Seoul", people=9)] * 4


async def test_an_agents_structured_answer_through_an_outage(llm: ChatHotspare, provider: Provider) -> None:
    """An agent's `response_format` uses the provider's structured output, which all targets have, and survives a
    failover."""
    provider.configure(None, replies={"biggest": {"json": {"name": "Seoul", "people": 9}}})
    fails_after(provider, 0)
    agent = create_agent(llm, [get_weather], response_format=City)
    ask: Any = {"messages": [HumanMessage("the biggest city")]}
    assert (await agent.ainvoke(ask))["structured_response"] == City(name="Seoul", people=9)


async def test_batches_through_an_outage(llm: ChatHotspare, provider: Provider) -> None:
    """Every answer belongs to its prompt when the primary fails during a batch."""
    fails_after(provider, 2)
    prompts = [f"question {number}" for number in range(8)]
    right = [answer(prompt) for prompt in prompts]
    assert [reply.text for reply in llm.batch(prompts)] == right
    assert [reply.text for reply in await llm.abatch(prompts)] == right


@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_events_of_a_chain_through_an_outage(llm: ChatHotspare, version: Any, provider: Provider) -> None:
    """One run of the model, each token once, no error event, and a custom event for the failover."""
    fails_after(provider, 0)
    chain = ChatPromptTemplate.from_template("Say {what}") | llm | StrOutputParser()
    events = [event async for event in chain.astream_events({"what": "hello"}, version=version)]
    kinds = [event["event"] for event in events]
    tokens = [event["data"]["chunk"].text for event in events if event["event"] == "on_chat_model_stream"]
    assert kinds.count("on_chat_model_start") == kinds.count("on_chat_model_end") == 1
    assert "".join(tokens) == answer("Say hello")
    failovers = [event["data"] for event in events if event["event"] == "on_custom_event"]
    assert version == "v1" or [f["attempt"]["kind"] for f in failovers][-1] == "transport"


async def test_a_chain_through_an_outage(llm: ChatHotspare, provider: Provider) -> None:
    """`prompt | llm | parser` works in all four ways to call it."""
    fails_after(provider, 1)
    chain = ChatPromptTemplate.from_template("Say {what}") | llm | StrOutputParser()
    assert chain.invoke({"what": "hi"}) == answer("Say hi")
    assert "".join(chain.stream({"what": "ho"})) == answer("Say ho")
    assert await chain.ainvoke({"what": "hu"}) == answer("Say hu")
    assert "".join([piece async for piece in chain.astream({"what": "he"})]) == answer("Say he")


@pytest.mark.parametrize("down", ["refused", "status"])
async def test_a_failed_primary_is_not_called_by_every_call(llm: ChatHotspare, down: str, provider: Provider) -> None:
    """Its breaker opens after a few calls; every call is answered."""
    provider.fault("a", down, **({"status": 503} if down == "status" else {}))
    replies = [llm.invoke(f"question {number}") for number in range(60)]
    assert [message.text for message in replies] == [answer(f"question {number}") for number in range(60)]
    attempts = [attempt for message in replies for attempt in message.response_metadata["hotspare"]["attempts"]]
    first = llm.pool.targets[0].name
    assert 1 <= len([attempt for attempt in attempts if attempt["target"] == first]) <= 12
