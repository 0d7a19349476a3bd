"""LangChain models as targets of a pool: SDK retries, classification, streams."""

import warnings
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from hotspare import AllTargetsFailed, Kind, Pool, StreamInterrupted
from hotspare.drill.provider import KEY, Provider, answer
from langchain_core.language_models import BaseChatModel, GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatResult
from langchain_hotspare import ChatHotspare, StreamBroken, target_of
from langchain_openai import AzureChatOpenAI
from langgraph.errors import GraphInterrupt

from tests.adapters.langchain.pools import (
    MADE,
    MAKERS,
    Make,
    anthropic,
    comes_true,
    hotspare_targets,
    openai,
)


def azure(provider: Provider, endpoint: str, **fields: Any) -> AzureChatOpenAI:
    """LangChain's Azure model, a subclass of OpenAI's that creates its clients in its own way."""
    return AzureChatOpenAI(
        azure_deployment="gpt-4.1",
        azure_endpoint=provider.url(endpoint),
        api_version="2024-10-21",
        api_key=KEY,
        **fields,
    )


pytestmark = pytest.mark.anyio


# --- retries -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [*MADE, azure], ids=lambda make: make.__name__)
@pytest.mark.parametrize("used", [False, True], ids=["new", "used before"])
async def test_an_sdk_does_not_retry_inside_the_pool(
    make: Make, used: bool, provider: Provider, pools: Callable[..., Pool]
) -> None:
    """One attempt is one request, sync and async, whether or not the user's model has created its clients before."""
    model = make(provider, "a")
    if used:
        model.invoke("tokens=1")
        await model.ainvoke("tokens=1")
    pool = pools(target_of(model), max_attempts=1, when_all_down="fail")
    provider.reset()
    provider.fault("a", "status", status=500)
    for ask in (pool.chat, lambda prompt: list(pool.stream(prompt))):
        with pytest.raises(AllTargetsFailed):
            ask("hello")
    with pytest.raises(AllTargetsFailed):
        await pool.achat("hello")
    with pytest.raises(AllTargetsFailed):
        [chunk async for chunk in pool.astream("hello")]
    assert provider.stats("a").requests == 4


def test_the_users_own_model_is_not_changed(provider: Provider) -> None:
    """The pool works on a copy: used directly, the model still retries."""
    model = openai(provider, "a", max_retries=1)
    ChatHotspare(models=[model]).pool.close()
    provider.fault("a", "status", status=500, count=1)
    assert model.invoke("hello").text == answer("hello")


def test_a_model_that_may_retry_is_warned_about() -> None:
    """An unknown class with retries gives a warning; with `max_retries=0` it does not."""

    class Elsewhere(GenericFakeChatModel):
        max_retries: int = 3

    with pytest.warns(UserWarning, match="Elsewhere may retry by itself"):
        target_of(Elsewhere(messages=iter([])))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        target_of(Elsewhere(messages=iter([]), max_retries=0))


# --- classification ------------------------------------------------------------------------------------------------

FAULTS: list[tuple[str, dict[str, Any], Kind]] = [
    ("status", {"status": 500}, Kind.SERVER),
    ("status", {"status": 529}, Kind.SERVER),
    ("status", {"status": 401}, Kind.AUTH),
    ("status", {"status": 404}, Kind.NOT_FOUND),
    ("status", {"status": 400}, Kind.INVALID),
    ("status", {"status": 502}, Kind.SERVER),
    ("rate_limited", {"retry_after": 7}, Kind.RATE_LIMITED),
    ("quota", {"limit": "balance"}, Kind.QUOTA),
    ("refused", {}, Kind.TRANSPORT),
    ("reset", {}, Kind.TRANSPORT),
    ("close", {}, Kind.TRANSPORT),
    ("blackhole", {}, Kind.TIMEOUT),
    ("empty_choices", {}, Kind.SERVER),
]
STREAM_FAULTS: list[tuple[str, dict[str, Any], Kind]] = [
    ("cut", {"at": 0}, Kind.TRANSPORT),
    ("error_event", {"at": 0, "status": 529}, Kind.SERVER),
    ("eof", {"at": 0}, Kind.SERVER),
    ("silence", {}, Kind.TIMEOUT),
]


METHODS = ("chat", "achat", "stream", "astream")
CASES = [
    (method, *fault)
    for method in METHODS
    for fault in (FAULTS if "stream" not in method else [*FAULTS, *STREAM_FAULTS])
]


async def first_failure(pool: Pool, method: str) -> Any:
    """The first attempt of a failing call, made in one of the four ways."""
    with pytest.raises(AllTargetsFailed) as caught:
        if method == "chat":
            pool.chat("hello")
        elif method == "achat":
            await pool.achat("hello")
        elif method == "stream":
            list(pool.stream("hello"))
        else:
            [chunk async for chunk in pool.astream("hello")]
    return caught.value.attempts[0]


@MAKERS
@pytest.mark.parametrize(("method", "fault", "options", "kind"), CASES, ids=str)
async def test_errors_of_sdks_are_classified(
    make: Make,
    method: str,
    fault: str,
    options: dict[str, Any],
    kind: Kind,
    provider: Provider,
    pools: Callable[..., Pool],
) -> None:
    """An SDK's exception gets the kind that hotspare's own target would get."""
    provider.fault("a", fault, **options)
    deadline = 0.3 if kind is Kind.TIMEOUT else 10
    pool = pools(target_of(make(provider, "a")), max_attempts=1, when_all_down="fail", deadline=deadline)
    attempt = await first_failure(pool, method)
    assert attempt.kind is kind, attempt
    if fault == "rate_limited":
        assert attempt.retry_after == pytest.approx(7, abs=1)


@MAKERS
def test_a_prompt_that_is_too_long(make: Make, provider: Provider, pools: Callable[..., Pool]) -> None:
    """Each provider's context-length error is recognized."""
    pool = pools(target_of(make(provider, "a")), when_all_down="fail")
    with pytest.raises(AllTargetsFailed) as caught:
        pool.chat("toolong")
    assert caught.value.attempts[0].kind is Kind.CONTEXT_LENGTH


def test_a_langgraph_interrupt_is_not_a_failure(pools: Callable[..., Pool]) -> None:
    """LangGraph's interrupt is raised to the graph, and the permit is returned."""

    class Interrupting(BaseChatModel):
        @property
        def _llm_type(self) -> str:
            return "interrupting"

        def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
            raise GraphInterrupt(())

    pool = pools(target_of(Interrupting()), target_of(fake_model()))
    with pytest.raises(GraphInterrupt):
        ChatHotspare(pool=pool).invoke("hello")
    assert pool.health().in_flight == 0


def fake_model() -> BaseChatModel:
    """LangChain's fake model, a class that the adapter does not know."""
    return GenericFakeChatModel(messages=iter([AIMessage("Hello there")]))


# --- streams -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["openai", "anthropic"])
@pytest.mark.parametrize("second", ["openai", "anthropic", "hotspare"])
async def test_a_broken_stream_is_continued(first: str, second: str, provider: Provider) -> None:
    """Across model classes: the text is whole, the chunks merge into one message, and nothing is repeated."""
    makers: dict[str, Any] = {"openai": openai, "anthropic": anthropic}
    other = hotspare_targets(provider)[1] if second == "hotspare" else makers[second](provider, "b")
    llm = ChatHotspare(models=[makers[first](provider, "a"), other])
    provider.fault("a", "cut", at=9)
    chunks = [chunk async for chunk in llm.astream("tell me")]
    whole = sum(chunks[1:], chunks[0])
    assert whole.text == answer("tell me")
    assert whole.response_metadata["model_name"] in ("gpt-4.1", "claude-sonnet-4-5")
    assert whole.response_metadata["hotspare"]["splice_points"]
    assert whole.response_metadata["hotspare"]["failovers"] == 1
    assert whole.response_metadata.get("model_provider") == first
    assert chunks[-1].chunk_position == "last"
    assert [block["type"] for block in whole.content_blocks] == ["text"]


@MAKERS
async def test_a_broken_tool_call_is_not_continued(make: Make, provider: Provider) -> None:
    """Two models' halves of the arguments would make a wrong call: StreamBroken is raised with what came."""
    tool = {"type": "function", "function": {"name": "go", "parameters": {"type": "object", "properties": {"to": {"type": "string"}}}}}  # fmt: skip
    llm = ChatHotspare(models=[make(provider, "a"), openai(provider, "b")]).bind_tools([tool], tool_choice="any")
    provider.fault("a", "cut", at=2)
    with pytest.raises(StreamBroken) as caught:
        [chunk async for chunk in llm.astream("go")]
    assert isinstance(caught.value, StreamInterrupted)
    assert caught.value.is_retryable


@pytest.mark.parametrize("make", [openai, anthropic], ids=lambda make: make.__name__)
async def test_a_consumer_that_stops_closes_the_connection(make: Make, provider: Provider) -> None:
    """Sync and async; the permit is returned."""
    provider.fault("a", "drip", gap=0.05)
    llm = ChatHotspare(models=[make(provider, "a")])
    stream: AsyncIterator[Any] = llm.astream("hello")
    assert (await anext(stream)).text
    await stream.aclose()  # type: ignore[attr-defined]
    assert await comes_true(lambda: provider.stats("a").client_disconnects == 1)
    for _ in llm.stream("hello"):
        break
    assert await comes_true(lambda: provider.stats("a").client_disconnects == 2)
    assert llm.pool.health().in_flight == 0
