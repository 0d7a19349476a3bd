"""LlamaIndex's agents and workflows over Hotspare: an outage begins between two turns, or within one."""

from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import Any

import pytest
from hotspare import AllTargetsFailed, Pool
from hotspare.drill.provider import Provider, after_tools, answer
from llama_index.core import Document, MockEmbedding, VectorStoreIndex
from llama_index.core.agent.workflow import (
    AgentOutput,
    AgentStream,
    AgentWorkflow,
    FunctionAgent,
    ReActAgent,
    ToolCallResult,
)
from llama_index.core.memory import Memory
from llama_index.core.query_engine import SubQuestionQueryEngine
from llama_index.core.question_gen.types import BaseQuestionGenerator, SubQuestion
from llama_index.core.tools import FunctionTool, QueryEngineTool
from llama_index.llms.hotspare import Hotspare
from pydantic import BaseModel

pytestmark = pytest.mark.anyio

TASK = "Plan the weekend."
REPLIES = {
    TASK: {
        "call": {
            "weather": {"city": "Seoul"},
            "handoff": {"to_agent": "Writer", "reason": "the facts are there"},
            "write": {"title": "A weekend in Seoul"},
        }
    }
}
Outage = Callable[..., None]


def weather(city: str) -> str:
    """The weather in a city."""
    return f"Sunny in {city}"


def write(title: str) -> str:
    """Write an article."""
    return f"Written: {title}"


@pytest.fixture(scope="module", autouse=True)
def _langchain() -> None:
    """Import LangChain, which an index imports on first use, before any agent's memory has created greenlets.

    Greenlets that are collected while Python 3.11 parses a module make its parser fail.
    """
    with suppress(ImportError):
        import_module("llama_index.core.bridge.langchain")


@pytest.fixture(autouse=True)
def _scripted(provider: Provider) -> None:
    provider.configure(None, replies=REPLIES)


def tool(function: Callable[..., str]) -> FunctionTool:
    """The function as a LlamaIndex tool."""
    return FunctionTool.from_defaults(function)


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize(("after", "targets"), [(9, "aaa"), (0, "bbb"), (1, "abb"), (2, "aab")])
async def test_function_agent(
    provider: Provider, llm: Hotspare, outage: Outage, streaming: bool, after: int, targets: str
) -> None:
    """Two tools in two turns, then the answer with both results; the outage begins before any of the three turns."""
    outage("a", after=after)
    agent = FunctionAgent(
        tools=[tool(weather), tool(write)], llm=llm, streaming=streaming, allow_parallel_tool_calls=False
    )
    result: AgentOutput = await agent.run(TASK)
    assert result.response.content == after_tools(TASK, ("Sunny in Seoul", "Written: A weekend in Seoul"))
    assert [call.tool_name for call in result.tool_calls] == ["weather", "write"]
    assert provider.stats("b").requests == targets.count("b")
    assert result.raw["hotspare"]["target"] == targets[-1]


async def test_a_stream_that_breaks_inside_a_turn(provider: Provider, llm: Hotspare, outage: Outage) -> None:
    """The last turn's answer breaks within its text; the agent's streamed deltas add up to the right answer."""
    outage("a", kind="cut", at=12, after=1)
    agent = FunctionAgent(tools=[tool(weather)], llm=llm)
    run = agent.run(TASK)
    streamed, results = "", []
    async for event in run.stream_events():
        if isinstance(event, AgentStream):
            streamed += event.delta
        if isinstance(event, ToolCallResult):
            results.append(event.tool_output.content)
    result: AgentOutput = await run
    assert results == ["Sunny in Seoul"]
    assert streamed == result.response.content == after_tools(TASK, ("Sunny in Seoul",))
    assert provider.stats("b").requests == 1


async def test_a_run_without_an_answer_raises_our_error(provider: Provider, llm: Hotspare) -> None:
    """LlamaIndex does not wrap it, so the attempts can be read; the agent answers again after the outage."""
    agent = FunctionAgent(tools=[tool(weather)], llm=llm)
    provider.fault([*"abc"], "status", status=500)
    with pytest.raises(AllTargetsFailed) as failed:
        await agent.run(TASK)
    assert {attempt.target for attempt in failed.value.attempts} == {"a", "b", "c"}
    provider.clear()
    result: AgentOutput = await agent.run(TASK)
    assert result.response.content == after_tools(TASK, ("Sunny in Seoul",))


async def test_parallel_calls_of_an_agent(provider: Provider, llm: Hotspare, outage: Outage) -> None:
    """Both tools in one turn, and both results in the next turn's history, at another provider."""
    outage("a", after=1)
    agent = FunctionAgent(tools=[tool(weather), tool(write)], llm=llm)
    result: AgentOutput = await agent.run(TASK)
    assert result.response.content == after_tools(TASK, ("Sunny in Seoul", "Written: A weekend in Seoul"))
    assert (provider.stats("a").outcomes["ok"], provider.stats("b").requests) == (1, 1)


@pytest.mark.parametrize("after", [9, 1, 2, 3])
@pytest.mark.parametrize("down", ["a", "ab"])
async def test_agent_workflow_with_a_handoff(
    provider: Provider, llm: Hotspare, outage: Outage, down: str, after: int
) -> None:
    """Two agents with tools and a handoff; the outage begins in the turns of either."""
    for endpoint in down:
        outage(endpoint, after=after if endpoint == "a" else 0)
    researcher = FunctionAgent(
        name="Researcher", description="Finds facts.", tools=[tool(weather)], llm=llm, can_handoff_to=["Writer"],
        system_prompt="You find facts.", allow_parallel_tool_calls=False,
    )  # fmt: skip
    writer = FunctionAgent(
        name="Writer",
        description="Writes.",
        tools=[tool(write)],
        llm=llm,
        can_handoff_to=[],
        system_prompt="You write.",
    )
    workflow = AgentWorkflow(agents=[researcher, writer], root_agent="Researcher")
    result: AgentOutput = await workflow.run(user_msg=TASK)
    assert result.current_agent_name == "Writer"
    assert [call.tool_name for call in result.tool_calls] == ["weather", "handoff", "write"]
    content = result.response.content or ""
    assert content.startswith("The tool says: Sunny in Seoul ; ")
    assert "Written: A weekend in Seoul" in content
    assert provider.stats("a").outcomes.get("ok", 0) == min(after, 4)


async def test_a_workflow_from_functions_is_a_function_agent(llm: Hotspare, outage: Outage) -> None:
    """LlamaIndex chooses the kind of agent by our metadata."""
    outage("a", after=1)
    workflow = AgentWorkflow.from_tools_or_functions([weather], llm=llm)
    assert isinstance(next(iter(workflow.agents.values())), FunctionAgent)
    result: AgentOutput = await workflow.run(user_msg=TASK)
    assert result.response.content == after_tools(TASK, ("Sunny in Seoul",))


async def test_memory_continues_at_another_provider(provider: Provider, llm: Hotspare, outage: Outage) -> None:
    """A second run with the same memory sends the first run's calls and results to another target."""
    memory = Memory.from_defaults(session_id="spare")
    agent = FunctionAgent(tools=[tool(weather)], llm=llm)
    await agent.run(TASK, memory=memory)
    outage("a")
    outage("b")
    result: AgentOutput = await agent.run("And on Monday?", memory=memory)
    assert result.response.content == answer("And on Monday?")
    assert provider.stats("c").requests == 1


async def test_initial_tool_choice(provider: Provider, llm: Hotspare, outage: Outage) -> None:
    """The required first tool is called, after a failover too."""
    outage("a")
    agent = FunctionAgent(tools=[tool(weather), tool(write)], llm=llm, initial_tool_choice="write")
    result: AgentOutput = await agent.run(TASK)
    assert next(call.tool_name for call in result.tool_calls) == "write"


class Weekend(BaseModel):
    """A plan."""

    city: str
    days: int


async def test_output_cls(llm: Hotspare, outage: Outage) -> None:
    """The agent's answer as an object, from a call of its own, after the outage began."""
    outage("a", after=2)
    agent = FunctionAgent(tools=[tool(weather)], llm=llm, output_cls=Weekend)
    result: AgentOutput = await agent.run(TASK)
    assert isinstance(result.get_pydantic_model(Weekend), Weekend)


@pytest.mark.parametrize("streaming", [True, False])
async def test_react_agent(pool: Pool, outage: Outage, streaming: bool) -> None:
    """Agents that work with text use the plain chat methods."""
    outage("a")
    llm = Hotspare(pool=pool, is_function_calling_model=False)
    agent = ReActAgent(tools=[tool(weather)], llm=llm, streaming=streaming)
    result: AgentOutput = await agent.run("Is it sunny?")
    assert result.response.content


class FixedQuestions(BaseQuestionGenerator):
    """Two fixed questions: the embedded provider answers in prose, which cannot be parsed as questions."""

    def generate(self, tools: Any, query: Any) -> list[SubQuestion]:
        """The questions."""
        return [SubQuestion(sub_question=f"What of part {number}?", tool_name="parts") for number in (1, 2)]

    async def agenerate(self, tools: Any, query: Any) -> list[SubQuestion]:
        """The questions."""
        return self.generate(tools, query)

    def _get_prompts(self) -> dict[str, Any]:
        return {}

    def _update_prompts(self, prompts: dict[str, Any]) -> None:
        return None


async def test_sub_question_engine(provider: Provider, llm: Hotspare, outage: Outage) -> None:
    """Two sub-questions, each to an engine of its own, and a synthesis; the outage begins in between."""
    index = VectorStoreIndex.from_documents(
        [Document(text="Spares take over.")], embed_model=MockEmbedding(embed_dim=8)
    )
    engine = SubQuestionQueryEngine.from_defaults(
        query_engine_tools=[
            QueryEngineTool.from_defaults(index.as_query_engine(llm=llm), name="parts", description="parts")
        ],
        question_gen=FixedQuestions(),
        llm=llm,
    )
    outage("a", after=1)
    response = await engine.aquery("What of all parts?")
    last = provider.recorded_requests("b")[-1]["body"]["messages"][-1]["content"]
    prompt = last if isinstance(last, str) else last[0]["text"]
    assert "Sub question: What of part 1?" in prompt
    assert str(response) == answer(prompt)
