"""LlamaIndex's instrumentation and callbacks: once a call, with the tokens of whoever answered, failovers included."""

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

from tests.support.llama_index import Seen

QUESTION = "What is a hot spare?"
MESSAGES = [ChatMessage(role="user", content=QUESTION)]
Outage = Callable[..., None]
Native = Callable[..., OpenAI]


@pytest.fixture
def seen() -> Iterator[Seen]:
    """Every event that the dispatcher tells."""
    handler, root = Seen(events=[]), get_dispatcher()
    root.add_event_handler(handler)
    yield handler
    root.event_handlers.remove(handler)


@pytest.fixture
def spans() -> Iterator[SimpleSpanHandler]:
    """Every span that the dispatcher opens."""
    handler, root = SimpleSpanHandler(), get_dispatcher()
    root.add_span_handler(handler)
    yield handler
    root.span_handlers.remove(handler)


def counted(pool: Pool) -> tuple[Hotspare, TokenCountingHandler]:
    """An LLM whose tokens are counted; its tokenizer would be wrong on purpose."""
    handler = TokenCountingHandler(tokenizer=lambda text: [0] * 1000)
    return Hotspare(pool=pool, callback_manager=CallbackManager([handler])), handler


@pytest.mark.anyio
@pytest.mark.parametrize("dead", ["", "a", "ab"])
async def test_one_start_and_one_end_a_call(llm: Hotspare, outage: Outage, seen: Seen, dead: str) -> None:
    """Whole answers and streams, sync and async, with no, one and two failovers."""
    for endpoint in dead:
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
@pytest.mark.parametrize("dead", ["", "a", "ab"])
async def test_completions_fire_no_chat_events(llm: Hotspare, outage: Outage, seen: Seen, dead: str) -> None:
    """`complete` is not the decorated `chat` in disguise: nothing is told twice."""
    for endpoint in dead:
        outage(endpoint)
    llm.complete(QUESTION)
    await llm.acomplete(QUESTION)
    list(llm.stream_complete(QUESTION))
    _ = [r async for r in await llm.astream_complete(QUESTION)]
    count = seen.count()
    assert (count["LLMCompletionStartEvent"], count["LLMCompletionEndEvent"]) == (4, 4)
    assert not [name for name in count if name.startswith("LLMChat")]


@pytest.mark.anyio
@pytest.mark.parametrize("dead", ["", "a", "ab"])
async def test_one_span_a_call(llm: Hotspare, outage: Outage, spans: SimpleSpanHandler, dead: str) -> None:
    """However many targets were asked, the trace shows the call once."""
    for endpoint in dead:
        outage(endpoint)
    llm.chat(MESSAGES)
    await llm.achat(MESSAGES)
    llm.complete(QUESTION)
    names = [span.id_.partition("-")[0] for span in spans.completed_spans]
    assert names == ["Hotspare.chat", "Hotspare.achat", "Hotspare.complete"]
    assert not spans.open_spans
    assert not spans.dropped_spans


@pytest.mark.anyio
@pytest.mark.parametrize(("dead", "wire_tokens"), [("", 5), ("a", 5), ("ab", 5)])
async def test_token_counting_handler(pool: Pool, outage: Outage, dead: str, wire_tokens: int) -> None:
    """The provider's own numbers are counted, once a call, for every form, and never the tokenizer's guess."""
    for endpoint in dead:
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
    """After a break in the middle, the counts are those of the target that finished."""
    outage("a", kind="cut", at=20)
    llm, handler = counted(pool)
    last = list(llm.stream_chat(MESSAGES))[-1]
    (count,) = handler.llm_token_counts
    assert count.completion_token_count == last.raw["usage"]["completion_tokens"] == 40
    assert last.message.content == answer(QUESTION)


def test_an_answer_without_usage_is_counted_by_the_tokenizer(provider: Provider, pool: Pool) -> None:
    """Providers that tell none leave LlamaIndex its own estimate, and raise nothing."""
    provider.fault("a", "no_usage")
    llm, handler = counted(pool)
    llm.chat(MESSAGES)
    assert handler.llm_token_counts[0].completion_token_count == 1000


def test_a_failed_call_ends_with_its_exception(provider: Provider, llm: Hotspare, seen: Seen) -> None:
    """One start, one dropped span, no end."""
    provider.fault([*"abc"], "status", status=503)
    with pytest.raises(AllTargetsFailed):
        llm.chat(MESSAGES)
    count = seen.count()
    assert (count["LLMChatStartEvent"], count["SpanDropEvent"], count["LLMChatEndEvent"]) == (1, 1, 0)


def test_structured_prediction_counts_once(llm: Hotspare, outage: Outage, seen: Seen) -> None:
    """`predict_and_call` with a failover inside is one chat."""
    outage("a")

    def add(a: int, b: int) -> int:
        """Add."""
        return a + b

    llm.predict_and_call([FunctionTool.from_defaults(add)], "call add")
    assert (seen.count()["LLMChatStartEvent"], seen.count()["LLMChatEndEvent"]) == (1, 1)


def test_events_hold_no_key(provider: Provider, seen: Seen, native: Native) -> None:
    """Neither the pool's keys nor those of native members come into a trace."""
    llm = Hotspare(llms=[native(name, key=f"test-secret-{name}") for name in "ab"])
    provider.fault("a", "status", status=401)
    llm.chat(MESSAGES)
    list(llm.stream_chat(MESSAGES))
    assert seen.events
    assert not [
        event for event in seen.events if "test-secret" in repr(event) or "test-secret" in event.model_dump_json()
    ]


@pytest.mark.anyio
@pytest.mark.parametrize("dead", ["", "a"])
async def test_native_members_fire_nothing_of_their_own(
    over_natives: Callable[..., Hotspare], outage: Outage, seen: Seen, dead: str
) -> None:
    """Members' own decorators stay silent: one start and one end a call, and one progress a piece."""
    for endpoint in dead:
        outage(endpoint)
    llm = over_natives("ab")
    llm.chat(MESSAGES)
    await llm.achat(MESSAGES)
    pieces = len(list(llm.stream_chat(MESSAGES))) + len([r async for r in await llm.astream_chat(MESSAGES)])
    count = seen.count()
    assert (count["LLMChatStartEvent"], count["LLMChatEndEvent"]) == (4, 4)
    assert count["LLMChatInProgressEvent"] == pieces


def test_a_users_handler_that_raises_is_no_outage(pool: Pool) -> None:
    """A token budget's error reaches the user, and no target is blamed for it."""
    handler = TokenCountingHandler(token_budget=1)
    llm = Hotspare(pool=pool, callback_manager=CallbackManager([handler]))
    with pytest.raises(ValueError, match="Token budget exceeded"):
        llm.chat(MESSAGES)
    assert pool.health()["a"].failures == 0
