"""The eight endpoints: right answers, cumulative content, deltas, usage and metadata, with and without failovers."""

import json
from collections.abc import Callable

import pytest
from hotspare import AllTargetsFailed, Pool, RequestError, StreamInterrupted
from hotspare.drill.provider import Provider, answer
from llama_index.core.base.llms.base import BaseLLM
from llama_index.core.llms import ChatMessage, ChatResponse
from llama_index.llms.hotspare import Hotspare

QUESTION = "What is a hot spare?"
MESSAGES = [ChatMessage(role="user", content=QUESTION)]
Outage = Callable[..., None]


def test_it_is_an_llm_of_llama_index() -> None:
    """LlamaIndex has no shared test suite for integrations; this is the assertion that all of them make."""
    assert BaseLLM in Hotspare.__mro__
    assert Hotspare.class_name() == "hotspare_llm"


@pytest.mark.anyio
@pytest.mark.parametrize("down", ["", "a", "ab"])
async def test_whole_answers_of_every_method(llm: Hotspare, outage: Outage, down: str) -> None:
    """Chat and complete, sync and async, return the exact text and name the target, whichever targets are down."""
    for endpoint in down:
        outage(endpoint)
    target = "abc"[len(down)]
    chats = [llm.chat(MESSAGES), await llm.achat(MESSAGES)]
    for response in chats:
        assert response.message.content == answer(QUESTION)
        assert response.message.role == "assistant"
        assert response.additional_kwargs["hotspare"]["target"] == target
    for completion in [llm.complete(QUESTION), await llm.acomplete(QUESTION)]:
        assert completion.text == answer(QUESTION)
        assert completion.additional_kwargs["hotspare"]["target"] == target


@pytest.mark.anyio
@pytest.mark.parametrize("down", ["", "a", "ab"])
async def test_streams_of_every_method(llm: Hotspare, outage: Outage, down: str) -> None:
    """Content only grows, deltas add up to it, and the last response has usage and metadata."""
    for endpoint in down:
        outage(endpoint)
    chats = [list(llm.stream_chat(MESSAGES)), [r async for r in await llm.astream_chat(MESSAGES)]]
    for responses in chats:
        _check_stream([(r.message.content or "", r.delta) for r in responses])
        last = responses[-1]
        assert last.delta == ""
        assert last.raw["usage"]["completion_tokens"] == last.additional_kwargs["completion_tokens"] == 60
        assert last.additional_kwargs["hotspare"]["target"] == "abc"[len(down)]
    completions = [list(llm.stream_complete(QUESTION)), [r async for r in await llm.astream_complete(QUESTION)]]
    for pieces in completions:
        _check_stream([(r.text, r.delta) for r in pieces])
        assert pieces[-1].additional_kwargs["hotspare"]["target"] == "abc"[len(down)]


def _check_stream(shown: list[tuple[str, str | None]]) -> None:
    so_far = ""
    for content, delta in shown:
        assert delta is not None
        so_far += delta
        assert content == so_far
    assert so_far == answer(QUESTION)
    assert len(shown) > 10


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["cut", "eof", "error_event"])
async def test_a_broken_stream_is_continued_exactly(llm: Hotspare, outage: Outage, kind: str) -> None:
    """Nothing is repeated and nothing is lost; the metadata has both targets and the splice point."""
    outage("a", kind=kind, at=20)
    for responses in (list(llm.stream_chat(MESSAGES)), [r async for r in await llm.astream_chat(MESSAGES)]):
        _check_stream([(r.message.content or "", r.delta) for r in responses])
        metadata = responses[-1].additional_kwargs["hotspare"]
        assert metadata["targets"] == ["a", "b"]
        assert len(metadata["splice_points"]) == 1


def test_a_break_that_cannot_be_continued_raises(provider: Provider, llm: Hotspare) -> None:
    """StreamInterrupted has the text so far, through LlamaIndex's decorators too."""
    provider.fault("a", "cut", at=20)
    provider.fault([*"bc"], "status", status=503)
    shown = ""
    with pytest.raises(StreamInterrupted) as broken:
        for response in llm.stream_chat(MESSAGES):
            shown += response.delta or ""
    assert shown
    assert broken.value.text == shown


def test_a_failed_call_lists_every_attempt(provider: Provider, pool: Pool) -> None:
    """AllTargetsFailed is raised unchanged."""
    provider.fault([*"abc"], "status", status=503)
    with pytest.raises(AllTargetsFailed) as failed:
        Hotspare(pool=pool).chat(MESSAGES)
    assert {attempt.target for attempt in failed.value.attempts} == {"a", "b", "c"}


def test_the_metadata_lists_the_attempts(llm: Hotspare, outage: Outage) -> None:
    """`ChatReply.as_metadata()`: target, attempts, failovers and cost, as JSON values."""
    outage("a")
    outage("b", status=500)
    metadata = llm.chat(MESSAGES).additional_kwargs["hotspare"]
    assert metadata["failovers"] == 2
    assert metadata["cost"] is None
    assert [(a["target"], a["kind"]) for a in metadata["attempts"]][-1] == ("c", "ok")
    assert {a["status"] for a in metadata["attempts"] if a["target"] == "b"} == {500}
    assert [a["number"] for a in metadata["attempts"]] == list(range(1, len(metadata["attempts"]) + 1))
    assert metadata["attempts"][0]["reason"] == "first"


def test_responses_are_plain_data(llm: Hotspare) -> None:
    """They hold no SDK object, so they can be stored, logged and sent."""
    last = list(llm.stream_chat(MESSAGES))[-1]
    for response in (llm.chat(MESSAGES), last, llm.complete(QUESTION)):
        assert json.loads(response.model_dump_json()) == json.loads(json.dumps(response.model_dump()))


def test_fields_and_kwargs_reach_the_provider(provider: Provider, pool: Pool) -> None:
    """The LLM's fields are sent unless the call overrides them; `model` selects a target, alias or route."""
    llm = Hotspare(pool=pool, temperature=0.5, max_tokens=50, additional_kwargs={"seed": 7})
    assert llm.chat(MESSAGES).raw["usage"]["completion_tokens"] == 50
    llm.complete(QUESTION, temperature=0, stop=["."], model="a")
    first, second = (request["body"] for request in provider.recorded_requests("a"))
    assert (first["temperature"], first["max_tokens"], first["seed"]) == (0.5, 50, 7)
    assert (second["temperature"], second["stop"]) == (0, ["."])
    assert llm.chat(MESSAGES, model="c", seed=None).additional_kwargs["hotspare"]["target"] == "c"


@pytest.mark.anyio
async def test_mistakes_are_named_when_the_call_is_made(llm: Hotspare) -> None:
    """A stream raises when it is created, not when it is first read."""
    for ask in (llm.chat, llm.stream_chat):
        with pytest.raises(RequestError, match=r"temprature.*did you mean 'temperature'"):
            ask(MESSAGES, temprature=1)
    with pytest.raises(RequestError, match="temperature: 9 must be between 0 and 2"):
        await llm.astream_chat(MESSAGES, temperature=9)


def test_no_message_of_the_caller_is_changed(llm: Hotspare, outage: Outage) -> None:
    """Failed attempts leave the caller's list and messages unchanged."""
    outage("a")
    outage("b")
    messages = [ChatMessage(role="system", content="Be brief."), ChatMessage(role="user", content=QUESTION)]
    before = [message.model_copy(deep=True) for message in messages]
    response: ChatResponse = llm.chat(messages)
    assert response.message.content == answer(QUESTION)
    assert messages == before
