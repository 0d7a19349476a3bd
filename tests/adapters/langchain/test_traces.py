"""What callbacks and tracers see of a call that failed over: one run, no error, and who answered."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from hotspare import Pool
from hotspare.drill.provider import Provider, answer
from langchain_core.callbacks import BaseCallbackHandler, UsageMetadataCallbackHandler
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.tracers.run_collector import RunCollectorCallbackHandler
from langchain_hotspare import ChatHotspare, TargetsUnavailable
from langchain_hotspare.members import targets_of
from langgraph.graph import START, MessagesState, StateGraph

from tests.adapters.langchain.pools import comes_true, native_models, wire_targets

pytestmark = pytest.mark.anyio


class Spy(BaseCallbackHandler):
    """Counts what a handler is told."""

    def __init__(self) -> None:
        self.starts: list[dict[str, Any]] = []
        self.ends = self.errors = 0
        self.tokens: list[str] = []
        self.custom: list[tuple[str, Any]] = []

    def on_chat_model_start(self, serialized: Any, messages: Any, **kwargs: Any) -> None:
        self.starts.append(kwargs)

    def on_llm_new_token(self, token: Any, **kwargs: Any) -> None:
        self.tokens.append(str(token))

    def on_llm_end(self, response: Any, **kwargs: Any) -> None:
        self.ends += 1

    def on_llm_error(self, error: BaseException, **kwargs: Any) -> None:
        self.errors += 1

    def on_custom_event(self, name: str, data: Any, **kwargs: Any) -> None:
        self.custom.append((name, data))


@pytest.fixture(params=["wire", "native"])
def llm(request: pytest.FixtureRequest, provider: Provider) -> Iterator[ChatHotspare]:
    """A model with a new pool whose first two targets are dead."""
    targets = wire_targets(provider) if request.param == "wire" else targets_of(native_models(provider))
    provider.fault(["a", "b"], "status", status=503)
    with Pool(targets, retry_same_target="never") as pool:
        yield ChatHotspare(pool=pool)


@pytest.mark.parametrize("face", ["invoke", "ainvoke", "stream", "astream", "stream=True"])
async def test_a_failover_is_one_run_without_error(llm: ChatHotspare, face: str) -> None:
    """Started once, ended once, tokens once; tags and metadata stay the caller's."""
    spy, usage = Spy(), UsageMetadataCallbackHandler()
    config: Any = {"callbacks": [spy, usage], "tags": ["mine"], "metadata": {"user": 7}}
    if face == "invoke":
        told = llm.invoke("hello", config)
    elif face == "stream=True":
        told = llm.invoke("hello", config, stream=True)
    elif face == "ainvoke":
        told = await llm.ainvoke("hello", config)
    else:
        found = (
            list(llm.stream("hello", config)) if face == "stream" else [c async for c in llm.astream("hello", config)]
        )
        told = sum(found[1:], found[0])  # type: ignore[assignment]
    assert told.text == answer("hello")
    assert (len(spy.starts), spy.ends, spy.errors) == (1, 1, 0)
    assert spy.starts[0]["tags"] == ["mine"]
    assert spy.starts[0]["metadata"]["user"] == 7
    if "stream" in face:
        assert "".join(spy.tokens) == answer("hello")
    model = told.response_metadata["model_name"]
    assert told.usage_metadata is not None
    assert usage.usage_metadata[model]["total_tokens"] == told.usage_metadata["total_tokens"]


@pytest.mark.parametrize("face", ["invoke", "ainvoke", "chain"])
async def test_each_failover_is_an_event_of_its_run(llm: ChatHotspare, face: str) -> None:
    """`on_custom_event` tells source, target and reason, for a bare model and inside a chain."""
    spy = Spy()
    config: Any = {"callbacks": [spy]}
    if face == "invoke":
        llm.invoke("hello", config)
    elif face == "ainvoke":
        await llm.ainvoke("hello", config)
    else:
        [chunk async for chunk in (RunnableLambda(lambda x: x) | llm).astream("hello", config)]
    names = [target.name for target in llm.pool.targets]
    assert [name for name, _ in spy.custom] == ["hotspare_failover"] * 2
    assert [(f["source"], f["target"]) for _, f in spy.custom] == [(names[0], names[1]), (names[1], names[2])]
    assert {(f["kind"], f["status"]) for _, f in spy.custom} == {("server", 503)}


async def test_a_trace_names_who_answered(llm: ChatHotspare) -> None:
    """`ls_provider` and `ls_model_name` are those of the answer, not of the first target; the run did not fail."""
    collector = RunCollectorCallbackHandler()
    llm.invoke("hello", {"callbacks": [collector]})
    (run,) = collector.traced_runs
    last = llm.pool.targets[-1]
    assert run.error is None
    assert run.extra is not None
    assert (run.extra["metadata"]["ls_provider"], run.extra["metadata"]["ls_model_name"]) == (last.provider, last.model)
    trail = run.outputs["generations"][0][0]["message"]["kwargs"]["response_metadata"]["hotspare"]  # type: ignore[index]
    assert trail["failovers"] == 2


def test_a_trace_begins_with_whom_would_be_asked_now(llm: ChatHotspare) -> None:
    """Before an outage is known the primary; then whoever lives. A call's own `model` is named as it is."""
    assert llm._get_ls_params()["ls_model_name"] == llm.pool.targets[0].model  # type: ignore[typeddict-item]
    for _ in range(12):
        llm.invoke("tokens=1")
    last = llm.pool.targets[-1]
    params = llm._get_ls_params(stop=["x"], temperature=0.5, max_tokens=3)
    assert params == {
        "ls_provider": last.provider, "ls_model_name": last.model, "ls_model_type": "chat",
        "ls_temperature": 0.5, "ls_max_tokens": 3, "ls_stop": ["x"],
    }  # fmt: skip


async def test_when_all_fail_the_run_fails_once(llm: ChatHotspare, provider: Provider) -> None:
    """One error; the failovers before it are told all the same."""
    provider.fault("c", "status", status=503)
    spy = Spy()
    once = ChatHotspare(pool=llm.pool, deadline=2, max_attempts=3)
    with pytest.raises(TargetsUnavailable):
        await once.ainvoke("hello", {"callbacks": [spy]})
    assert (len(spy.starts), spy.ends, spy.errors) == (1, 0, 1)
    assert len(spy.custom) == 2


async def test_inside_a_graph_nothing_is_counted_twice(llm: ChatHotspare) -> None:
    """LangGraph hands its callbacks down by context: members must not report to them on their own."""

    async def ask(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await llm.ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState).add_node("ask", ask).add_edge(START, "ask").compile()
    spy, usage = Spy(), UsageMetadataCallbackHandler()
    ask_for: Any = {"messages": [HumanMessage("hello")]}
    tokens = [
        message.text async for message, _ in graph.astream(ask_for, {"callbacks": [spy, usage]}, stream_mode="messages")
    ]
    assert "".join(tokens) == answer("hello")
    assert (len(spy.starts), spy.ends, spy.errors) == (1, 1, 0)
    assert len(usage.usage_metadata) == 1


@pytest.mark.parametrize("face", ["ainvoke", "astream"])
async def test_a_cancelled_call_leaves_its_connection(llm: ChatHotspare, face: str, provider: Provider) -> None:
    """The provider sees the client go, and no permit stays behind."""
    provider.clear()
    provider.fault("a", "blackhole")

    async def ask() -> None:
        if face == "ainvoke":
            await llm.ainvoke("hello")
        else:
            [chunk async for chunk in llm.astream("hello")]

    task = asyncio.create_task(ask())
    assert await comes_true(lambda: provider.stats("a").in_flight == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await comes_true(lambda: provider.stats("a").client_disconnects == 1)
    assert llm.pool.health().attempts == 0
