"""`ChatHotspare`: construction, answers, errors and profile."""

import json
from pathlib import Path
from typing import Any

import pytest
from hotspare import (
    AllTargetsFailed,
    AttemptRecord,
    ConfigError,
    Kind,
    Policy,
    Pool,
    PoolClosed,
    Price,
    RequestError,
    Target,
)
from hotspare.drill.provider import KEY, Provider, answer
from hotspare.testing import ScriptedTarget
from langchain_core.caches import InMemoryCache
from langchain_core.exceptions import (
    ContextOverflowError,
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelError,
    ModelInvalidRequestError,
    ModelNotFoundError,
    ModelRateLimitError,
    ModelTimeoutError,
)
from langchain_core.load import dumps
from langchain_core.messages import HumanMessage
from langchain_core.runnables import ConfigurableField
from langchain_hotspare import ChatHotspare, RequestInvalid
from langchain_hotspare.capabilities import intersection
from langchain_hotspare.errors import translate_errors

from tests.adapters.langchain.pools import hotspare_targets, openai


def plain(city: str) -> str:
    """The weather."""
    return city


# --- building ------------------------------------------------------------------------------------------------------


def test_four_ways_to_build_one(provider: Provider, tmp_path: Path) -> None:
    """A pool, targets, a config file and models each give a working model."""
    targets = hotspare_targets(provider)
    config = tmp_path / "hotspare.toml"
    config.write_text(f'[[targets]]\nid = "openai/gpt-4.1"\nbase_url = "{provider.base_url("a")}"\napi_key = "{KEY}"\n')
    built = [
        ChatHotspare(pool=Pool(targets)),
        ChatHotspare(targets=targets, policy=Policy(deadline=5)),
        ChatHotspare(config=config),
        ChatHotspare(
            config={"targets": [{"id": "openai/gpt-4.1", "base_url": provider.base_url("a"), "api_key": KEY}]}
        ),
        ChatHotspare(models=[openai(provider, "a")]),
    ]
    assert [model.invoke("hello").text for model in built] == [answer("hello")] * 5
    assert built[1].pool.policy.deadline == 5
    for model in built:
        model.pool.close()


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({}, r"ChatHotspare: \[\] must be exactly one of pool, targets, models, config"),
        ({"config": "a.toml", "targets": []}, r"\['targets', 'config'\] must be exactly one of"),
        ({"targets": []}, "a pool needs at least one target"),
        ({"targets": [Target("ollama/x")], "temprature": 0}, "'temprature' is not a field; did you mean 'temperature'"),
        (
            {"targets": [Target("ollama/x")], "top_logprobs": 1},
            "'top_logprobs' is not a field; .* go into model_kwargs",
        ),
        ({"models": ["unknown/gpt"]}, "unknown"),
        ({"pool": 5}, "pool: 5 must be a hotspare.Pool"),
        ({"config": "a.toml", "policy": Policy()}, "policy: cannot be combined with config, which has its own"),
        ({"config": {"targets": [{"id": "openai/gpt-4.1", "api_key": "k-secret", "regoin": "us"}]}}, "regoin"),
    ],
)
def test_a_mistake_in_building_is_named(fields: dict[str, Any], problem: str) -> None:
    """The ConfigError names the place, and holds no key."""
    with pytest.raises(ConfigError, match=problem) as caught:
        ChatHotspare(**fields)
    assert "k-secret" not in repr(caught.value)


def test_arguments_of_other_chat_models_are_accepted(provider: Provider) -> None:
    """Replacing a class is one edit: `timeout` is the deadline; keys and retries are accepted and not used."""
    model: Any = ChatHotspare
    llm = model(targets=hotspare_targets(provider), timeout=7, max_retries=5, api_key="k", stop="END")
    assert (llm.deadline, llm.stop) == (7, ["END"])


def test_no_key_is_shown_anywhere(provider: Provider) -> None:
    """Neither the repr, nor what tracers get, nor the cache key holds an API key."""
    secret = "test-not-to-be-seen"
    model = openai(provider, "a").model_copy(update={"openai_api_key": secret})
    llm = ChatHotspare(models=[Target("openai/gpt-4.1", api_key=secret), model], model_kwargs={"user": "u"})
    shown = repr(llm) + str(llm) + dumps(llm) + json.dumps(llm.asdict(), default=repr) + llm._get_llm_string()
    assert secret not in shown
    assert "openai/gpt-4.1" in shown


def test_fields_may_be_configured_per_call(llm: ChatHotspare, provider: Provider) -> None:
    """`configurable_fields` creates another model over the same pool."""
    configurable = llm.configurable_fields(
        temperature=ConfigurableField("temperature"), model=ConfigurableField("model")
    )
    reply = configurable.with_config(configurable={"temperature": 0.5, "model": "b"}).invoke("hello")
    assert reply.response_metadata["hotspare"]["target"] == "b"
    assert provider.recorded_requests("b")[0]["body"]["temperature"] == 0.5


# --- answers -------------------------------------------------------------------------------------------------------


def test_an_answer_carries_its_metadata(provider: Provider) -> None:
    """`response_metadata["hotspare"]` is `ChatReply.as_metadata()`: target, attempts, failovers and cost, as JSON; on a
    stream's last chunk only."""
    first, second, _ = hotspare_targets(provider)
    priced = Target(second.id, name="b", base_url=second.base_url, api_key=KEY, price=Price(1, 2))
    provider.fault("a", "rate_limited", retry_after=9)
    llm = ChatHotspare(targets=[first, priced])
    reply = llm.invoke("hello")
    chunks = list(llm.stream("hello"))
    metadata = reply.response_metadata["hotspare"]
    assert reply.usage_metadata is not None
    assert metadata["target"] == "b"
    assert metadata["failovers"] == 1
    assert [(a["target"], a["kind"], a.get("status")) for a in metadata["attempts"]] == [
        ("a", "rate_limited", 429),
        ("b", "ok", None),
    ]
    assert metadata["cost"] == pytest.approx(
        (reply.usage_metadata["input_tokens"] + 2 * reply.usage_metadata["output_tokens"]) / 1e6
    )
    assert reply.response_metadata["model_name"] == "claude-sonnet-4-5"
    assert reply.response_metadata["finish_reason"] == "stop"
    assert "lc_gateway_metadata" not in reply.response_metadata
    assert json.loads(json.dumps(metadata)) == metadata
    assert [bool(chunk.response_metadata) for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert chunks[-1].response_metadata["hotspare"]["cost"] == pytest.approx(metadata["cost"])


def test_reasoning_is_returned_and_sent_back(provider: Provider) -> None:
    """Reasoning is a standard block, whole and streamed; signed thinking is sent back to the provider that signed
    it."""
    llm = ChatHotspare(targets=[hotspare_targets(provider)[1]], reasoning_effort="low", max_tokens=3000)
    reply = llm.invoke("why")
    chunks = list(llm.stream("why"))
    whole = sum(chunks[1:], chunks[0])
    for message in (reply, whole):
        assert [block["type"] for block in message.content_blocks] == ["reasoning", "text"]
        assert message.text == answer("why")
        llm.invoke([HumanMessage("why"), message, HumanMessage("go on")])
        sent = provider.recorded_requests("b")[-1]["body"]["messages"][1]["content"]
        assert [block["type"] for block in sent] == ["thinking", "text"]
    v1 = ChatHotspare(pool=llm.pool, reasoning_effort="low", max_tokens=3000, output_version="v1").invoke("why")
    assert [block["type"] for block in v1.content] == ["reasoning", "text"]  # type: ignore[index]
    llm.invoke([HumanMessage("why"), v1, HumanMessage("go on")])
    assert provider.recorded_requests("b")[-1]["body"]["messages"][1]["content"][0]["type"] == "thinking"


def test_the_cache_key_holds_tools_and_settings(provider: Provider) -> None:
    """A repeated question is not sent again; other tools or settings make another cache entry."""
    llm = ChatHotspare(targets=hotspare_targets(provider)[:1], cache=InMemoryCache())
    bound = llm.bind_tools([plain])
    for _ in range(2):
        llm.invoke("hello")
        llm.invoke("hello", temperature=0.1)
        bound.invoke("hello")
    assert provider.stats("a").requests == 3


def test_settings_reach_the_provider(llm: ChatHotspare, provider: Provider) -> None:
    """Settings of the model, of the call and of `model_kwargs` are in the request body."""
    model = ChatHotspare(
        pool=llm.pool, temperature=0, max_tokens=9, seed=3, model_kwargs={"extra": {"openai": {"store": True}}}
    )
    model.invoke("hello", stop=["x"], top_p=0.5)
    body = provider.recorded_requests("a")[-1]["body"]
    assert (body["temperature"], body["seed"], body["stop"], body["top_p"], body["store"]) == (0, 3, ["x"], 0.5, True)
    assert body["max_tokens"] == 9


def test_tokens_are_estimated_without_a_download(llm: ChatHotspare) -> None:
    """LangChain's default token count downloads a tokenizer; this one does not."""
    assert llm.get_num_tokens("four" * 10) == 10
    assert llm.get_num_tokens_from_messages([HumanMessage("hello there")]) > 3


# --- errors --------------------------------------------------------------------------------------------------------

CLASSES: list[tuple[tuple[Kind, ...], type[ModelError]]] = [
    ((Kind.SERVER,), ModelAPIError), ((Kind.TRANSPORT,), ModelConnectionError), ((Kind.TIMEOUT,), ModelTimeoutError),
    ((Kind.RATE_LIMITED,), ModelRateLimitError), ((Kind.QUOTA,), ModelAuthenticationError), ((Kind.AUTH,), ModelAuthenticationError),
    ((Kind.NOT_FOUND,), ModelNotFoundError), ((Kind.CONTEXT_LENGTH,), ContextOverflowError), ((Kind.CONTENT_FILTER,), ModelInvalidRequestError),
    ((Kind.INVALID,), ModelInvalidRequestError), ((), ModelAPIError), ((Kind.AUTH, Kind.SERVER), ModelAPIError),
    ((Kind.AUTH, Kind.NOT_FOUND), ModelAuthenticationError), ((Kind.SERVER, Kind.CONTEXT_LENGTH), ContextOverflowError),
]  # fmt: skip


@pytest.mark.parametrize(("kinds", "cls"), CLASSES, ids=str)
def test_an_error_is_both_hotspares_and_langchains(kinds: tuple[Kind, ...], cls: type[ModelError]) -> None:
    """It has all attributes, and LangChain's `is_retryable`."""
    records = [AttemptRecord(n, f"t{n}", kind, 0.1) for n, kind in enumerate(kinds, 1)]
    with pytest.raises(AllTargetsFailed) as caught, translate_errors():
        raise AllTargetsFailed("missing", records, retry_after=3)
    assert isinstance(caught.value, cls)
    assert caught.value.is_retryable == cls.is_retryable
    assert caught.value.attempts == tuple(records)
    assert caught.value.retry_after == 3
    assert "retry after 3.0 s" in str(caught.value)


@pytest.mark.anyio
@pytest.mark.parametrize("method", ["invoke", "ainvoke", "stream", "astream"])
async def test_all_four_methods_raise_the_same(method: str, provider: Provider) -> None:
    """Each of them raises the same error, with the provider's own message."""
    provider.fault(["a", "b", "c"], "status", status=401)
    llm = ChatHotspare(targets=hotspare_targets(provider), policy=Policy(when_all_down="fail"))
    with pytest.raises(ModelAuthenticationError, match="invalid x-api-key"):
        if method == "invoke":
            llm.invoke("hello")
        elif method == "ainvoke":
            await llm.ainvoke("hello")
        elif method == "stream":
            list(llm.stream("hello"))
        else:
            [chunk async for chunk in llm.astream("hello")]


def test_an_invalid_request_is_rejected_before_it_is_sent(llm: ChatHotspare, provider: Provider) -> None:
    """A misspelt argument, an unknown model, a block without a counterpart, and a closed pool."""
    with pytest.raises(RequestInvalid, match="temprature: 1 is not an argument of a call"):
        llm.invoke("hello", temprature=1)
    with pytest.raises(ModelInvalidRequestError, match="gpt-5"):
        llm.invoke("hello", model="gpt-5")
    with pytest.raises(RequestError, match=r"messages\[0\].content\[0\]"):
        llm.invoke([HumanMessage([{"type": "video", "url": "https://example.com/v.mp4"}])])
    assert provider.stats("a").requests == 0
    llm.pool.close()
    with pytest.raises(PoolClosed):
        llm.invoke("hello")


# --- profile -------------------------------------------------------------------------------------------------------


def test_the_intersection_of_profiles() -> None:
    """A boolean is true only if all are; a number is the smallest; what one profile does not say is not claimed."""
    assert intersection([{"a": True, "b": True, "n": 5, "c": True}, {"a": True, "b": False, "n": 3}]) == {
        "a": True, "b": False, "n": 3,
    }  # fmt: skip


def test_the_profile_of_a_pool(provider: Provider) -> None:
    """hotspare's targets by what they can send, LangChain models by their own profile, a mixed pool by the
    intersection."""
    plain_target = Target("openai/gpt-4.1", api_key=KEY, context_window=4096, missing=frozenset({"vision"}))
    profile = ChatHotspare(targets=[plain_target, *hotspare_targets(provider)]).profile
    assert profile == {
        "tool_calling": True, "tool_choice": True, "structured_output": True, "image_inputs": False, "max_input_tokens": 4096,
    }  # fmt: skip
    mixed = ChatHotspare(models=[openai(provider, "a"), plain_target]).profile
    assert mixed is not None
    assert (mixed["image_inputs"], mixed["tool_calling"], mixed["max_input_tokens"]) == (False, True, 4096)


def test_scripted_targets_work() -> None:
    """hotspare's own test targets work behind LangChain."""
    llm = ChatHotspare(targets=[ScriptedTarget("one", ["Hello there"]).target])
    assert llm.invoke("hi").text == "Hello there"


def test_streaming_can_be_switched_off_for_tools(llm: ChatHotspare) -> None:
    """LangChain's `disable_streaming="tool_calling"` sees the bound tools; `streaming=True` makes `invoke` stream."""
    quiet = ChatHotspare(pool=llm.pool, disable_streaming="tool_calling")
    assert len(list(quiet.bind_tools([plain]).stream("hello"))) == 1
    assert len(list(quiet.stream("hello"))) > 10
    reply = ChatHotspare(pool=llm.pool, streaming=True).invoke("hello")
    assert reply.text == answer("hello")
    assert reply.response_metadata["hotspare"]["target"] == "a"
