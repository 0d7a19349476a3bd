"""LiteLLM's model strings as a pool's targets, found through the entry point."""

import json
from typing import Any

import pytest
from hotspare import AllTargetsFailed, ChatRequest, Kind, Pool, StreamInterrupted, Target
from hotspare.drill.answers import answer
from hotspare.drill.provider import KEY, Provider, after_tools
from litellm_hotspare import LiteLLMBackend

MODELS = {
    "openai": "litellm/openai/gpt-4.1",
    "anthropic": "litellm/anthropic/claude-sonnet-4-5",
    "gemini": "litellm/gemini/gemini-2.5-flash",
}
WIRES = pytest.mark.parametrize("wire", MODELS)
FACES = pytest.mark.parametrize("face", ["chat", "achat", "stream", "astream"])
TOOLS = [
    {
        "type": "function",
        "function": {"name": name, "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
    }
    for name in ("get_weather", "get_time")
]


def member(provider: Provider, wire: str, name: str = "a", **options: Any) -> Target:
    """One of LiteLLM's models at an endpoint."""
    return Target(MODELS[wire], name=name, base_url=provider.base_url(name, wire), api_key=KEY, price=(1, 2), **options)


async def ask(pool: Pool, face: str, question: Any, **options: Any) -> Any:
    """The whole answer, through one of four faces."""
    from hotspare._engine.folding import reply_of

    if face == "chat":
        return pool.chat(question, **options)
    if face == "achat":
        return await pool.achat(question, **options)
    chunks = list(pool.stream(question, **options)) if face == "stream" else []
    if face == "astream":
        chunks = [chunk async for chunk in pool.astream(question, **options)]
    return reply_of(chunks)


@WIRES
@FACES
@pytest.mark.anyio
async def test_answers(wire: str, face: str, provider: Provider) -> None:
    """Text, usage, finish reason; one request for one attempt."""
    async with Pool([member(provider, wire)]) as pool:
        reply = await ask(pool, face, "hello there")
    assert reply.text == answer("hello there")
    assert (reply.usage.output_tokens, reply.finish_reason) == (60, "stop")
    assert provider.stats("a").requests == 1


@WIRES
@FACES
@pytest.mark.anyio
async def test_tools_and_their_results(wire: str, face: str, provider: Provider) -> None:
    """Two calls at once; the history goes on at another provider, whose ids and signatures are its own."""
    question = {"role": "user", "content": "call get_weather and call get_time"}
    async with Pool([member(provider, wire), member(provider, "openai", "b")]) as pool:
        reply = await ask(pool, face, [question], tools=TOOLS)
        assert reply.finish_reason == "tool_calls"
        assert [call.name for call in reply.tool_calls] == ["get_weather", "get_time"]
        assert all(json.loads(call.arguments) for call in reply.tool_calls)
        results = [
            {"role": "tool", "tool_call_id": call.id, "content": f"r{n}"} for n, call in enumerate(reply.tool_calls)
        ]
        history = [question, reply.message, *results]
        for target in "ab":
            told = await ask(pool, face, history, tools=TOOLS, model=target)
            assert told.text == after_tools(question["content"], ["r0", "r1"])


@WIRES
@pytest.mark.anyio
@pytest.mark.parametrize("face", ["chat", "astream"])
@pytest.mark.parametrize("fault", ["status", "refused", "close", "empty", "empty_choices", "html"])
async def test_what_is_no_answer_fails_over(wire: str, face: str, fault: str, provider: Provider) -> None:
    """To a wire of hotspare's own; LiteLLM's retries are switched off, and an empty 200 is no success."""
    provider.fault("a", fault)
    spare = Target("openai/gpt-4.1", name="b", base_url=provider.base_url("b"), api_key=KEY)
    async with Pool([member(provider, wire), spare], retry_same_target="never") as pool:
        reply = await ask(pool, face, "hello there")
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
@pytest.mark.parametrize("face", ["achat", "astream"])
@pytest.mark.parametrize("case", KINDS)
async def test_what_its_errors_mean(wire: str, face: str, case: str, provider: Provider) -> None:
    """LiteLLM's classes keep what the breaker has to know: the kind, and when to come back."""
    words, fault, kind = KINDS[case]
    if fault:
        provider.fault("a", **fault)
    deadline = 1.2 if kind is Kind.TIMEOUT else 30
    async with Pool(
        [member(provider, wire)], deadline=deadline, when_all_down="fail", retry_same_target="never"
    ) as pool:
        with pytest.raises(AllTargetsFailed) as caught:
            await ask(pool, face, words)
    record = caught.value.attempts[0]
    assert record.kind is kind
    if kind is Kind.RATE_LIMITED:
        assert record.retry_after == 3


@FACES
@pytest.mark.anyio
@pytest.mark.parametrize("fault", ["cut", "eof"])
async def test_a_broken_stream_is_continued_elsewhere(face: str, fault: str, provider: Provider) -> None:
    """Also one that ends cleanly without a finish reason, for which LiteLLM makes one up."""
    provider.fault("a", fault, at=10)
    spare = Target("anthropic/claude-sonnet-4-5", name="b", base_url=provider.base_url("b", "anthropic"), api_key=KEY)
    async with Pool([member(provider, "openai"), spare]) as pool:
        assert (await ask(pool, face, "hello there")).text == answer("hello there")


@pytest.mark.anyio
async def test_an_early_end_is_honest(provider: Provider) -> None:
    """With nobody to continue it: the text so far."""
    provider.fault("a", "eof", at=10)
    async with Pool([member(provider, "anthropic")], on_break="raise") as pool:
        with pytest.raises(StreamInterrupted, match="finish reason") as caught:
            await ask(pool, "astream", "hello there")
    assert answer("hello there").startswith(caught.value.text)


def test_parameters(provider: Provider) -> None:
    """The request's fields, the target's own, and one dialect's extra ones reach the provider."""
    target = member(provider, "openai", extra={"service_tier": "flex"}, headers={"x-team": "blue"})
    with Pool([target]) as pool:
        pool.chat("q", temperature=0.5, seed=7, stop=["END"], max_tokens=9, extra={"openai": {"user": "u"}})
    heard = provider.recorded_requests("a")[-1]
    sent = {"temperature": 0.5, "seed": 7, "stop": ["END"], "service_tier": "flex", "user": "u"}
    assert heard["body"].items() >= sent.items()
    assert heard["headers"]["x-team"] == "blue"


def test_what_litellm_does_not_translate_is_asked_elsewhere(provider: Provider) -> None:
    """A field that LiteLLM knows no word for at this model keeps the target from being asked, unless it may be dropped."""
    request = ChatRequest(messages=[{"role": "user", "content": "q"}], seed=7)
    assert LiteLLMBackend(member(provider, "anthropic")).unsupported(request) == ("seed",)
    with Pool([member(provider, "anthropic"), member(provider, "openai", "b")]) as pool:
        assert pool.chat("q", seed=7).target == "b"
    with Pool([member(provider, "anthropic", droppable={"seed"})]) as pool:
        assert pool.chat("q", seed=7).target == "a"
    assert LiteLLMBackend(Target("litellm/nobody-knows/m")).unsupported(request) == ()
    assert "claude" in repr(LiteLLMBackend(member(provider, "anthropic")))
