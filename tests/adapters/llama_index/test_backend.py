"""LlamaIndex LLMs as targets of a pool: retries, errors, streams, tools, histories and events of each integration.

OpenAI's runs everywhere. The integrations of Anthropic, Google and LiteLLM pin SDK versions that conflict with LangChain's:
they run in an environment of their own (`make natives`), where all four must be installed.
"""

import asyncio
import importlib.util
import itertools
import os
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hotspare import AllTargetsFailed, Pool, StreamInterrupted, Target, Timeouts
from hotspare.drill.provider import KEY, Provider, after_tools, answer, with_images
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ImageBlock,
    TextBlock,
    ThinkingBlock,
)
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.llms import CompletionResponse, CustomLLM, LLMMetadata
from llama_index.core.llms.llm import LLM
from llama_index.core.prompts import PromptTemplate
from llama_index.llms.hotspare import Hotspare, target_of
from llama_index.llms.openai import OpenAI
from pydantic import BaseModel

from tests.support.llama_index import ADD, PNG, WEATHER, EventRecorder, calls_of, provider_sees

ALL = ("openai", "anthropic", "google_genai", "litellm")
KINDS = tuple(kind for kind in ALL if importlib.util.find_spec(f"llama_index.llms.{kind}"))
QUESTION = "What is a hot spare?"
MESSAGES = [ChatMessage(role="user", content=QUESTION)]
Outage = Callable[..., None]
_KEPT: list[Hotspare] = []


def make_llm(provider: Provider, kind: str, endpoint: str, **fields: Any) -> LLM:
    """LlamaIndex's LLM of this kind at an endpoint."""
    if kind == "openai":
        return OpenAI(**{"model": "gpt-4.1", "api_base": provider.base_url(endpoint), "api_key": KEY, **fields})
    module = importlib.import_module(f"llama_index.llms.{kind}")
    if kind == "anthropic":
        url = provider.base_url(endpoint, "anthropic")
        made = module.Anthropic(**{"model": "claude-sonnet-4-20250514", "base_url": url, "api_key": KEY, **fields})
    elif kind == "google_genai":
        bounds = {"max_tokens": 1000, "context_window": 100_000}
        http = {"base_url": provider.base_url(endpoint, "gemini")}
        made = module.GoogleGenAI(
            **{"model": "gemini-2.5-flash", "api_key": KEY, "http_options": http, **bounds, **fields}
        )
    else:
        url = provider.base_url(endpoint)
        made = module.LiteLLM(**{"model": "openai/gpt-4.1", "api_base": url, "api_key": KEY, **fields})
    assert isinstance(made, LLM)
    return made


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Each integration in turn."""
    return str(request.param)


@pytest.fixture
def llm(provider: Provider, kind: str) -> Hotspare:
    """Two targets of one kind, `a` and `b`."""
    return over(make_llm(provider, kind, "a"), make_llm(provider, kind, "b"))


def over(*llms: LLM) -> Hotspare:
    """A Hotspare over these LLMs, kept alive: a client closes itself when it is collected, in whichever loop runs
    then."""
    targets = [target_of(llm, name=name, region=name) for llm, name in zip(llms, "ab", strict=False)]
    _KEPT.append(Hotspare(pool=Pool(targets, deadline=20, when_all_down="fail")))
    return _KEPT[-1]


@pytest.mark.skipif("HOTSPARE_NATIVES" not in os.environ, reason="only where `make natives` installs them")
def test_all_integrations_are_installed() -> None:
    """The environment for these tests has every integration, so that none is skipped unnoticed."""
    assert KINDS == ALL


# --- answers -------------------------------------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize("down", ["", "a"])
async def test_answers_of_every_method(llm: Hotspare, kind: str, outage: Outage, down: str) -> None:
    """The exact text, cumulative in streams, with the provider's own token counts, in all four methods."""
    for endpoint in down:
        outage(endpoint)
    last = [
        llm.chat(MESSAGES),
        await llm.achat(MESSAGES),
        _grown(list(llm.stream_chat(MESSAGES))),
        _grown([r async for r in await llm.astream_chat(MESSAGES)]),
    ]
    assert [response.message.content for response in last] == [answer(QUESTION)] * 4
    streamed = 0 if kind == "litellm" else 60  # LlamaIndex's class cannot read LiteLLM's usage in streams
    assert [response.raw["usage"]["completion_tokens"] for response in last] == [60, 60, streamed, streamed]
    assert {response.additional_kwargs["hotspare"]["target"] for response in last} == {"b" if down else "a"}


def _grown(responses: list[ChatResponse]) -> ChatResponse:
    so_far = ""
    for response in responses:
        so_far += response.delta or ""
        assert (response.message.content or "") == so_far
    return responses[-1]


def test_one_request_per_attempt(provider: Provider, llm: Hotspare, kind: str) -> None:
    """The SDK's retries and LlamaIndex's are off, so requests equal attempts; the original LLM is unchanged."""
    provider.fault("a", "status", status=500)
    provider.fault("b", "rate_limited", retry_after=30)
    tried: Counter[str] = Counter()
    for ask in (lambda: llm.chat(MESSAGES), lambda: list(llm.stream_chat(MESSAGES))):
        with pytest.raises(AllTargetsFailed) as failed:
            ask()
        tried.update(attempt.target for attempt in failed.value.attempts)
    assert {name: provider.stats(name).requests for name in "ab"} == tried
    fresh = make_llm(provider, kind, "c")
    before = fresh.model_dump()
    target_of(fresh)
    assert fresh.model_dump() == before


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        ({"kind": "status", "status": 401}, "auth"),
        ({"kind": "rate_limited", "retry_after": 60}, "rate_limited"),
        ({"kind": "status", "status": 503}, "server"),
        ({"kind": "reset"}, "transport"),
        ({"kind": "quota", "limit": "balance"}, "quota"),
    ],
)
def test_errors_are_classified(provider: Provider, kind: str, fault: dict[str, Any], outcome: str) -> None:
    """An SDK's exception gets the kind that hotspare's own target would get."""
    if kind == "google_genai" and outcome == "quota":
        pytest.skip("Gemini has no such response")
    provider.fault("a", **fault)
    with pytest.raises(AllTargetsFailed) as failed:
        over(make_llm(provider, kind, "a")).chat(MESSAGES)
    assert str(failed.value.attempts[0].kind) == outcome


@pytest.mark.anyio
@pytest.mark.parametrize("fault", ["cut", "eof", "error_event"])
async def test_a_stream_that_breaks_is_continued(
    provider: Provider, llm: Hotspare, kind: str, outage: Outage, fault: str
) -> None:
    """After a reset, an end without a finish reason and an error event, nothing is repeated and nothing is lost."""
    if kind == "litellm" and fault == "eof":
        pytest.skip("LiteLLM invents a finish reason for a stream that just ends")
    outage("a", kind=fault, at=20, streaming=True)
    assert _grown(list(llm.stream_chat(MESSAGES))).message.content == answer(QUESTION)
    last = _grown([r async for r in await llm.astream_chat(MESSAGES)])
    assert last.message.content == answer(QUESTION)
    assert last.additional_kwargs["hotspare"]["targets"] == ["a", "b"]


def test_keepalive_comments_do_not_extend_the_timeout(provider: Provider, kind: str) -> None:
    """SDKs drop keep-alives, which reset their read timeouts; the attempt's own timeout ends it."""
    provider.fault("a", "keepalives", gap=0.05, streaming=True)
    llm = over(make_llm(provider, kind, "a"), make_llm(provider, kind, "b"))
    last = list(llm.stream_chat(MESSAGES, deadline=3))[-1]
    assert last.message.content == answer(QUESTION)
    first = last.additional_kwargs["hotspare"]["attempts"][0]
    assert (first["target"], first["kind"]) in {("a", "timeout"), ("a", "server")}  # google-genai raises at the comment


def test_a_connection_without_an_answer_times_out(provider: Provider, kind: str) -> None:
    """It costs its share of the deadline, not the SDK's ten minutes."""
    provider.fault("a", "blackhole")
    llm = over(make_llm(provider, kind, "a"), make_llm(provider, kind, "b"))
    metadata = llm.chat(MESSAGES, deadline=2.5).additional_kwargs["hotspare"]
    assert [(a["target"], a["kind"]) for a in metadata["attempts"]] == [("a", "timeout"), ("b", "ok")]


def test_a_silent_stream_ends_with_the_total_deadline(provider: Provider, kind: str) -> None:
    """In sync code the pool's total deadline ends a stream whose provider sends nothing more, long before a stall would."""
    provider.fault("a", "stall", at=5)
    with Pool([target_of(make_llm(provider, kind, "a"), "a")], total_deadline=0.5, on_break="raise") as pool:
        before = time.monotonic()
        with pytest.raises(StreamInterrupted) as broken:
            list(pool.stream(QUESTION))
        assert time.monotonic() - before < Timeouts().stall / 2
    assert broken.value.text
    assert answer(QUESTION).startswith(broken.value.text)


def test_a_token_limit_is_not_a_failure(provider: Provider, kind: str) -> None:
    """The finish reason is `length`. Google's class raises instead, which is neutral for the target's health."""
    llm = over(make_llm(provider, kind, "a", **({"max_tokens": 7} if kind != "google_genai" else {})))
    if kind == "google_genai":
        with pytest.raises(AllTargetsFailed, match="MAX_TOKENS"):
            llm.chat(MESSAGES, max_tokens=7)
    else:
        reply = llm.chat(MESSAGES)
        assert (reply.raw["finish_reason"], reply.raw["usage"]["completion_tokens"]) == ("length", 7)
        assert llm.chat(MESSAGES, max_tokens=5).raw["usage"]["completion_tokens"] == 5, "the request's own bound wins"
        assert list(llm.stream_chat(MESSAGES))[-1].raw["finish_reason"] == "length"
    assert llm.pool.health()["a"].failures == 0


def test_a_broken_tool_call_is_not_continued(provider: Provider, llm: Hotspare) -> None:
    """StreamInterrupted is raised once a part of a call was handed out."""
    provider.fault("a", "cut", at=1)
    with pytest.raises(StreamInterrupted):
        list(llm.stream_chat_with_tools([ADD], "call add"))


def test_settings_reach_the_provider(provider: Provider, kind: str) -> None:
    """Under each integration's own names; the extra fields of one dialect too."""
    llm = over(make_llm(provider, kind, "a"))
    dialect = {"google_genai": "gemini", "litellm": "openai"}.get(kind, kind)
    key = {"google_genai": "candidate_count", "anthropic": "metadata"}.get(kind, "logit_bias")
    value: Any = {"metadata": {"user_id": "u"}, "candidate_count": 1, "logit_bias": {"1": 1}}[key]
    llm.chat(MESSAGES, temperature=0, max_tokens=90, top_p=0.9, stop=["zzz"], extra={dialect: {key: value}})
    body = provider.recorded_requests("a")[0]["body"]
    if kind == "google_genai":
        config = body["generationConfig"]
        assert (config["temperature"], config["maxOutputTokens"], config["stopSequences"]) == (0, 90, ["zzz"])
        assert config["candidateCount"] == 1
    else:
        stop = "stop_sequences" if kind == "anthropic" else "stop"
        assert (body["temperature"], body["max_tokens"], body["top_p"], body[stop]) == (0, 90, 0.9, ["zzz"])
        assert body[key] == value


def test_an_unsupported_field_goes_to_another_target(provider: Provider, kind: str) -> None:
    """A target whose LLM has no argument for a field is not called."""
    llm = over(make_llm(provider, kind, "a"), make_llm(provider, "openai", "b"))
    metadata = llm.chat(MESSAGES, seed=7, user="u").additional_kwargs["hotspare"]
    assert metadata["target"] == ("a" if kind in ("openai", "litellm") else "b")
    assert len(metadata["attempts"]) == 1


def test_images(provider: Provider, kind: str) -> None:
    """Bytes reach the provider through each integration."""
    llm = over(make_llm(provider, kind, "a"))
    message = ChatMessage(role="user", blocks=[TextBlock(text="What is this?"), ImageBlock(image=PNG)])
    assert llm.chat([message]).message.content == with_images("What is this?", (len(PNG),))


class Compatible(OpenAI):
    """A model of an OpenAI-compatible provider, subclassed as LlamaIndex's users do; this one shows its reasoning."""

    @property
    def metadata(self) -> LLMMetadata:
        """For a model name that OpenAI's class does not know."""
        return LLMMetadata(is_chat_model=True, is_function_calling_model=True, model_name=self.model)


def test_reasoning(provider: Provider, kind: str) -> None:
    """Streamed as `thinking_delta`, kept in a block, and signed where the provider signs it."""
    if kind in ("google_genai", "litellm"):
        pytest.skip("LlamaIndex's class takes no argument that enables reasoning")
    thinking = {"thinking": {"type": "enabled", "budget_tokens": 1024}}
    options: dict[str, Any] = {"reasoning_effort": "low"} if kind == "openai" else {"extra": {"anthropic": thinking}}
    if kind == "openai":
        reasoner: LLM = Compatible(model="deepseek-reasoner", api_base=provider.base_url("a"), api_key=KEY)
    else:
        reasoner = make_llm(provider, kind, "a", temperature=1, max_tokens=4000)
    llm = over(reasoner)
    pieces = list(llm.stream_chat(MESSAGES, **options))
    reasoning = "".join(piece.additional_kwargs.get("thinking_delta", "") for piece in pieces)
    (block,) = [b for b in pieces[-1].message.blocks if isinstance(b, ThinkingBlock)]
    assert block.content == reasoning != ""
    assert pieces[-1].message.content == answer(QUESTION)
    assert bool(block.additional_information.get("signature")) == (kind == "anthropic")
    whole = llm.chat(MESSAGES, **options).message
    assert [type(b) for b in whole.blocks] == [ThinkingBlock, TextBlock]
    llm.chat([*MESSAGES, whole, ChatMessage(role="user", content="And?")], **options)
    sent = provider.recorded_requests("a")[-1]["body"]["messages"][1]["content"]
    returned = [part["thinking"] for part in sent if isinstance(part, dict) and "thinking" in part]
    assert returned == ([reasoning] if kind == "anthropic" else [])


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
    _KEPT.append(Hotspare(pool=pool))
    llm = _KEPT[-1]
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
