"""LlamaIndex's instrumentation and callbacks: once per call, with the tokens of the target that answered."""

from collections.abc import Callable, Iterator

import pytest
from hotspare import AllTargetsFailed, Pool
from hotspare.drill.provider import Provider, answer
from llama_index.core.callbacks import CallbackManager, TokenCountingHandler
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.span_handlers import SimpleSpanHandler
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.hotspare import Hotspare
from llama_index.llms.openai import OpenAI

from tests.support.llama_index import EventRecorder

QUESTION = "What is a hot spare?"
MESSAGES = [ChatMessage(role="user", content=QUESTION)]
Outage = Callable[..., None]
MakeLLM = Callable[..., OpenAI]


@pytest.fixture
def seen() -> Iterator[EventRecorder]:
    """Every event of the dispatcher."""
    handler, root = EventRecorder(events=[]), get_dispatcher()
    root.add_event_handler(handler)
    yield handler
    root.event_handlers.remove(handler)


@pytest.fixture
def spans() -> Iterator[SimpleSpanHandler]:
    """Every span of the dispatcher."""
    handler, root = SimpleSpanHandler(), get_dispatcher()
    root.add_span_handler(handler)
    yield handler
    root.span_handlers.remove(handler)


def counted(pool: Pool) -> tuple[Hotspare, TokenCountingHandler]:
    """An LLM whose tokens are counted, with a tokenizer that is wrong on purpose."""
    handler = TokenCountingHandler(tokenizer=lambda text: [0] * 1000)
    return Hotspare(pool=pool, callback_manager=CallbackManager([handler])), handler


@pytest.mark.anyio
@pytest.mark.parametrize("down", ["", "a", "ab"])
async def test_one_start_and_one_end_per_call(llm: Hotspare, outage: Outage, seen: EventRecorder, down: str) -> None:
    """Whole answers and streams, sync and async, with no, one and two failovers."""
    for endpoint in down:
        outage(endpoint)
    llm.chat(MESSAGES)
    await llm.achat(MESSAGES)
    assert {name: n for name, n in seen.count().items() if name.startswith("LLM")} == {
        "LLMChatStartEvent": 2,
        "LLMChatEndEvent": 2,
    }
    pieces = len(list(llm.stream_chat(MESSAGES))) + len([r async for r in await llm.astream_chat(MESSAGES)])
    assert seen.count()["LLMChatInProgressEvent"] == pieces
    assert (seen.count()["LLMChatStartEvent"], seen.count()["LLMChatEndEvent"]) == (4, 4)


@pytest.mark.anyio
@pytest.mark.parametrize("down", ["", "a", "ab"])
async def test_completions_fire_no_chat_events(llm: Hotspare, outage: Outage, seen: EventRecorder, down: str) -> None:
    """`complete` does not call the decorated `chat`, so no event is fired twice."""
    for endpoint in down:
        outage(endpoint)
    llm.complete(QUESTION)
    await llm.acomplete(QUESTION)
    list(llm.stream_complete(QUESTION))
    _ = [r async for r in await llm.astream_complete(QUESTION)]
    count = seen.count()
    assert (count["LLMCompletionStartEvent"], count["LLMCompletionEndEvent"]) == (4, 4)
    assert not [name for name in count if name.startswith("LLMChat")]


@pytest.mark.anyio
@pytest.mark.parametrize("down", ["", "a", "ab"])
async def test_one_span_per_call(llm: Hotspare, outage: Outage, spans: SimpleSpanHandler, down: str) -> None:
    """The trace shows the call once, however many targets were called."""
    for endpoint in down:
        outage(endpoint)
    llm.chat(MESSAGES)
    await llm.achat(MESSAGES)
    llm.complete(QUESTION)
    names = [span.id_.partition("-")[0] for span in spans.completed_spans]
    assert names == ["Hotspare.chat", "Hotspare.achat", "Hotspare.complete"]
    assert not spans.open_spans
    assert not spans.dropped_spans


@pytest.mark.anyio
@pytest.mark.parametrize("down", ["", "a", "ab"])
async def test_token_counting_handler(pool: Pool, outage: Outage, down: str) -> None:
    """The provider's own numbers are counted, once per call, in every method; the tokenizer is not used."""
    for endpoint in down:
        outage(endpoint)
    llm, handler = counted(pool)
    reply = llm.chat(MESSAGES)
    await llm.achat(MESSAGES)
    list(llm.stream_chat(MESSAGES))
    _ = [r async for r in await llm.astream_chat(MESSAGES)]
    llm.complete(QUESTION)
    await llm.acomplete(QUESTION)
    list(llm.stream_complete(QUESTION))
    _ = [r async for r in await llm.astream_complete(QUESTION)]
    assert len(handler.llm_token_counts) == 8
    assert {count.prompt_token_count for count in handler.llm_token_counts} == {
        reply.additional_kwargs["prompt_tokens"]
    }
    assert {count.completion_token_count for count in handler.llm_token_counts} == {60}


def test_tokens_of_a_stream_that_was_continued(pool: Pool, outage: Outage) -> None:
    """After a break, the counts are those of the target that finished."""
    outage("a", kind="cut", at=20)
    llm, handler = counted(pool)
    last = list(llm.stream_chat(MESSAGES))[-1]
    (count,) = handler.llm_token_counts
    assert count.completion_token_count == last.raw["usage"]["completion_tokens"] == 40
    assert last.message.content == answer(QUESTION)


def test_an_answer_without_usage_is_counted_by_the_tokenizer(provider: Provider, pool: Pool) -> None:
    """Where the provider reports no usage, LlamaIndex's own estimate applies and nothing raises."""
    provider.fault("a", "no_usage")
    llm, handler = counted(pool)
    llm.chat(MESSAGES)
    assert handler.llm_token_counts[0].completion_token_count == 1000


def test_a_failed_call_ends_with_its_exception(provider: Provider, llm: Hotspare, seen: EventRecorder) -> None:
    """One start, one dropped span, no end."""
    provider.fault([*"abc"], "status", status=503)
    with pytest.raises(AllTargetsFailed):
        llm.chat(MESSAGES)
    count = seen.count()
    assert (count["LLMChatStartEvent"], count["SpanDropEvent"], count["LLMChatEndEvent"]) == (1, 1, 0)


def test_structured_prediction_counts_once(llm: Hotspare, outage: Outage, seen: EventRecorder) -> None:
    """`predict_and_call` with a failover inside is one chat."""
    outage("a")

    def add(a: int, b: int) -> int:
        """Add."""
        return a + b

    llm.predict_and_call([FunctionTool.from_defaults(add)], "call add")
    assert (seen.count()["LLMChatStartEvent"], seen.count()["LLMChatEndEvent"]) == (1, 1)


def test_events_hold_no_key(provider: Provider, seen: EventRecorder, openai_llm: MakeLLM) -> None:
    """Neither the pool's keys nor those of LlamaIndex LLMs appear in events."""
    llm = Hotspare(llms=[openai_llm(name, key=f"test-secret-{name}") for name in "ab"])
    provider.fault("a", "status", status=401)
    llm.chat(MESSAGES)
    list(llm.stream_chat(MESSAGES))
    assert seen.events
    assert not [
        event for event in seen.events if "test-secret" in repr(event) or "test-secret" in event.model_dump_json()
    ]


@pytest.mark.anyio
@pytest.mark.parametrize("down", ["", "a"])
async def test_llms_fire_no_events_of_their_own(
    over_llms: Callable[..., Hotspare], outage: Outage, seen: EventRecorder, down: str
) -> None:
    """LlamaIndex LLMs are called without their decorators: one start and one end per call, one progress event per
    chunk."""
    for endpoint in down:
        outage(endpoint)
    llm = over_llms("ab")
    llm.chat(MESSAGES)
    await llm.achat(MESSAGES)
    pieces = len(list(llm.stream_chat(MESSAGES))) + len([r async for r in await llm.astream_chat(MESSAGES)])
    count = seen.count()
    assert (count["LLMChatStartEvent"], count["LLMChatEndEvent"]) == (4, 4)
    assert count["LLMChatInProgressEvent"] == pieces


def test_an_error_of_a_users_handler_is_not_a_failure(pool: Pool) -> None:
    """A token budget's error reaches the user, and no target's health changes."""
    handler = TokenCountingHandler(token_budget=1)
    llm = Hotspare(pool=pool, callback_manager=CallbackManager([handler]))
    with pytest.raises(ValueError, match="Token budget exceeded"):
        llm.chat(MESSAGES)
    assert pool.health()["a"].failures == 0
