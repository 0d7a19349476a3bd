"""LlamaIndex LLMs as targets of a pool: answers, retries, errors, streams and settings of each integration.

OpenAI's runs everywhere. The integrations of Anthropic, Google and LiteLLM pin SDK versions that conflict with LangChain's:
they run in an environment of their own (`make natives`), where all four must be installed.
"""

import os
import time
from collections import Counter
from typing import Any

import pytest
from hotspare import AllTargetsFailed, Pool, StreamInterrupted, Timeouts
from hotspare.drill.provider import KEY, Provider, answer, with_images
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ImageBlock,
    TextBlock,
    ThinkingBlock,
)
from llama_index.core.llms import LLMMetadata
from llama_index.core.llms.llm import LLM
from llama_index.llms.hotspare import Hotspare, target_of
from llama_index.llms.openai import OpenAI

from tests.adapters.llama_index.integrations import ALL, KINDS, MESSAGES, QUESTION, Outage, make_llm, over
from tests.support.llama_index import ADD, PNG


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Each integration in turn."""
    return str(request.param)


@pytest.fixture
def llm(provider: Provider, kind: str) -> Hotspare:
    """Two targets of one kind, `a` and `b`."""
    return over(make_llm(provider, kind, "a"), make_llm(provider, kind, "b"))


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
    streamed = None if kind == "litellm" else 60  # LlamaIndex's class cannot read LiteLLM's usage in streams
    assert [response.raw["usage"].get("completion_tokens") for response in last] == [60, 60, streamed, streamed]
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
    with Pool([target_of(make_llm(provider, kind, "a"), "a")], total_deadline=2, on_break="raise") as pool:
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
