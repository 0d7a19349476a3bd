"""Agents, graphs, chains and batches go through an outage and come to the right answer, with wire and native members."""

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
from langchain_hotspare.members import targets_of
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.prebuilt import ToolNode
from pydantic import BaseModel

from tests.adapters.langchain.pools import native_models, wire_targets

PROMPT = "Please call get_weather and tell me"
pytestmark = pytest.mark.anyio


@tool
def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"21 degrees in {city}"


@pytest.fixture(params=["wire", "native"])
def llm(request: pytest.FixtureRequest, provider: Provider) -> Iterator[ChatHotspare]:
    """A model whose pool is new: it learns of every failure by itself."""
    targets = wire_targets(provider) if request.param == "wire" else targets_of(native_models(provider))
    with Pool(targets) as pool:
        yield ChatHotspare(pool=pool)


def dies_after(provider: Provider, requests: int) -> None:
    """The primary answers so many requests, then never again; the second target is dead from the start."""
    provider.fault("a", "status", status=503, skip=requests)
    provider.fault("b", "refused")


def check(messages: list[AnyMessage]) -> None:
    """The loop's four messages: question, call, result, and the answer that holds the result word for word."""
    _, call, result, last = messages
    assert isinstance(call, AIMessage)
    assert isinstance(result, ToolMessage)
    assert [c["name"] for c in call.tool_calls] == ["get_weather"]
    assert last.text == after_tools(PROMPT, (str(result.content),))
    trail = last.response_metadata["hotspare"]
    assert trail["failovers"] >= 1
    assert trail["target"] != call.response_metadata["hotspare"]["target"]


@pytest.mark.parametrize("face", ["invoke", "ainvoke"])
async def test_an_agent_whose_primary_dies_between_two_steps(llm: ChatHotspare, face: str, provider: Provider) -> None:
    """The tool call is one provider's, the answer to its result another's."""
    dies_after(provider, 1)
    agent = create_agent(llm, [get_weather])
    ask: Any = {"messages": [HumanMessage(PROMPT)]}
    state = agent.invoke(ask) if face == "invoke" else await agent.ainvoke(ask)
    check(state["messages"])


@pytest.mark.parametrize("fault", ["silence", "cut", "status"])
async def test_an_agents_stream_that_breaks_before_its_first_token(
    llm: ChatHotspare, fault: str, provider: Provider
) -> None:
    """The consumer sees each answer once, under one id; nothing of the broken stream."""
    options = {"silence": {}, "cut": {"at": 0}, "status": {"status": 529}}[fault]
    provider.fault("a", fault, skip=1, **options)
    llm.deadline = 3
    agent = create_agent(llm, [get_weather])
    texts: dict[str | None, str] = {}
    ask: Any = {"messages": [HumanMessage(PROMPT)]}
    async for message, _ in agent.astream(ask, stream_mode="messages"):
        if isinstance(message, AIMessageChunk) and message.text:
            texts[message.id] = texts.get(message.id, "") + message.text
        result = str(message.content) if isinstance(message, ToolMessage) else ""
        if result:
            told = result
    assert list(texts.values()) == [after_tools(PROMPT, (told,))]


class _State(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]


async def test_a_graph_streams_through_an_outage(llm: ChatHotspare, provider: Provider) -> None:
    """A hand-made LangGraph loop; the primary dies between the steps."""
    dies_after(provider, 1)
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
    """By every method, sync and async, whoever answers."""
    provider.configure(
        None,
        replies={"biggest": {"json": {"name": "Seoul", "people": 9}, "call": {"City": {"name": "Seoul", "people": 9}}}},
    )
    dies_after(provider, 1)
    structured = llm.with_structured_output(City, method=method)
    told = [structured.invoke("the biggest city, as JSON") for _ in range(3)]
    told.append(await structured.ainvoke("the biggest city, as JSON"))
    assert told == [City(name="Seoul", people=9)] * 4


async def test_an_agents_structured_answer_through_an_outage(llm: ChatHotspare, provider: Provider) -> None:
    """`response_format` of an agent, which binds the provider's own structured output because all members have it."""
    provider.configure(None, replies={"biggest": {"json": {"name": "Seoul", "people": 9}}})
    dies_after(provider, 0)
    agent = create_agent(llm, [get_weather], response_format=City)
    ask: Any = {"messages": [HumanMessage("the biggest city")]}
    assert (await agent.ainvoke(ask))["structured_response"] == City(name="Seoul", people=9)


async def test_batches_through_an_outage(llm: ChatHotspare, provider: Provider) -> None:
    """Every answer belongs to its prompt, when the primary dies under a batch."""
    dies_after(provider, 2)
    prompts = [f"question {number}" for number in range(8)]
    right = [answer(prompt) for prompt in prompts]
    assert [told.text for told in llm.batch(prompts)] == right
    assert [told.text for told in await llm.abatch(prompts)] == right


@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_events_of_a_chain_through_an_outage(llm: ChatHotspare, version: Any, provider: Provider) -> None:
    """One run of the model, its tokens once, no error among the events, and a custom event for the failover."""
    dies_after(provider, 0)
    chain = ChatPromptTemplate.from_template("Say {what}") | llm | StrOutputParser()
    events = [event async for event in chain.astream_events({"what": "hello"}, version=version)]
    kinds = [event["event"] for event in events]
    tokens = [event["data"]["chunk"].text for event in events if event["event"] == "on_chat_model_stream"]
    assert kinds.count("on_chat_model_start") == kinds.count("on_chat_model_end") == 1
    assert "".join(tokens) == answer("Say hello")
    told = [event["data"] for event in events if event["event"] == "on_custom_event"]
    assert version == "v1" or [(f["source"], f["kind"]) for f in told][-1][1] == "transport"


async def test_a_chain_through_an_outage(llm: ChatHotspare, provider: Provider) -> None:
    """`prompt | llm | parser`, in all four ways to call it."""
    dies_after(provider, 1)
    chain = ChatPromptTemplate.from_template("Say {what}") | llm | StrOutputParser()
    assert chain.invoke({"what": "hi"}) == answer("Say hi")
    assert "".join(chain.stream({"what": "ho"})) == answer("Say ho")
    assert await chain.ainvoke({"what": "hu"}) == answer("Say hu")
    assert "".join([piece async for piece in chain.astream({"what": "he"})]) == answer("Say he")


@pytest.mark.parametrize("dead", ["refused", "status"])
async def test_a_dead_primary_is_left_alone(llm: ChatHotspare, dead: str, provider: Provider) -> None:
    """It is asked until that is clear, and not by each call; every call is answered."""
    provider.fault("a", dead, **({"status": 503} if dead == "status" else {}))
    told = [llm.invoke(f"question {number}") for number in range(60)]
    assert [message.text for message in told] == [answer(f"question {number}") for number in range(60)]
    asked = [attempt for message in told for attempt in message.response_metadata["hotspare"]["attempts"]]
    first = llm.pool.targets[0].name
    assert 1 <= len([attempt for attempt in asked if attempt["target"] == first]) <= 12
