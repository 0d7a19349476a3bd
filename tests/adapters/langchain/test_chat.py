"""`ChatHotspare` itself: how it is built, what its answers carry, and what it raises."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from hotspare import (
    AllTargetsFailed,
    ChatReply,
    ChatRequest,
    ConfigError,
    Policy,
    Pool,
    PoolClosed,
    Price,
    RequestError,
    Target,
    ToolCall,
    Usage,
)
from hotspare.drill.provider import KEY, Provider, answer
from hotspare.outcome import AttemptRecord, Kind
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
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import ConfigurableField
from langchain_core.tools import tool
from langchain_hotspare import ChatHotspare, RequestInvalid
from langchain_hotspare.errors import as_model_errors
from langchain_hotspare.profile import intersection
from pydantic import BaseModel

from tests.adapters.langchain.pools import anthropic, openai, wire_targets


@pytest.fixture
def llm(provider: Provider) -> Iterator[ChatHotspare]:
    """Three wire targets."""
    with Pool(wire_targets(provider)) as pool:
        yield ChatHotspare(pool=pool)


# --- building ------------------------------------------------------------------------------------------------------


def test_four_ways_to_build_one(provider: Provider, tmp_path: Path) -> None:
    """From a pool, targets, a config file and models; all answer."""
    targets = wire_targets(provider)
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
    ("fields", "said"),
    [
        ({}, r"ChatHotspare: \[\] must be given one of pool, targets, models, config"),
        ({"config": "a.toml", "targets": []}, r"\['targets', 'config'\] must be given one of"),
        ({"targets": []}, "a pool needs at least one target"),
        ({"targets": [Target("ollama/x")], "temprature": 0}, "'temprature' is no field; did you mean 'temperature'"),
        ({"targets": [Target("ollama/x")], "top_logprobs": 1}, "'top_logprobs' is no field; .* go into model_kwargs"),
        ({"models": ["nobody/gpt"]}, "nobody"),
        ({"pool": 5}, "pool: 5 must be a hotspare.Pool"),
        ({"config": "a.toml", "policy": Policy()}, "policy: a pool that comes by `config` has its own"),
        ({"config": {"targets": [{"id": "openai/gpt-4.1", "api_key": "k-secret", "regoin": "us"}]}}, "regoin"),
    ],
)
def test_a_mistake_in_building_is_named(fields: dict[str, Any], said: str) -> None:
    """As a ConfigError with the place, and without any key."""
    with pytest.raises(ConfigError, match=said) as caught:
        ChatHotspare(**fields)
    assert "k-secret" not in repr(caught.value)


def test_words_of_other_chat_models_are_taken(provider: Provider) -> None:
    """A swap of classes is one: `timeout` is the deadline; keys and retries are the targets' and the pool's own."""
    model: Any = ChatHotspare
    llm = model(targets=wire_targets(provider), timeout=7, max_retries=5, api_key="k", stop="END")
    assert (llm.deadline, llm.stop) == (7, ["END"])


def test_no_key_is_shown_anywhere(provider: Provider) -> None:
    """Not in the repr, not in what tracers are sent, not in the cache's key."""
    secret = "test-not-to-be-seen"
    native = openai(provider, "a").model_copy(update={"openai_api_key": secret})
    llm = ChatHotspare(models=[Target("openai/gpt-4.1", api_key=secret), native], model_kwargs={"user": "u"})
    shown = repr(llm) + str(llm) + dumps(llm) + json.dumps(llm.asdict(), default=repr) + llm._get_llm_string()
    assert secret not in shown
    assert "openai/gpt-4.1" in shown


def test_fields_may_be_configured_per_call(llm: ChatHotspare, provider: Provider) -> None:
    """`configurable_fields` makes another model around the same pool."""
    configurable = llm.configurable_fields(
        temperature=ConfigurableField("temperature"), model=ConfigurableField("model")
    )
    told = configurable.with_config(configurable={"temperature": 0.5, "model": "b"}).invoke("hello")
    assert told.response_metadata["hotspare"]["target"] == "b"
    assert provider.recorded_requests("b")[0]["body"]["temperature"] == 0.5


# --- answers -------------------------------------------------------------------------------------------------------


def test_an_answer_carries_its_trail(provider: Provider) -> None:
    """Target, attempts with reasons, failovers and cost, in plain JSON."""
    first, second, _ = wire_targets(provider)
    priced = Target(second.id, name="b", base_url=second.base_url, api_key=KEY, price=Price(1, 2))
    provider.fault("a", "rate_limited", retry_after=9)
    llm = ChatHotspare(targets=[first, priced])
    told = llm.invoke("hello")
    chunks = list(llm.stream("hello"))
    trail = told.response_metadata["hotspare"]
    assert told.usage_metadata is not None
    assert trail["target"] == "b"
    assert trail["failovers"] == 1
    assert [(a["target"], a["outcome"], a.get("status")) for a in trail["attempts"]] == [
        ("a", "rate_limited", 429),
        ("b", "ok", None),
    ]
    assert trail["cost"] == pytest.approx(
        (told.usage_metadata["input_tokens"] + 2 * told.usage_metadata["output_tokens"]) / 1e6
    )
    assert told.response_metadata["model_name"] == "claude-sonnet-4-5"
    assert told.response_metadata["finish_reason"] == "stop"
    assert "lc_gateway_metadata" not in told.response_metadata
    assert json.loads(json.dumps(trail)) == trail
    assert [bool(chunk.response_metadata) for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert chunks[-1].response_metadata["hotspare"]["cost"] == pytest.approx(trail["cost"])


def test_reasoning_comes_and_goes_back(provider: Provider) -> None:
    """As a standard block, and signed to whoever signed it; streamed as well."""
    llm = ChatHotspare(targets=[wire_targets(provider)[1]], reasoning_effort="low", max_tokens=3000)
    told = llm.invoke("why")
    chunks = list(llm.stream("why"))
    whole = sum(chunks[1:], chunks[0])
    for message in (told, whole):
        assert [block["type"] for block in message.content_blocks] == ["reasoning", "text"]
        assert message.text == answer("why")
        llm.invoke([HumanMessage("why"), message, HumanMessage("go on")])
        sent = provider.recorded_requests("b")[-1]["body"]["messages"][1]["content"]
        assert [block["type"] for block in sent] == ["thinking", "text"]
    v1 = ChatHotspare(pool=llm.pool, reasoning_effort="low", max_tokens=3000, output_version="v1").invoke("why")
    assert [block["type"] for block in v1.content] == ["reasoning", "text"]  # type: ignore[index]
    llm.invoke([HumanMessage("why"), v1, HumanMessage("go on")])
    assert provider.recorded_requests("b")[-1]["body"]["messages"][1]["content"][0]["type"] == "thinking"


def test_answers_are_cached_by_what_makes_them(provider: Provider) -> None:
    """The same question to the same pool is asked once; other tools or settings are another question."""
    llm = ChatHotspare(targets=wire_targets(provider)[:1], cache=InMemoryCache())
    bound = llm.bind_tools([get_weather])
    for _ in range(2):
        llm.invoke("hello")
        llm.invoke("hello", temperature=0.1)
        bound.invoke("hello")
    assert provider.stats("a").requests == 3


def test_what_a_call_says_reaches_the_wire(llm: ChatHotspare, provider: Provider) -> None:
    """Settings of the model, of the call and of `model_kwargs`, in the provider's own words."""
    model = ChatHotspare(
        pool=llm.pool, temperature=0, max_tokens=9, seed=3, model_kwargs={"extra": {"openai": {"store": True}}}
    )
    model.invoke("hello", stop=["x"], top_p=0.5)
    body = provider.recorded_requests("a")[-1]["body"]
    assert (body["temperature"], body["seed"], body["stop"], body["top_p"], body["store"]) == (0, 3, ["x"], 0.5, True)
    assert body["max_tokens"] == 9


def test_tokens_are_estimated_without_a_download(llm: ChatHotspare) -> None:
    """LangChain's own way needs a tokenizer from the internet."""
    assert llm.get_num_tokens("four" * 10) == 10
    assert llm.get_num_tokens_from_messages([HumanMessage("hello there")]) > 3


# --- tools ---------------------------------------------------------------------------------------------------------


@tool
def get_weather(city: str) -> str:
    """The weather."""
    return city


class Weather(BaseModel):
    """The weather."""

    city: str


def plain(city: str) -> str:
    """The weather."""
    return city


ANTHROPIC = {"name": "weather", "description": "The weather.", "input_schema": {"type": "object", "properties": {}}}


@pytest.mark.parametrize(
    "given",
    [get_weather, Weather, plain, ANTHROPIC, Weather.model_json_schema()],
    ids=["tool", "class", "function", "anthropic", "schema"],
)
@pytest.mark.parametrize("kind", ["wire", "native"])
def test_tools_of_every_sort(given: Any, kind: Literal["wire", "native"], provider: Provider) -> None:
    """LangChain tools, classes, functions, Anthropic's dicts and JSON schemas are all called."""
    llm = (
        ChatHotspare(targets=wire_targets(provider)[:1])
        if kind == "wire"
        else ChatHotspare(models=[anthropic(provider, "a")])
    )
    assert llm.bind_tools([given], tool_choice="any").invoke("hello").tool_calls  # type: ignore[attr-defined]


CHOICES: list[tuple[Any, Any]] = [
    ("any", "required"), (True, "required"), ("required", "required"), ("auto", "auto"), ("none", "none"), (False, None), (None, None),
    ("plain", {"type": "function", "function": {"name": "plain"}}),
    ({"type": "function", "function": {"name": "plain"}}, {"type": "function", "function": {"name": "plain"}}),
    ({"type": "tool", "name": "plain"}, {"type": "function", "function": {"name": "plain"}}),
    ({"type": "any"}, "required"),
]  # fmt: skip


@pytest.mark.parametrize(("choice", "sent"), CHOICES, ids=str)
def test_every_form_of_tool_choice(choice: Any, sent: Any, llm: ChatHotspare, provider: Provider) -> None:
    """LangChain's, OpenAI's and Anthropic's words, for wires and for native members."""
    llm.bind_tools([plain, get_weather], tool_choice=choice).invoke("hello")
    assert provider.recorded_requests("a")[-1]["body"].get("tool_choice") == sent
    native = ChatHotspare(models=[anthropic(provider, "d")]).bind_tools([plain, get_weather], tool_choice=choice)
    native.invoke("hello")
    kinds = {"required": {"type": "any"}, "auto": {"type": "auto"}, "none": {"type": "none"}}
    wanted = {"type": "tool", "name": "plain"} if isinstance(sent, dict) else kinds.get(sent)
    assert provider.recorded_requests("d")[-1]["body"].get("tool_choice") == wanted


def test_mistakes_with_tools_are_named(llm: ChatHotspare, provider: Provider) -> None:
    """A choice that is none, a tool that does not exist, a provider's own tool beside wires, a method that is none."""
    with pytest.raises(RequestInvalid, match="tool_choice: 7 must be"):
        llm.bind_tools([plain], tool_choice=7)  # type: ignore[arg-type]
    with pytest.raises(RequestInvalid, match="nobody"):
        llm.bind_tools([plain], tool_choice="nobody").invoke("hello")
    own = {"type": "web_search_20250305", "name": "web_search"}
    with pytest.raises(RequestInvalid, match="web_search' is a provider's own tool"):
        llm.bind_tools([own])
    with pytest.raises(RequestInvalid, match="method: 'magic' must be"):
        llm.with_structured_output(Weather, method="magic")  # type: ignore[arg-type]
    ChatHotspare(models=[anthropic(provider, "a")]).bind_tools([own])


def test_structured_output_with_its_raw_message(llm: ChatHotspare, provider: Provider) -> None:
    """What was parsed and the message stand side by side; what does not parse is told, not raised."""
    told = llm.with_structured_output(Weather, include_raw=True).invoke("hello")
    assert isinstance(told["parsed"], Weather)
    assert isinstance(told["raw"], AIMessage)
    provider.configure(None, replies={"hello": {"json": {"town": "?"}}})
    told = llm.with_structured_output(Weather, method="json_mode", include_raw=True).invoke("hello in JSON")
    assert told["parsed"] is None
    assert told["parsing_error"]


class Broken(ScriptedTarget):
    """A model whose tool call is no JSON."""

    def send(self, request: ChatRequest, *, timeout: float) -> ChatReply:
        return ChatReply(tool_calls=(ToolCall("c1", "go", '{"to": "Se'),), usage=Usage(9, 2, cache_write_tokens=4))


def test_a_call_that_is_no_json_is_kept_apart() -> None:
    """As LangChain does: in `invalid_tool_calls`, as the model wrote it. Tokens written to a cache are counted."""
    told = ChatHotspare(targets=[Broken("one").target]).invoke("hello")
    assert not told.tool_calls
    assert [(call["id"], call["name"], call["args"]) for call in told.invalid_tool_calls] == [
        ("c1", "go", '{"to": "Se')
    ]
    assert told.usage_metadata is not None
    assert told.usage_metadata["input_token_details"] == {"cache_creation": 4}


# --- errors --------------------------------------------------------------------------------------------------------

CLASSES: list[tuple[tuple[Kind, ...], type[ModelError]]] = [
    ((Kind.SERVER,), ModelAPIError), ((Kind.TRANSPORT,), ModelConnectionError), ((Kind.TIMEOUT,), ModelTimeoutError),
    ((Kind.RATE_LIMITED,), ModelRateLimitError), ((Kind.QUOTA,), ModelAuthenticationError), ((Kind.AUTH,), ModelAuthenticationError),
    ((Kind.NOT_FOUND,), ModelNotFoundError), ((Kind.CONTEXT_LENGTH,), ContextOverflowError), ((Kind.CONTENT_FILTER,), ModelInvalidRequestError),
    ((Kind.INVALID,), ModelInvalidRequestError), ((), ModelAPIError), ((Kind.AUTH, Kind.SERVER), ModelAPIError),
    ((Kind.AUTH, Kind.NOT_FOUND), ModelAuthenticationError), ((Kind.SERVER, Kind.CONTEXT_LENGTH), ContextOverflowError),
]  # fmt: skip


@pytest.mark.parametrize(("kinds", "cls"), CLASSES, ids=str)
def test_an_error_is_hotspares_and_langchains(kinds: tuple[Kind, ...], cls: type[ModelError]) -> None:
    """With everything inside, and with LangChain's own word on whether to try again."""
    records = [AttemptRecord(n, f"t{n}", kind, 0.1) for n, kind in enumerate(kinds, 1)]
    with pytest.raises(AllTargetsFailed) as caught, as_model_errors():
        raise AllTargetsFailed("nobody", records, retry_after=3)
    assert isinstance(caught.value, cls)
    assert caught.value.is_retryable == cls.is_retryable
    assert caught.value.attempts == tuple(records)
    assert caught.value.retry_after == 3
    assert "retry after 3.0 s" in str(caught.value)


@pytest.mark.anyio
@pytest.mark.parametrize("face", ["invoke", "ainvoke", "stream", "astream"])
async def test_all_four_faces_raise_alike(face: str, provider: Provider) -> None:
    """The same error from each, with the provider's own words."""
    provider.fault(["a", "b", "c"], "status", status=401)
    llm = ChatHotspare(targets=wire_targets(provider), policy=Policy(when_all_down="fail"))
    with pytest.raises(ModelAuthenticationError, match="invalid x-api-key"):
        if face == "invoke":
            llm.invoke("hello")
        elif face == "ainvoke":
            await llm.ainvoke("hello")
        elif face == "stream":
            list(llm.stream("hello"))
        else:
            [chunk async for chunk in llm.astream("hello")]


def test_a_request_that_cannot_be_is_told_before_it_is_sent(llm: ChatHotspare, provider: Provider) -> None:
    """A misspelt word, a model that nobody serves, a block that no wire has words for; and a closed pool."""
    with pytest.raises(RequestInvalid, match="temprature: 1 is no word of a call"):
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


def test_a_profile_is_what_all_can_do() -> None:
    """All must be able; numbers are the smallest; what one does not say of itself is not claimed."""
    assert intersection([{"a": True, "b": True, "n": 5, "c": True}, {"a": True, "b": False, "n": 3}]) == {
        "a": True, "b": False, "n": 3,
    }  # fmt: skip


def test_a_pools_profile(provider: Provider) -> None:
    """Of wires by what they could carry, of native members by LangChain's data, of both together by what both can."""
    plain_target = Target("openai/gpt-4.1", api_key=KEY, context_window=4096, missing=frozenset({"vision"}))
    wires = ChatHotspare(targets=[plain_target, *wire_targets(provider)]).profile
    assert wires == {
        "tool_calling": True, "tool_choice": True, "structured_output": True, "image_inputs": False, "max_input_tokens": 4096,
    }  # fmt: skip
    mixed = ChatHotspare(models=[openai(provider, "a"), plain_target]).profile
    assert mixed is not None
    assert (mixed["image_inputs"], mixed["tool_calling"], mixed["max_input_tokens"]) == (False, True, 4096)


def test_scripted_targets_work_as_members() -> None:
    """hotspare's own test helper behind LangChain."""
    llm = ChatHotspare(targets=[ScriptedTarget("one", ["Hello there"]).target])
    assert llm.invoke("hi").text == "Hello there"


def test_streaming_may_be_switched_off_for_tools(llm: ChatHotspare) -> None:
    """LangChain's `disable_streaming="tool_calling"` sees the bound tools; `streaming=True` streams under `invoke`."""
    quiet = ChatHotspare(pool=llm.pool, disable_streaming="tool_calling")
    assert len(list(quiet.bind_tools([plain]).stream("hello"))) == 1
    assert len(list(quiet.stream("hello"))) > 10
    told = ChatHotspare(pool=llm.pool, streaming=True).invoke("hello")
    assert told.text == answer("hello")
    assert told.response_metadata["hotspare"]["target"] == "a"
