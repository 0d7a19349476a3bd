"""LiteLLM's models as targets of a pool, found through the entry point."""

import json
from typing import Any

import litellm_hotspare.backend
import pytest
from hotspare import (
    AllTargetsFailed,
    ChatChunk,
    ChatReply,
    ChatRequest,
    Kind,
    Pool,
    StreamInterrupted,
    Target,
    ToolCall,
    Usage,
)
from hotspare.drill.answers import answer
from hotspare.drill.provider import KEY, Provider, after_tools
from litellm_hotspare import LiteLLMBackend

MODELS = {
    "openai": "litellm/openai/gpt-4.1",
    "anthropic": "litellm/anthropic/claude-sonnet-4-5",
    "gemini": "litellm/gemini/gemini-2.5-flash",
}
WIRES = pytest.mark.parametrize("wire", MODELS)
METHODS = pytest.mark.parametrize("method", ["chat", "achat", "stream", "astream"])
TOOLS = [
    {
        "type": "function",
        "function": {"name": name, "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
    }
    for name in ("get_weather", "get_time")
]


def litellm_target(provider: Provider, wire: str, name: str = "a", **options: Any) -> Target:
    """A target for one of LiteLLM's models at an endpoint."""
    return Target(MODELS[wire], name=name, base_url=provider.base_url(name, wire), api_key=KEY, price=(1, 2), **options)


async def get_reply(pool: Pool, method: str, question: Any, **options: Any) -> Any:
    """The whole answer, through one of the four methods."""
    if method == "chat":
        return pool.chat(question, **options)
    if method == "achat":
        return await pool.achat(question, **options)
    chunks = list(pool.stream(question, **options)) if method == "stream" else []
    if method == "astream":
        chunks = [chunk async for chunk in pool.astream(question, **options)]
    return whole(chunks)


def whole(chunks: list[ChatChunk]) -> ChatReply:
    """What a stream's chunks add up to."""
    calls: dict[int, ToolCall] = {}
    for delta in (delta for chunk in chunks for delta in chunk.tool_calls):
        call = calls.get(delta.index, ToolCall("", "", ""))
        calls[delta.index] = ToolCall(
            call.id or delta.id or "",
            call.name or delta.name or "",
            call.arguments + delta.arguments,
            call.signature or delta.signature,
        )
    return ChatReply(
        text="".join(chunk.text for chunk in chunks),
        tool_calls=tuple(calls.values()),
        finish_reason=chunks[-1].finish_reason or "stop",
        usage=chunks[-1].usage or Usage(),
    )


@WIRES
@METHODS
@pytest.mark.anyio
async def test_answers(wire: str, method: str, provider: Provider) -> None:
    """Text, usage and finish reason are the provider's; one attempt is one request."""
    async with Pool([litellm_target(provider, wire)]) as pool:
        reply = await get_reply(pool, method, "hello there")
    assert reply.text == answer("hello there")
    assert (reply.usage.output_tokens, reply.finish_reason) == (60, "stop")
    assert provider.stats("a").requests == 1


@WIRES
@METHODS
@pytest.mark.anyio
async def test_tools_and_their_results(wire: str, method: str, provider: Provider) -> None:
    """Two parallel calls; the history continues at another provider, with ids and signatures that fit it."""
    question = {"role": "user", "content": "call get_weather and call get_time"}
    async with Pool([litellm_target(provider, wire), litellm_target(provider, "openai", "b")]) as pool:
        reply = await get_reply(pool, method, [question], tools=TOOLS)
        assert reply.finish_reason == "tool_calls"
        assert [call.name for call in reply.tool_calls] == ["get_weather", "get_time"]
        assert all(json.loads(call.arguments) for call in reply.tool_calls)
        results = [
            {"role": "tool", "tool_call_id": call.id, "content": f"r{n}"} for n, call in enumerate(reply.tool_calls)
        ]
        history = [question, reply.message, *results]
        for target in "ab":
            reply = await get_reply(pool, method, history, tools=TOOLS, model=target)
            assert reply.text == after_tools(question["content"], ["r0", "r1"])


@WIRES
@pytest.mark.anyio
@pytest.mark.parametrize("method", ["chat", "astream"])
@pytest.mark.parametrize("fault", ["status", "refused", "close", "empty", "empty_choices", "html"])
async def test_an_invalid_answer_fails_over(wire: str, method: str, fault: str, provider: Provider) -> None:
    """To one of hotspare's own targets; LiteLLM does not retry, and an empty 200 is not a success."""
    provider.fault("a", fault)
    spare = Target("openai/gpt-4.1", name="b", base_url=provider.base_url("b"), api_key=KEY)
    async with Pool([litellm_target(provider, wire), spare], retry_same_target="never") as pool:
        reply = await get_reply(pool, method, "hello there")
    assert reply.text == answer("hello there")
    assert provider.stats("a").requests <= 1


KINDS: dict[str, tuple[str, dict[str, Any], Kind]] = {
    "limit": ("hello", {"kind": "rate_limited", "retry_after": 3}, Kind.RATE_LIMITED),
    "quota": ("hello", {"kind": "quota"}, Kind.QUOTA),
    "key": ("hello", {"kind": "status", "status": 401}, Kind.AUTH),
    "down": ("hello", {"kind": "status", "status": 503}, Kind.SERVER),
    "refused": ("hello", {"kind": "refused"}, Kind.TRANSPORT),
    "silence": ("hello", {"kind": "blackhole"}, Kind.TIMEOUT),
    "window": ("toolong", {}, Kind.CONTEXT_LENGTH),
}


@WIRES
@pytest.mark.anyio
@pytest.mark.parametrize("method", ["achat", "astream"])
@pytest.mark.parametrize("case", KINDS)
async def test_errors_are_classified(wire: str, method: str, case: str, provider: Provider) -> None:
    """LiteLLM's exceptions keep the kind and the retry-after."""
    words, fault, kind = KINDS[case]
    if fault:
        provider.fault("a", **fault)
    deadline = 1.2 if kind is Kind.TIMEOUT else 30
    async with Pool(
        [litellm_target(provider, wire)], deadline=deadline, when_all_down="fail", retry_same_target="never"
    ) as pool:
        with pytest.raises(AllTargetsFailed) as caught:
            await get_reply(pool, method, words)
    record = caught.value.attempts[0]
    assert record.kind is kind
    if kind is Kind.RATE_LIMITED:
        assert record.retry_after == 3


@METHODS
@pytest.mark.anyio
@pytest.mark.parametrize("fault", ["cut", "eof"])
async def test_a_broken_stream_is_continued(method: str, fault: str, provider: Provider) -> None:
    """A stream that ends without a finish reason too, for which LiteLLM invents one."""
    provider.fault("a", fault, at=10)
    spare = Target("anthropic/claude-sonnet-4-5", name="b", base_url=provider.base_url("b", "anthropic"), api_key=KEY)
    async with Pool([litellm_target(provider, "openai"), spare]) as pool:
        assert (await get_reply(pool, method, "hello there")).text == answer("hello there")


@pytest.mark.anyio
async def test_an_early_end_is_raised(provider: Provider) -> None:
    """Without a continuation, StreamInterrupted has the text so far."""
    provider.fault("a", "eof", at=10)
    async with Pool([litellm_target(provider, "anthropic")], on_break="raise") as pool:
        with pytest.raises(StreamInterrupted, match=r"finish.reason") as caught:
            await get_reply(pool, "astream", "hello there")
    assert answer("hello there").startswith(caught.value.text)


def test_parameters(provider: Provider) -> None:
    """The request's fields, the target's own, and one dialect's extra fields reach the provider."""
    target = litellm_target(provider, "openai", extra={"service_tier": "flex"}, headers={"x-team": "blue"})
    with Pool([target]) as pool:
        pool.chat("q", temperature=0.5, seed=7, stop=["END"], max_tokens=9, extra={"openai": {"user": "u"}})
    request = provider.recorded_requests("a")[-1]
    sent = {"temperature": 0.5, "seed": 7, "stop": ["END"], "service_tier": "flex", "user": "u"}
    assert request["body"].items() >= sent.items()
    assert request["headers"]["x-team"] == "blue"


def test_an_untranslated_field_goes_to_another_target(provider: Provider) -> None:
    """A field that LiteLLM does not send to this model makes the target unsuitable, unless it is droppable."""
    request = ChatRequest(messages=[{"role": "user", "content": "q"}], seed=7)
    assert LiteLLMBackend(litellm_target(provider, "anthropic")).unsupported(request) == ("seed",)
    with Pool([litellm_target(provider, "anthropic"), litellm_target(provider, "openai", "b")]) as pool:
        assert pool.chat("q", seed=7).target == "b"
    with Pool([litellm_target(provider, "anthropic", droppable={"seed"})]) as pool:
        assert pool.chat("q", seed=7).target == "a"
    assert LiteLLMBackend(Target("litellm/nobody-knows/m")).unsupported(request) == ()
    assert "claude" in repr(LiteLLMBackend(litellm_target(provider, "anthropic")))


@METHODS
@pytest.mark.anyio
async def test_an_error_inside_litellm_is_not_the_requests(
    method: str, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the interpreter, as Python 3.11 raises one when several threads compile modules: the next target answers, and the first one stays
    closed."""

    def broken(*_: Any, **__: Any) -> None:
        raise SystemError("AST constructor recursion depth mismatch (before=63, after=60)")

    for name in ("completion", "acompletion"):
        monkeypatch.setattr(litellm_hotspare.backend.litellm, name, broken)
    pool = Pool(
        [
            litellm_target(provider, "openai"),
            Target("openai/gpt-4.1", name="b", base_url=provider.base_url("b"), api_key=KEY),
        ]
    )
    reply = await get_reply(pool, method, "hello")
    assert reply.text == answer("hello")
    assert provider.stats("b").requests == 1
    assert "SystemError: AST" in pool.health()["a"].last_error
    assert pool.health()["a"].state == "closed"
