"""What callbacks and tracers get from a call that failed over: one run, no error, and the target that answered."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from hotspare import Pool
from hotspare.drill.provider import KEY, Provider, answer
from langchain_core.callbacks import BaseCallbackHandler, UsageMetadataCallbackHandler
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.tracers.run_collector import RunCollectorCallbackHandler
from langchain_hotspare import ChatHotspare, TargetsUnavailable
from langchain_hotspare.request import langchain_targets
from langchain_hotspare.targets import targets_of
from langgraph.graph import START, MessagesState, StateGraph

from tests.adapters.langchain.pools import comes_true, hotspare_targets, langchain_models

pytestmark = pytest.mark.anyio


class Spy(BaseCallbackHandler):
    """Records the events of a run."""

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


@pytest.fixture(params=["hotspare", "langchain"])
def llm(request: pytest.FixtureRequest, provider: Provider) -> Iterator[ChatHotspare]:
    """A model over a new pool whose first two targets are down."""
    targets = hotspare_targets(provider) if request.param == "hotspare" else targets_of(langchain_models(provider))
    provider.fault(["a", "b"], "status", status=503)
    with Pool(targets, retry_same_target="never") as pool:
        yield ChatHotspare(pool=pool)


@pytest.mark.parametrize("method", ["invoke", "ainvoke", "stream", "astream", "stream=True"])
async def test_a_failover_is_one_run_without_error(llm: ChatHotspare, method: str) -> None:
    """One start, one end, each token once; tags and metadata are the caller's."""
    spy, usage = Spy(), UsageMetadataCallbackHandler()
    config: Any = {"callbacks": [spy, usage], "tags": ["mine"], "metadata": {"user": 7}}
    if method == "invoke":
        reply = llm.invoke("hello", config)
    elif method == "stream=True":
        reply = llm.invoke("hello", config, stream=True)
    elif method == "ainvoke":
        reply = await llm.ainvoke("hello", config)
    else:
        found = (
            list(llm.stream("hello", config)) if method == "stream" else [c async for c in llm.astream("hello", config)]
        )
        reply = sum(found[1:], found[0])  # type: ignore[assignment]
    assert reply.text == answer("hello")
    assert (len(spy.starts), spy.ends, spy.errors) == (1, 1, 0)
    assert spy.starts[0]["tags"] == ["mine"]
    assert spy.starts[0]["metadata"]["user"] == 7
    if "stream" in method:
        assert "".join(spy.tokens) == answer("hello")
    model = reply.response_metadata["model_name"]
    assert reply.usage_metadata is not None
    assert usage.usage_metadata[model]["total_tokens"] == reply.usage_metadata["total_tokens"]


@pytest.mark.parametrize("method", ["invoke", "ainvoke", "chain"])
async def test_each_failover_is_a_custom_event(llm: ChatHotspare, method: str) -> None:
    """`on_custom_event` gets source, target and the failed attempt, for a bare model and inside a chain."""
    spy = Spy()
    config: Any = {"callbacks": [spy]}
    if method == "invoke":
        llm.invoke("hello", config)
    elif method == "ainvoke":
        await llm.ainvoke("hello", config)
    else:
        [chunk async for chunk in (RunnableLambda(lambda x: x) | llm).astream("hello", config)]
    names = [target.name for target in llm.pool.targets]
    assert [name for name, _ in spy.custom] == ["hotspare_failover"] * 2
    assert [(f["source"], f["target"]) for _, f in spy.custom] == [(names[0], names[1]), (names[1], names[2])]
    assert {(f["attempt"]["kind"], f["attempt"]["status"]) for _, f in spy.custom} == {("server", 503)}


async def test_a_trace_names_the_target_that_answered(llm: ChatHotspare) -> None:
    """`ls_provider` and `ls_model_name` are those of the answer, not of the first target; the run has no error."""
    collector = RunCollectorCallbackHandler()
    llm.invoke("hello", {"callbacks": [collector]})
    (run,) = collector.traced_runs
    last = llm.pool.targets[-1]
    assert run.error is None
    assert run.extra is not None
    assert (run.extra["metadata"]["ls_provider"], run.extra["metadata"]["ls_model_name"]) == (last.provider, last.model)
    metadata = run.outputs["generations"][0][0]["message"]["kwargs"]["response_metadata"]["hotspare"]  # type: ignore[index]
    assert metadata["failovers"] == 2


def test_a_trace_starts_with_the_target_called_first(llm: ChatHotspare) -> None:
    """The primary while its breaker is closed, afterwards the target that is available. A call's own `model` is
    kept."""
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
    """One error event; the failovers before it are still sent."""
    provider.fault("c", "status", status=503)
    spy = Spy()
    once = ChatHotspare(pool=llm.pool, deadline=2, max_attempts=3)
    with pytest.raises(TargetsUnavailable):
        await once.ainvoke("hello", {"callbacks": [spy]})
    assert (len(spy.starts), spy.ends, spy.errors) == (1, 0, 1)
    assert len(spy.custom) == 2


async def test_inside_a_graph_nothing_is_counted_twice(llm: ChatHotspare) -> None:
    """LangGraph passes its callbacks on in a context variable; the pool's LangChain models do not report to them."""

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


@pytest.mark.parametrize("method", ["ainvoke", "astream"])
async def test_a_cancelled_call_closes_its_connection(llm: ChatHotspare, method: str, provider: Provider) -> None:
    """The provider sees the client disconnect, and the permit is returned."""
    provider.clear()
    provider.fault("a", "blackhole")

    async def ask() -> None:
        if method == "ainvoke":
            await llm.ainvoke("hello")
        else:
            [chunk async for chunk in llm.astream("hello")]

    task = asyncio.create_task(ask())
    assert await comes_true(lambda: provider.stats("a").in_flight == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await comes_true(lambda: provider.stats("a").client_disconnects == 1)
    assert llm.pool.health().in_flight == 0


def test_what_is_kept_of_the_targets_follows_a_reload() -> None:
    """What identifies the model is made once for a pool's targets, and again when they are replaced."""
    names = {"targets": [{"id": "openai/m", "name": "a", "api_key": "test", "base_url": "http://127.0.0.1:9/v1"}]}
    with Pool.from_config(names) as pool:
        llm = ChatHotspare(pool=pool)
        before = llm._identifying_params["targets"]
        assert before is llm._identifying_params["targets"] and langchain_targets(pool) == 0
        pool.reload({"targets": [*names["targets"], names["targets"][0] | {"name": "b"}]})
        assert [one["target"] for one in llm._identifying_params["targets"]] == ["a", "b"]
    wrapped = ChatHotspare(models=[GenericFakeChatModel(messages=iter(["x"]))])
    assert langchain_targets(wrapped.pool) == 1 == langchain_targets(wrapped.pool)


@pytest.mark.parametrize("first", [False, True])
async def test_a_target_that_is_removed_while_it_answers(first: bool, provider: Provider) -> None:
    """Its answer is whole, in each method, also if it is the model's first one."""
    a, b = ({"id": "openai/m", "name": name, "api_key": KEY, "base_url": provider.base_url(name)} for name in "ab")
    with Pool.from_config({"targets": [a, b]}) as pool:
        llm = ChatHotspare(pool=pool)

        def removed(_: object) -> bool:
            pool.reload({"targets": [b]})
            return True

        for answered in (llm.invoke, llm.ainvoke):
            pool.reload({"targets": [a, b]})
            if not first:
                await llm.ainvoke("q")
            message: Any = answered("q", accept=removed)
            message = await message if asyncio.iscoroutine(message) else message
            assert message.text == answer("q")
            assert message.response_metadata["hotspare"]["target"] == "a"
            assert [target.name for target in pool.targets] == ["b"]
