"""What can be a target: which models, with which settings, limits and capabilities, alone and in mixed pools."""

from collections.abc import Callable
from typing import Any

import pytest
from hotspare import ConfigError, Pool
from hotspare.drill.provider import KEY, Provider, answer, with_images
from langchain_core.language_models import BaseChatModel, GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.rate_limiters import InMemoryRateLimiter
from langchain_hotspare import ChatHotspare, RequestInvalid, target_of
from langchain_openai import ChatOpenAI

from tests.adapters.langchain.conftest import PNG
from tests.adapters.langchain.pools import MAKERS, Make, anthropic, hotspare_targets, openai

pytestmark = pytest.mark.anyio
METHODS = ("chat", "achat", "stream", "astream")


def test_any_chat_model_can_be_a_target() -> None:
    """An unknown class works too, here one without finish reasons."""
    llm = ChatHotspare(
        models=[GenericFakeChatModel(messages=iter([AIMessage("Hello there"), AIMessage("Hello there")]))]
    )
    assert llm.invoke("hi").text == "Hello there"
    assert "".join(chunk.text for chunk in llm.stream("hi")) == "Hello there"


def test_a_model_that_cannot_stream_gives_one_chunk() -> None:
    """Its whole answer is one chunk, and the metadata is on the last one."""

    class Whole(BaseChatModel):
        @property
        def _llm_type(self) -> str:
            return "whole"

        def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
            usage: Any = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
            message = AIMessage("All at once", usage_metadata=usage, response_metadata={"finish_reason": "length"})
            return ChatResult(generations=[ChatGeneration(message=message)])

    chunks = list(ChatHotspare(models=[Whole()]).stream("hi"))
    whole = sum(chunks[1:], chunks[0])
    assert isinstance(whole, AIMessageChunk)
    assert whole.text == "All at once"
    assert whole.usage_metadata is not None
    assert whole.usage_metadata["total_tokens"] == 3
    assert whole.response_metadata["finish_reason"] == "length"


def test_an_exhausted_rate_limiter_fails_over(provider: Provider) -> None:
    """A model's own limiter is acquired without waiting; another target answers immediately."""
    limiter = InMemoryRateLimiter(requests_per_second=0.001, max_bucket_size=1)
    limiter.available_tokens = 1
    llm = ChatHotspare(models=[openai(provider, "a", rate_limiter=limiter), anthropic(provider, "b")])
    replies = [llm.invoke("hello").response_metadata["hotspare"] for _ in range(3)]
    assert [metadata["target"].split("/")[0] for metadata in replies] == ["openai", "anthropic", "anthropic"]
    assert replies[1]["attempts"][0]["kind"] == "rate_limited"
    assert provider.stats("a").requests == 1


@pytest.mark.parametrize("method", ["stream", "ainvoke", "astream"])
async def test_an_exhausted_rate_limiter_in_every_method(method: str, provider: Provider) -> None:
    """The same, whole and streamed, sync and async."""
    limiter = InMemoryRateLimiter(requests_per_second=0.001, max_bucket_size=1)
    llm = ChatHotspare(models=[openai(provider, "a", rate_limiter=limiter), anthropic(provider, "b")])
    if method == "ainvoke":
        reply: Any = await llm.ainvoke("hello")
    else:
        chunks = list(llm.stream("hello")) if method == "stream" else [chunk async for chunk in llm.astream("hello")]
        reply = chunks[-1]
    metadata = reply.response_metadata["hotspare"]
    assert [attempt["kind"] for attempt in metadata["attempts"]] == ["rate_limited", "ok"]
    assert provider.stats("a").requests == 0


def test_a_model_without_the_capability_is_not_called(provider: Provider) -> None:
    """A request with tools or images goes to a model that supports them; without one, it is rejected before it is
    sent."""
    blind = GenericFakeChatModel(messages=iter([]), profile={"image_inputs": False})
    llm = ChatHotspare(models=[blind, openai(provider, "a")])
    tool = {"name": "go", "description": "Goes.", "input_schema": {"type": "object", "properties": {}}}
    assert llm.bind_tools([tool], tool_choice="any").invoke("hello").tool_calls
    picture = {"type": "image", "base64": "aGVsbG8=", "mime_type": "image/png"}
    assert llm.invoke([HumanMessage([picture, {"type": "text", "text": "look"}])]).text
    assert llm.with_structured_output(tool, method="json_schema").invoke("hello") is not None
    with pytest.raises(RequestInvalid, match=r"no target supports this request.*: tools"):
        ChatHotspare(models=[blind]).bind_tools([tool]).invoke("hello")


def test_settings_go_to_models_that_take_them(provider: Provider) -> None:
    """Claude takes no seed, GPT-4.1 no reasoning effort: such a request goes to another model."""
    llm = ChatHotspare(models=[anthropic(provider, "a"), openai(provider, "b"), openai(provider, "c", "gpt-5")])
    llm.invoke("hello", temperature=0.5, max_tokens=7)
    body = provider.recorded_requests("a")[-1]["body"]
    assert (body["temperature"], body["max_tokens"]) == (0.5, 7)
    assert llm.invoke("hello", seed=3).response_metadata["model_provider"] == "openai"
    assert provider.recorded_requests("b")[-1]["body"]["seed"] == 3
    llm.invoke("hello", reasoning_effort="low")
    assert provider.recorded_requests("c")[-1]["body"]["reasoning_effort"] == "low"
    llm.invoke("hello", reasoning_effort="none")
    assert "reasoning_effort" not in provider.recorded_requests("a")[-1]["body"]
    with pytest.raises(RequestInvalid, match=r"no target supports this request.*: top_k"):
        ChatHotspare(models=[openai(provider, "b")]).invoke("hello", top_k=3)


def test_bound_arguments_of_a_model_are_kept(provider: Provider) -> None:
    """`model.bind(...)` is unwrapped; its arguments are sent with every call, and the call's own take precedence."""
    llm = ChatHotspare(models=[openai(provider, "a").bind(temperature=0.3, seed=7)])
    llm.invoke("hello")
    llm.invoke("hello", temperature=0.9)
    first, second = (request["body"] for request in provider.recorded_requests("a"))
    assert (first["temperature"], first["seed"]) == (0.3, 7)
    assert (second["temperature"], second["seed"]) == (0.9, 7)


@pytest.mark.parametrize("wrap", [lambda m: m.with_retry(), lambda m: m.with_fallbacks([m]), lambda m: "x" | m])
def test_a_runnable_that_is_not_a_model_is_rejected(wrap: Any, provider: Provider) -> None:
    """Retries and fallbacks around a model would multiply the pool's attempts; the ConfigError names the place."""
    model = openai(provider, "a")
    try:
        wrapped = wrap(model)
    except TypeError:
        wrapped = (lambda x: x) | model  # type: ignore[operator]
    with pytest.raises(ConfigError, match=r"models\[1\]: model: 'Runnable"):
        ChatHotspare(models=[model, wrapped])


def test_names_become_targets(monkeypatch: pytest.MonkeyPatch, provider: Provider) -> None:
    """`openai:gpt-4.1` is a LangChain model, `anthropic/…` a hotspare target."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", provider.base_url("a"))
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    llm = ChatHotspare(models=["openai:gpt-4.1", "anthropic/claude-sonnet-4-5"])
    langchain, hotspare = llm.pool.targets
    assert isinstance(getattr(langchain.backend, "model", None), ChatOpenAI)
    assert hotspare.backend is None
    assert llm.invoke("hello").text == answer("hello")


def test_equal_names_get_a_number(provider: Provider) -> None:
    """The same model given twice becomes two targets."""
    llm = ChatHotspare(models=[openai(provider, "a"), openai(provider, "a")])
    one, other = (target.name for target in llm.pool.targets)
    assert other == f"{one}#2"


def test_a_langchain_model_works_in_a_pool_without_langchain(provider: Provider, pools: Callable[..., Pool]) -> None:
    """OpenAI-shaped messages, tools and results are converted for LangChain's model."""
    provider.configure(None, replies={"weather": {"call": {"get_weather": {"city": "Seoul"}}}})
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}}}
    pool = pools(target_of(anthropic(provider, "a"), "claude"), target_of(openai(provider, "b"), "gpt"))
    for name in ("claude", "gpt"):
        called = pool.chat("the weather", model=name, tools=[tool], tool_choice="required")
        assert [(call.name, call.arguments) for call in called.tool_calls] == [("get_weather", '{"city": "Seoul"}')]
        reply = pool.chat([*[{"role": "user", "content": "the weather"}], called.message,
                          {"role": "tool", "tool_call_id": called.tool_calls[0].id, "content": "fine"}], model=name, tools=[tool])  # fmt: skip
        assert "fine" in reply.text
        assert reply.usage.total_tokens > 0


@MAKERS
def test_an_image_reaches_the_provider_unchanged(make: Make, provider: Provider) -> None:
    """A standard image block is converted by the model's own class."""
    import base64

    block = {"type": "image", "base64": base64.b64encode(PNG).decode(), "mime_type": "image/png"}
    llm = ChatHotspare(models=[make(provider, "a")])
    reply = llm.invoke([HumanMessage([{"type": "text", "text": "look"}, block])])
    assert reply.text == with_images("look", (len(PNG),))


async def test_both_kinds_of_targets_share_one_pool(provider: Provider) -> None:
    """Each takes over from the other."""
    llm = ChatHotspare(models=[openai(provider, "a"), *hotspare_targets(provider)[1:]])
    provider.fault("a", "reset")
    assert (await llm.ainvoke("hello")).response_metadata["hotspare"]["target"] == "b"
    provider.clear()
    provider.fault(["b", "c"], "reset")
    llm = ChatHotspare(models=[hotspare_targets(provider)[1], openai(provider, "a")])
    assert (await llm.ainvoke("hello")).response_metadata["model_provider"] == "openai"


def test_a_call_overrides_the_binding(provider: Provider) -> None:
    """`tool_choice`, `response_format` and `tools` given after `bind_tools` reach LangChain models."""
    tool = {"type": "function", "function": {"name": "go", "description": "Goes.", "parameters": {"type": "object", "properties": {}}}}  # fmt: skip
    other = {"type": "function", "function": {**tool["function"], "name": "stay"}}  # type: ignore[dict-item]
    llm = ChatHotspare(models=[openai(provider, "a")]).bind_tools([tool], tool_choice="any")
    assert llm.invoke("hello").tool_calls
    assert not llm.bind(tool_choice="none").invoke("hello").tool_calls
    assert [call["name"] for call in llm.bind(tools=[other]).invoke("hello").tool_calls] == ["stay"]
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object", "properties": {}}}}
    llm.bind(response_format=schema, tool_choice="none").invoke("hello")
    assert provider.recorded_requests("a")[-1]["body"]["response_format"]["json_schema"]["name"] == "x"


async def test_a_models_own_shorter_timeout_holds(provider: Provider) -> None:
    """The pool's timeout does not lengthen the model's own."""
    provider.fault("a", "blackhole")
    llm = ChatHotspare(models=[openai(provider, "a", timeout=0.2), anthropic(provider, "b")])
    assert (await llm.ainvoke("hello")).text == answer("hello")
    assert llm.invoke("hello").text == answer("hello")
