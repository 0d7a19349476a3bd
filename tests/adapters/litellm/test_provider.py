"""A pool as a LiteLLM provider over real HTTP: what is sent, and what comes back where LiteLLM's users read it."""

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
from hotspare.drill.provider import KEY, Provider, after_tools
from litellm.integrations.custom_logger import CustomLogger
from pydantic import BaseModel

from tests.adapters.litellm.calling import MESSAGES, METHODS, complete

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


@METHODS
@pytest.mark.anyio
async def test_every_method_answers_through_an_outage(method: str, pool: Pool, provider: Provider) -> None:
    """The primary is down; the text is the next target's, exactly."""
    provider.fault("a", "status", status=503)
    text, answers = await complete(method)
    assert text == answer("hello there")
    assert answers[-1].choices[0].finish_reason == "stop"


@METHODS
@pytest.mark.anyio
async def test_a_broken_stream_is_continued(method: str, pool: Pool, provider: Provider) -> None:
    """After a connection breaks mid-stream, nothing is lost and nothing is repeated."""
    provider.fault("a", "cut", at=10)
    assert (await complete(method))[0] == answer("hello there")


@METHODS
@pytest.mark.anyio
@pytest.mark.parametrize("primary", ["a", "b", "c"])
async def test_tools(method: str, primary: str, pool: Pool, provider: Provider) -> None:
    """Two parallel calls, whole and in chunks; their results go to another provider."""
    question = [{"role": "user", "content": "call get_weather and call get_time"}]
    _, answers = await complete(method, model=f"hotspare/{primary}", messages=question, tools=TOOLS)
    if method.endswith("completion"):
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
    text, _ = await complete(method, model=f"hotspare/{primary}", messages=[*question, message, *results], tools=TOOLS)
    assert text == after_tools(question[0]["content"], ["result 0", "result 1"])


@METHODS
@pytest.mark.anyio
async def test_usage_is_the_providers_own(method: str, pool: Pool) -> None:
    """It is never LiteLLM's estimate; in a stream it is a chunk of its own, if requested."""
    options = {} if method.endswith("completion") else {"stream_options": {"include_usage": True}}
    _, answers = await complete(method, messages=[{"role": "user", "content": "hello cached=2"}], **options)
    usage = answers[-1].usage
    assert (usage.completion_tokens, usage.total_tokens) == (60, usage.prompt_tokens + 60)
    assert usage.prompt_tokens_details.cached_tokens == 2


@METHODS
@pytest.mark.anyio
async def test_finish_reasons(method: str, pool: Pool) -> None:
    """A truncated answer has the finish reason `length`."""
    text, answers = await complete(method, max_tokens=5)
    assert answers[-1].choices[0].finish_reason == "length"
    assert answer("hello there").startswith(text)


class City(BaseModel):
    """A city."""

    name: str
    people: int


@METHODS
@pytest.mark.anyio
@pytest.mark.parametrize("primary", ["a", "b", "c"])
async def test_structured_output(method: str, primary: str, pool: Pool) -> None:
    """A pydantic class as `response_format` gives JSON of that class."""
    text, _ = await complete(method, model=f"hotspare/{primary}", response_format=City)
    assert City.model_validate_json(text)


@METHODS
@pytest.mark.anyio
async def test_images(method: str, pool: Pool, provider: Provider) -> None:
    """An image reaches the provider unchanged."""
    parts = [{"type": "text", "text": "what is it?"}, {"type": "image_url", "image_url": {"url": PIXEL}}]
    text, _ = await complete(method, messages=[{"role": "user", "content": parts}])
    assert "1 image" in text
    sent = provider.recorded_requests("a")[-1]["body"]["messages"][0]["content"]
    assert any(part.get("image_url", {}).get("url") == PIXEL for part in sent)


@METHODS
@pytest.mark.anyio
async def test_reasoning(method: str, pool: Pool) -> None:
    """LiteLLM passes `reasoning_effort` to a custom provider if it is allowed; the reasoning is in
    `reasoning_content`."""
    _, answers = await complete(method, reasoning_effort="high", allowed_openai_params=["reasoning_effort"])
    if method.endswith("completion"):
        reasoning = answers[0].choices[0].message.reasoning_content
    else:
        reasoning = "".join(getattr(chunk.choices[0].delta, "reasoning_content", None) or "" for chunk in answers)
    assert reasoning


@METHODS
@pytest.mark.anyio
async def test_signed_thinking_is_sent_back_to_its_provider(method: str, pool: Pool, provider: Provider) -> None:
    """Anthropic's thinking blocks are kept in LiteLLM's history, and are not sent to other providers."""
    thinking = {"type": "enabled", "budget_tokens": 1024}
    options: dict[str, Any] = {"thinking": thinking, "allowed_openai_params": ["thinking"], "max_tokens": 4000}
    _, answers = await complete(method, model="hotspare/b", **options)
    if method.endswith("completion"):
        message = answers[0].choices[0].message
    else:
        message = litellm.stream_chunk_builder(answers).choices[0].message
    history = [*MESSAGES, message, {"role": "user", "content": "and now?"}]
    await complete(method, model="hotspare/b", messages=history, **options)
    blocks = provider.recorded_requests("b")[-1]["body"]["messages"][1]["content"]
    assert [block["type"] for block in blocks][:1] == ["thinking"]
    assert blocks[0]["signature"]
    await complete(method, model="hotspare/a", messages=history, **options)
    assert "signature" not in json.dumps(provider.recorded_requests("a")[-1]["body"])


class CostRecorder(CustomLogger):
    """Records the cost that LiteLLM reports to its callbacks."""

    def __init__(self) -> None:
        super().__init__()
        self.ended = threading.Event()
        self.cost: float | None = None

    def log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """The end of a sync call, reported by a thread of LiteLLM's."""
        self.cost = kwargs.get("response_cost")
        self.ended.set()


@pytest.mark.anyio
@pytest.mark.parametrize("method", ["completion", "acompletion"])
async def test_cost_and_metadata(method: str, pool: Pool, provider: Provider) -> None:
    """The hidden parameters have the answering target's price, `ChatReply.as_metadata()` and headers for a proxy."""
    provider.fault("a", "status", status=500)
    _, (reply,) = await complete(method)
    hidden = reply._hidden_params
    cost = (reply.usage.prompt_tokens * 1 + reply.usage.completion_tokens * 2) / 1e6
    assert hidden["response_cost"] == hidden["hotspare"]["cost"] == pytest.approx(cost)
    assert hidden["hotspare"]["target"] == "b"
    assert [a["target"] for a in hidden["hotspare"]["attempts"]] == ["a", "a", "b"]
    assert hidden["additional_headers"]["llm_provider-x-hotspare-target"] == "b"  # LiteLLM's own prefix
    assert json.dumps(hidden["hotspare"])
    assert reply.model == "claude-sonnet-4-5"


@pytest.mark.parametrize("stream", [False, True])
def test_callbacks_get_the_cost(stream: bool, pool: Pool) -> None:
    """`response_cost` in LiteLLM's success callbacks is the pool's, for streams too."""
    recorder = CostRecorder()
    litellm.callbacks.append(recorder)
    reply = litellm.completion(model="hotspare/default", messages=MESSAGES, stream=stream)
    if stream:
        list(reply)
    assert recorder.ended.wait(10)
    assert recorder.cost == pytest.approx((6 + 2 * 60) / 1e6)


@pytest.mark.anyio
async def test_streams_carry_the_metadata(pool: Pool, provider: Provider) -> None:
    """The last delta's `provider_specific_fields` have targets, splice points and attempts; and so has the message that LiteLLM
    builds, which is the same as without the wrapper of its builder."""
    provider.fault("a", "cut", at=10)
    _, chunks = await complete("astream")
    message = litellm.stream_chunk_builder(chunks).choices[0].message
    metadata = message.provider_specific_fields["hotspare"]
    assert metadata["targets"] == ["a", "b"]
    assert len(metadata["splice_points"]) == 1
    assert metadata == chunks[-2].choices[0].delta.provider_specific_fields["hotspare"]
    builder: Any = litellm.stream_chunk_builder
    found, expected = (build(chunks) for build in (builder, builder.__wrapped__))
    assert found.choices == expected.choices
    assert (found.id, found.model, found.created) == (expected.id, expected.model, expected.created)
    counted = ("prompt_tokens", "completion_tokens", "total_tokens", "cost")
    assert [found.usage[name] for name in counted] == [expected.usage[name] for name in counted]


@pytest.mark.anyio
async def test_closing_a_stream_early(pool: Pool, provider: Provider) -> None:
    """The connection is closed and the permit is returned."""
    provider.fault("a", "drip", gap=0.5)  # long enough that a busy machine does not reach the stream's end first
    stream = await litellm.acompletion(model="hotspare/default", messages=MESSAGES, stream=True)
    assert (await anext(stream)).choices[0].delta.content
    await stream.aclose()
    pieces = litellm.completion(model="hotspare/default", messages=MESSAGES, stream=True)
    assert next(pieces).choices[0].delta.content
    del pieces
    gc.collect()
    assert pool.health().in_flight == 0
    with anyio.fail_after(30):
        while provider.stats("a").client_disconnects < 2:  # noqa: ASYNC110 - another process counts
            await anyio.sleep(0.01)


@pytest.mark.anyio
async def test_parameters_reach_the_provider(pool: Pool, provider: Provider) -> None:
    """Everything that the caller sets is sent."""
    sent = {
        "temperature": 0.5, "top_p": 0.9, "stop": ["END"], "seed": 7, "presence_penalty": 0.1, "frequency_penalty": 0.2,
        "max_completion_tokens": 50, "tools": TOOLS, "tool_choice": "auto", "parallel_tool_calls": False,
        "service_tier": "auto", "n": 1,
    }  # fmt: skip
    await complete("acompletion", **sent, user="u-1", allowed_openai_params=["user"])
    body = provider.recorded_requests("a")[-1]["body"]
    for name in sent.keys() - {"n", "max_completion_tokens"}:
        assert body[name] == sent[name], name
    assert 50 in (body.get("max_tokens"), body.get("max_completion_tokens"))
    assert body["user"] == "u-1"


def test_unsupported_parameters_are_named(pool: Pool) -> None:
    """They raise, unless `drop_params` is set."""
    with pytest.raises(litellm.UnsupportedParamsError, match="logit_bias, n"):
        litellm.completion(model="hotspare/default", messages=MESSAGES, n=2, logit_bias={"1": 1})
    reply = litellm.completion(model="hotspare/default", messages=MESSAGES, n=2, drop_params=True)
    assert reply.choices[0].message.content == answer("hello there")


def test_routes_targets_and_aliases(pool: Pool) -> None:
    """The model's name after `hotspare/` may be a route, a target, a model or an alias."""
    for name, target in (("default", "a"), ("c", "c"), ("claude-sonnet-4-5", "b"), ("gemini/gemini-2.5-flash", "c")):
        reply = litellm.completion(model=f"hotspare/{name}", messages=MESSAGES)
        assert reply._hidden_params["hotspare"]["target"] == target
    with pytest.raises(litellm.BadRequestError, match="known: "):
        litellm.completion(model="hotspare/nothing", messages=MESSAGES)


def test_the_shorter_deadline_applies(pool: Pool, provider: Provider) -> None:
    """LiteLLM's `timeout` shortens the pool's deadline, and does not lengthen it."""
    from litellm_hotspare.request import deadline_of

    assert [deadline_of(given, 10) for given in (None, 600.0, 3)] == [10, 10, 3]
    provider.fault(["a", "b", "c"], "blackhole")
    with pytest.raises(litellm.Timeout):
        litellm.completion(model="hotspare/a", messages=MESSAGES, timeout=1.2)


def test_names(pool: Pool) -> None:
    """Several pools under several names; a second registration replaces the first; LiteLLM's own names are rejected."""
    litellm_hotspare.register(pool, name="spare")
    handler = litellm_hotspare.register(pool, name="spare")
    assert [item["provider"] for item in litellm.custom_provider_map] == ["hotspare", "spare"]
    assert litellm.custom_provider_map[1]["custom_handler"] is handler
    assert litellm.completion(model="spare/default", messages=MESSAGES).choices[0].message.content == answer(
        "hello there"
    )
    for name in ("openai", "a/b", ""):
        with pytest.raises(ConfigError, match="name:"):
            litellm_hotspare.register(pool, name=name)


def test_targets_that_a_reload_adds_and_removes(provider: Provider) -> None:
    """An answer of a target that was added after the registration, or removed while it answered, is whole."""
    a, b = ({"id": "openai/m", "name": name, "api_key": KEY, "base_url": provider.base_url(name)} for name in "ab")
    with Pool.from_config({"targets": [a]}) as pool:
        litellm_hotspare.register(pool)

        def removed(_: object) -> bool:
            pool.reload({"targets": [a]})
            return True

        for options in ({}, {"accept": removed}):
            pool.reload({"targets": [b]})
            reply: Any = litellm.completion(model="hotspare/default", messages=MESSAGES, **options)
            assert reply.choices[0].message.content == answer("hello there")
            assert reply._hidden_params["hotspare"]["target"] == "b"
        assert [target.name for target in pool.targets] == ["a"]
