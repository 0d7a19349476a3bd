"""A pool as a LiteLLM provider, over real HTTP: what goes in, and what comes out where LiteLLM users look."""

import gc
import json
import threading
from typing import Any

import anyio
import litellm
import litellm_hotspare
import pytest
from hotspare import ConfigError, Pool
from hotspare.drill.answers import answer
from hotspare.drill.provider import Provider, after_tools
from litellm.integrations.custom_logger import CustomLogger
from pydantic import BaseModel

from tests.adapters.litellm.asking import ASK, FACES, ask

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
    for name in ("get_weather", "get_time")
]
PIXEL = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


@FACES
@pytest.mark.anyio
async def test_every_face_answers_through_an_outage(face: str, pool: Pool, provider: Provider) -> None:
    """The primary is dead; the text is the next target's, word for word."""
    provider.fault("a", "status", status=503)
    text, answers = await ask(face)
    assert text == answer("hello there")
    assert answers[-1].choices[0].finish_reason == "stop"


@FACES
@pytest.mark.anyio
async def test_a_broken_stream_is_continued(face: str, pool: Pool, provider: Provider) -> None:
    """A connection that dies in the middle costs no word and repeats none."""
    provider.fault("a", "cut", at=10)
    assert (await ask(face))[0] == answer("hello there")


@FACES
@pytest.mark.anyio
@pytest.mark.parametrize("primary", ["a", "b", "c"])
async def test_tools(face: str, primary: str, pool: Pool, provider: Provider) -> None:
    """Two calls at once, whole or in pieces; their results go back, to another provider."""
    question = [{"role": "user", "content": "call get_weather and call get_time"}]
    _, answers = await ask(face, model=f"hotspare/{primary}", messages=question, tools=TOOLS)
    if face.endswith("completion"):
        message, finish = answers[0].choices[0].message, answers[0].choices[0].finish_reason
    else:
        whole = litellm.stream_chunk_builder(answers)
        message, finish = whole.choices[0].message, answers[-1].choices[0].finish_reason
    assert finish == "tool_calls"
    assert [call.function.name for call in message.tool_calls] == ["get_weather", "get_time"]
    assert all(set(json.loads(call.function.arguments)) == {"city"} for call in message.tool_calls)
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": f"result {n}"} for n, call in enumerate(message.tool_calls)
    ]
    provider.fault(primary, "status", status=500)
    text, _ = await ask(face, model=f"hotspare/{primary}", messages=[*question, message, *results], tools=TOOLS)
    assert text == after_tools(question[0]["content"], ["result 0", "result 1"])


@FACES
@pytest.mark.anyio
async def test_usage_is_the_providers_own(face: str, pool: Pool) -> None:
    """Never LiteLLM's guess: also in a stream, as a chunk of its own when it is asked for."""
    options = {} if face.endswith("completion") else {"stream_options": {"include_usage": True}}
    _, answers = await ask(face, messages=[{"role": "user", "content": "hello cached=2"}], **options)
    usage = answers[-1].usage
    assert (usage.completion_tokens, usage.total_tokens) == (60, usage.prompt_tokens + 60)
    assert usage.prompt_tokens_details.cached_tokens == 2


@FACES
@pytest.mark.anyio
async def test_finish_reasons(face: str, pool: Pool) -> None:
    """An answer that was cut says so."""
    text, answers = await ask(face, max_tokens=5)
    assert answers[-1].choices[0].finish_reason == "length"
    assert answer("hello there").startswith(text)


class City(BaseModel):
    """What is asked for."""

    name: str
    people: int


@FACES
@pytest.mark.anyio
@pytest.mark.parametrize("primary", ["a", "b", "c"])
async def test_structured_output(face: str, primary: str, pool: Pool) -> None:
    """A pydantic class as `response_format`: what comes back is one."""
    text, _ = await ask(face, model=f"hotspare/{primary}", response_format=City)
    assert City.model_validate_json(text)


@FACES
@pytest.mark.anyio
async def test_images(face: str, pool: Pool, provider: Provider) -> None:
    """An image reaches the provider as it was sent."""
    parts = [{"type": "text", "text": "what is it?"}, {"type": "image_url", "image_url": {"url": PIXEL}}]
    text, _ = await ask(face, messages=[{"role": "user", "content": parts}])
    assert "1 image" in text
    sent = provider.recorded_requests("a")[-1]["body"]["messages"][0]["content"]
    assert any(part.get("image_url", {}).get("url") == PIXEL for part in sent)


@FACES
@pytest.mark.anyio
async def test_reasoning(face: str, pool: Pool) -> None:
    """LiteLLM lets `reasoning_effort` through to a provider of one's own when it is allowed; the thoughts stand where its
    users look."""
    _, answers = await ask(face, reasoning_effort="high", allowed_openai_params=["reasoning_effort"])
    if face.endswith("completion"):
        thoughts = answers[0].choices[0].message.reasoning_content
    else:
        thoughts = "".join(getattr(chunk.choices[0].delta, "reasoning_content", None) or "" for chunk in answers)
    assert thoughts


@FACES
@pytest.mark.anyio
async def test_signed_thoughts_come_back_to_who_signed_them(face: str, pool: Pool, provider: Provider) -> None:
    """Anthropic's thinking blocks survive LiteLLM's history, and are kept from others."""
    thinking = {"type": "enabled", "budget_tokens": 1024}
    options: dict[str, Any] = {"thinking": thinking, "allowed_openai_params": ["thinking"], "max_tokens": 4000}
    _, answers = await ask(face, model="hotspare/b", **options)
    if face.endswith("completion"):
        message = answers[0].choices[0].message
    else:
        message = litellm.stream_chunk_builder(answers).choices[0].message
    history = [*ASK, message, {"role": "user", "content": "and now?"}]
    await ask(face, model="hotspare/b", messages=history, **options)
    blocks = provider.recorded_requests("b")[-1]["body"]["messages"][1]["content"]
    assert [block["type"] for block in blocks][:1] == ["thinking"]
    assert blocks[0]["signature"]
    await ask(face, model="hotspare/a", messages=history, **options)
    assert "signature" not in json.dumps(provider.recorded_requests("a")[-1]["body"])


class Told(CustomLogger):
    """Keeps what LiteLLM tells its callbacks of costs."""

    def __init__(self) -> None:
        super().__init__()
        self.ended = threading.Event()
        self.cost: float | None = None

    def log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """A sync call's end, told by a thread of LiteLLM's."""
        self.cost = kwargs.get("response_cost")
        self.ended.set()


@pytest.mark.anyio
@pytest.mark.parametrize("face", ["completion", "acompletion"])
async def test_cost_and_trail(face: str, pool: Pool, provider: Provider) -> None:
    """In the hidden parameters: the price of who answered, every attempt, and headers for a proxy."""
    provider.fault("a", "status", status=500)
    _, (reply,) = await ask(face)
    hidden = reply._hidden_params
    cost = (reply.usage.prompt_tokens * 1 + reply.usage.completion_tokens * 2) / 1e6
    assert hidden["response_cost"] == hidden["hotspare"]["cost"] == pytest.approx(cost)
    assert hidden["hotspare"]["target"] == "b"
    assert [a["target"] for a in hidden["hotspare"]["attempts"]] == ["a", "a", "b"]
    assert hidden["additional_headers"]["llm_provider-x-hotspare-target"] == "b"  # LiteLLM's own prefix
    assert json.dumps(hidden["hotspare"])
    assert reply.model == "claude-sonnet-4-5"


@pytest.mark.parametrize("stream", [False, True])
def test_callbacks_are_told_the_cost(stream: bool, pool: Pool) -> None:
    """`response_cost` in LiteLLM's success callbacks is the pool's, for streams too."""
    told = Told()
    litellm.callbacks.append(told)
    reply = litellm.completion(model="hotspare/default", messages=ASK, stream=stream)
    if stream:
        list(reply)
    assert told.ended.wait(10)
    assert told.cost == pytest.approx((6 + 2 * 60) / 1e6)


@pytest.mark.anyio
async def test_streams_carry_the_trail(pool: Pool, provider: Provider) -> None:
    """Who spoke, and what was tried, on the last chunk's provider-specific fields."""
    provider.fault("a", "cut", at=10)
    _, chunks = await ask("astream")
    message = litellm.stream_chunk_builder(chunks).choices[0].message
    trail = message.provider_specific_fields["hotspare"]
    assert trail["targets"] == ["a", "b"]
    assert len(trail["seams"]) == 1


@pytest.mark.anyio
async def test_a_caller_who_stops_reading(pool: Pool, provider: Provider) -> None:
    """The upstream connection is closed, and nothing stays behind."""
    provider.fault("a", "drip", gap=0.05)
    stream = await litellm.acompletion(model="hotspare/default", messages=ASK, stream=True)
    assert (await anext(stream)).choices[0].delta.content
    await stream.aclose()
    pieces = litellm.completion(model="hotspare/default", messages=ASK, stream=True)
    assert next(pieces).choices[0].delta.content
    del pieces
    gc.collect()
    assert pool.health().attempts == 0
    with anyio.fail_after(5):
        while provider.stats("a").client_disconnects < 2:  # noqa: ASYNC110 - told by another process
            await anyio.sleep(0.01)


@pytest.mark.anyio
async def test_parameters_reach_the_provider(pool: Pool, provider: Provider) -> None:
    """What the caller sets is what is sent."""
    sent = {
        "temperature": 0.5, "top_p": 0.9, "stop": ["END"], "seed": 7, "presence_penalty": 0.1, "frequency_penalty": 0.2,
        "max_completion_tokens": 50, "tools": TOOLS, "tool_choice": "auto", "parallel_tool_calls": False,
        "service_tier": "auto", "n": 1,
    }  # fmt: skip
    await ask("acompletion", **sent, user="u-1", allowed_openai_params=["user"])
    body = provider.recorded_requests("a")[-1]["body"]
    for name in sent.keys() - {"n", "max_completion_tokens"}:
        assert body[name] == sent[name], name
    assert 50 in (body.get("max_tokens"), body.get("max_completion_tokens"))
    assert body["user"] == "u-1"


def test_what_cannot_be_carried_is_named(pool: Pool) -> None:
    """Not dropped in silence; `drop_params` says to."""
    with pytest.raises(litellm.UnsupportedParamsError, match="logit_bias, n"):
        litellm.completion(model="hotspare/default", messages=ASK, n=2, logit_bias={"1": 1})
    reply = litellm.completion(model="hotspare/default", messages=ASK, n=2, drop_params=True)
    assert reply.choices[0].message.content == answer("hello there")


def test_routes_targets_and_aliases(pool: Pool) -> None:
    """Behind the provider's name stands whatever the pool knows."""
    for name, target in (("default", "a"), ("c", "c"), ("claude-sonnet-4-5", "b"), ("gemini/gemini-2.5-flash", "c")):
        reply = litellm.completion(model=f"hotspare/{name}", messages=ASK)
        assert reply._hidden_params["hotspare"]["target"] == target
    with pytest.raises(litellm.BadRequestError, match="known: "):
        litellm.completion(model="hotspare/nothing", messages=ASK)


def test_the_sooner_deadline_holds(pool: Pool, provider: Provider) -> None:
    """LiteLLM's `timeout` shortens the pool's deadline, and does not lengthen it."""
    from litellm_hotspare.asked import deadline_of

    assert [deadline_of(given, 10) for given in (None, 600.0, 3)] == [10, 10, 3]
    provider.fault(["a", "b", "c"], "blackhole")
    with pytest.raises(litellm.Timeout):
        litellm.completion(model="hotspare/a", messages=ASK, timeout=1.2)


def test_names(pool: Pool) -> None:
    """Several pools under several names; a second registration replaces the first; LiteLLM's own names are refused."""
    litellm_hotspare.register(pool, name="spare")
    handler = litellm_hotspare.register(pool, name="spare")
    assert [item["provider"] for item in litellm.custom_provider_map] == ["hotspare", "spare"]
    assert litellm.custom_provider_map[1]["custom_handler"] is handler
    assert litellm.completion(model="spare/default", messages=ASK).choices[0].message.content == answer("hello there")
    for name in ("openai", "a/b", ""):
        with pytest.raises(ConfigError, match="name:"):
            litellm_hotspare.register(pool, name=name)
