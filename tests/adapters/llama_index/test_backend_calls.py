"""LlamaIndex LLMs as targets of a pool: tools, structured prediction, histories, events and mixtures of each integration.

OpenAI's runs everywhere. The integrations of Anthropic, Google and LiteLLM pin SDK versions that conflict with LangChain's:
they run in an environment of their own (`make natives`), where all four must be installed.
"""

import asyncio
import itertools
from typing import Any

import pytest
from hotspare import Pool, Target, Timeouts
from hotspare.drill.provider import KEY, Provider, after_tools, answer
from llama_index.core.base.llms.types import (
    ChatMessage,
)
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.llms import CompletionResponse, CustomLLM, LLMMetadata
from llama_index.core.prompts import PromptTemplate
from llama_index.llms.hotspare import Hotspare, target_of
from pydantic import BaseModel

from tests.adapters.llama_index.integrations import KEPT, KINDS, MESSAGES, QUESTION, Outage, make_llm, over
from tests.support.llama_index import ADD, WEATHER, EventRecorder, calls_of, provider_sees


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Each integration in turn."""
    return str(request.param)


@pytest.fixture
def llm(provider: Provider, kind: str) -> Hotspare:
    """Two targets of one kind, `a` and `b`."""
    return over(make_llm(provider, kind, "a"), make_llm(provider, kind, "b"))


# --- tools and structured prediction -------------------------------------------------------------------------------


class City(BaseModel):
    """A city."""

    name: str
    population: int


@pytest.mark.parametrize("down", ["", "a"])
def test_tools(provider: Provider, llm: Hotspare, outage: Outage, down: str) -> None:
    """Parallel calls, a single call, a tool by name, no tool; whole and streamed."""
    for endpoint in down:
        outage(endpoint)
    both = llm.chat_with_tools([ADD, WEATHER], "call add and call weather", allow_parallel_tool_calls=True)
    assert [call.tool_name for call in calls_of(both)] == ["add", "weather"]
    assert all(isinstance(call.tool_kwargs, dict) and call.tool_kwargs for call in calls_of(both))
    streamed = list(
        llm.stream_chat_with_tools([ADD, WEATHER], "call add and call weather", allow_parallel_tool_calls=True)
    )
    assert [(c.tool_name, c.tool_kwargs) for c in calls_of(streamed[-1])] == [
        (c.tool_name, c.tool_kwargs) for c in calls_of(both)
    ]
    assert len(calls_of(llm.chat_with_tools([ADD], "call add twice"))) == 1
    named = llm.chat_with_tools([ADD, WEATHER], "hello", tool_choice="weather")
    assert [call.tool_name for call in calls_of(named)] == ["weather"]
    required = llm.chat_with_tools([ADD], "hello", tool_required=True, tool_choice=None)
    assert [call.tool_name for call in calls_of(required)] == ["add"]
    assert not calls_of(llm.chat_with_tools([ADD], "call add", tool_choice="none"))


@pytest.mark.anyio
async def test_structured_prediction(llm: Hotspare, outage: Outage) -> None:
    """All four methods return the same complete object through tool calls."""
    outage("a", after=2)
    whole = llm.structured_predict(City, PromptTemplate("About {x}"), x="Seoul")
    others = [
        await llm.astructured_predict(City, PromptTemplate("About {x}"), x="Seoul"),
        list(llm.stream_structured_predict(City, PromptTemplate("About {x}"), x="Seoul"))[-1],
        [o async for o in await llm.astream_structured_predict(City, PromptTemplate("About {x}"), x="Seoul")][-1],
    ]
    assert whole.population
    assert others == [whole] * 3


@pytest.mark.parametrize(("first", "second"), [*itertools.permutations(KINDS, 2), ("openai", "openai")])
@pytest.mark.parametrize("streamed", [False, True])
def test_histories_between_all_pairs(provider: Provider, first: str, second: str, streamed: bool) -> None:
    """A tool call made by one integration is continued by every other one: ids, shapes and roles fit its provider."""
    question = ChatMessage(role="user", content="call add and call weather")
    caller, other = over(make_llm(provider, first, "a")), over(make_llm(provider, second, "b"))
    offer: dict[str, Any] = {"tools": [ADD, WEATHER], "chat_history": [question], "allow_parallel_tool_calls": True}
    called = list(caller.stream_chat_with_tools(**offer))[-1] if streamed else caller.chat_with_tools(**offer)
    results = [
        ChatMessage(role="tool", content=text, additional_kwargs={"tool_call_id": call.tool_id})
        for call, text in zip(caller.get_tool_calls_from_response(called), ("42", "Sunny"), strict=True)
    ]
    history = [ChatMessage(role="system", content="Be brief."), question, called.message, *results]
    before = [message.model_copy(deep=True) for message in history]
    reply = other.chat_with_tools([ADD, WEATHER], chat_history=history)
    assert reply.message.content == after_tools("call add and call weather", ("42", "Sunny"))
    assert history == before


def test_an_attempt_does_not_change_the_messages(llm: Hotspare, outage: Outage) -> None:
    """Some integrations merge neighbours of one role in the objects that they are given: they get copies."""
    outage("a")
    messages = [ChatMessage(role="user", content="One."), ChatMessage(role="user", content="Two.")]
    before = [message.model_copy(deep=True) for message in messages]
    assert llm.chat(messages).message.content == llm.chat(messages).message.content
    assert messages == before


# --- events, loops, mixtures ---------------------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize("down", ["", "a"])
async def test_llms_fire_no_events_of_their_own(llm: Hotspare, outage: Outage, down: str) -> None:
    """One start and one end per call, with and without a failover."""
    for endpoint in down:
        outage(endpoint)
    seen, root = EventRecorder(events=[]), get_dispatcher()
    root.add_event_handler(seen)
    try:
        llm.chat(MESSAGES)
        await llm.achat(MESSAGES)
        list(llm.stream_chat(MESSAGES))
        _ = [r async for r in await llm.astream_chat(MESSAGES)]
    finally:
        root.event_handlers.remove(seen)
    assert (seen.count()["LLMChatStartEvent"], seen.count()["LLMChatEndEvent"]) == (4, 4)


def test_two_event_loops_and_a_sync_call_inside_one(llm: Hotspare) -> None:
    """As in scripts and notebooks: a closed or running loop costs neither an answer nor a target's health."""

    async def ask() -> list[str]:
        texts = [(await llm.acomplete(QUESTION)).text, llm.complete(QUESTION).text]
        texts.append([r async for r in await llm.astream_complete(QUESTION)][-1].text)
        return [*texts, list(llm.stream_complete(QUESTION))[-1].text]

    for _ in range(2):
        assert asyncio.run(ask()) == [answer(QUESTION)] * 4
    assert llm.pool.health()["a"].failures == 0


@pytest.mark.anyio
@pytest.mark.parametrize("mode", ["sync", "async"])
async def test_closing_a_stream_early_closes_its_connection(provider: Provider, llm: Hotspare, mode: str) -> None:
    """LlamaIndex's LLMs have no `close`: the streams inside are closed, and the target's health is unchanged."""
    provider.fault("a", "latency", gap=0.02)
    question = [ChatMessage(role="user", content="tokens=2000")]
    if mode == "sync":
        responses = llm.stream_chat(question)
        next(responses)
        responses.close()
    else:
        coming = await llm.astream_chat(question)
        async for _ in coming:
            break
        await coming.aclose()
        del coming
    await provider_sees(provider, "client_disconnects")
    assert llm.pool.health()["a"].failures == 0


@pytest.mark.anyio
async def test_a_cancelled_call_is_neutral(provider: Provider, llm: Hotspare) -> None:
    """CancelledError is raised, the connection closes, no other target is called, and no health changes."""
    provider.fault("a", "blackhole")
    task = asyncio.create_task(llm.achat(MESSAGES))
    await provider_sees(provider, "requests")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await provider_sees(provider, "client_disconnects")
    assert provider.stats("b").requests == 0
    assert (llm.pool.health().in_flight, llm.pool.health()["a"].failures) == (0, 0)


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_llms_race(provider: Provider, kind: str, mode: str) -> None:
    """With `on_slow="race"` a slow target continues while the next one is called beside it."""
    targets = [target_of(make_llm(provider, kind, name), name, region=name) for name in "ab"]
    provider.fault("a", "delay", seconds=30)
    pool = Pool(targets, on_slow="race", timeouts=Timeouts(completion=0.3, first_token=0.3))
    KEPT.append(Hotspare(pool=pool))
    llm = KEPT[-1]
    response = llm.complete(QUESTION) if mode == "sync" else asyncio.run(llm.acomplete(QUESTION))
    assert response.text == answer(QUESTION)
    assert response.additional_kwargs["hotspare"]["target"] == "b"
    assert pool.health().in_flight == 0


def test_both_kinds_of_targets_in_one_pool(provider: Provider, outage: Outage, kind: str) -> None:
    """`target_of` puts an LLM beside hotspare's own targets; the pool also answers without LlamaIndex."""
    target = Target("openai/gpt-4.1", name="hotspare", base_url=provider.base_url("b"), api_key=KEY)
    with Pool([target_of(make_llm(provider, kind, "a"), name="llama_index"), target]) as pool:
        assert pool.chat(QUESTION).target == "llama_index"
        assert Hotspare(pool=pool).complete(QUESTION).text == answer(QUESTION)
        outage("a")
        reply = pool.chat(QUESTION)
        assert (reply.target, reply.text) == ("hotspare", answer(QUESTION))


def test_an_llms_own_system_prompt_gives_a_warning(provider: Provider, kind: str) -> None:
    """It is not used behind Hotspare."""
    with pytest.warns(UserWarning, match="system_prompt is not used behind Hotspare"):
        Hotspare(llms=[make_llm(provider, kind, "a", system_prompt="Be brief.")])


def test_names_regions_and_accounts(provider: Provider) -> None:
    """Targets are named after their models, and share a failure domain only if their host or key is the same."""
    one, two = make_llm(provider, "openai", "a", api_key="test-1"), make_llm(provider, "openai", "b", api_key="test-2")
    llm = Hotspare(llms=[one, two])
    assert [target.name for target in llm.pool.targets] == ["openai/gpt-4.1", "openai/gpt-4.1#2"]
    assert [target.region for target in llm.pool.targets] == [provider.url(name)[len("http://") :] for name in "ab"]
    provider.fault("a", "status", status=401)
    assert llm.complete(QUESTION).text == answer(QUESTION)
    assert "test-1" not in repr(llm.pool.targets) + repr(llm)


class Parrot(CustomLLM):
    """A user's own LLM, which belongs to no known family."""

    @property
    def metadata(self) -> Any:
        """A small context window."""
        return LLMMetadata(context_window=2000, num_output=100, model_name="parrot")

    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        """Repeat the prompt."""
        return CompletionResponse(text=f"You said {prompt}")

    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        """Repeat the prompt, word by word."""
        text = ""
        for word in f"You said {prompt}".split(" "):
            text += word
            yield CompletionResponse(text=text, delta=word)


def test_any_llm_can_be_a_target(provider: Provider, outage: Outage) -> None:
    """A custom LLM answers when the primary is down, and its small window is the pool's."""
    outage("a")
    llm = Hotspare(llms=[make_llm(provider, "openai", "a"), Parrot()])
    assert llm.metadata.context_window == 2000
    assert llm.metadata.num_output == 100
    assert not llm.metadata.is_function_calling_model
    assert "You said" in llm.complete("hello").text
    assert "hello" in (list(llm.stream_complete("hello"))[-1].text)
