"""A real LiteLLM proxy, the one of `examples/litellm_proxy`, asked by the official openai client through outages."""

import importlib.util
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import openai
import pytest
import yaml
from hotspare.drill.answers import answer
from hotspare.drill.provider import KEY, Provider, after_tools
from openai import AsyncOpenAI, OpenAI

EXAMPLE = Path(__file__).parents[3] / "examples" / "litellm_proxy"
MASTER = "sk-made-up"
ASK: list[Any] = [{"role": "user", "content": "hello there"}]
TOOLS: list[Any] = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}
    for name in ("get_weather", "get_time")
]


class Proxied(NamedTuple):
    """The running proxy, and the example that started it."""

    url: str
    example: Any

    def client(self, **options: Any) -> OpenAI:
        """The official client, as it comes: with its own two retries."""
        return OpenAI(base_url=self.url, api_key=MASTER, **options)


@pytest.fixture(scope="session")
def running(one_provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    """One proxy a session (it takes some seconds to start), of the example's config. Behind the pool stand OpenAI's wire at
    endpoint `a` and Anthropic's at `b`; a group of the proxy's own, `own`, has OpenAI's at `c` and `d`."""
    config = yaml.safe_load((EXAMPLE / "config.yaml").read_text(encoding="utf-8"))
    for name in "cd":
        params = {"model": "openai/gpt-4.1", "api_base": one_provider.base_url(name), "api_key": KEY}
        config["model_list"].append({"model_name": "own", "litellm_params": params, "model_info": {"id": name}})
    config["litellm_settings"]["callbacks"] = ["litellm_hotspare.proxy_routing.callback"]
    config["router_settings"] = {"disable_cooldowns": True}  # else LiteLLM's own would leave `c` too, for five seconds
    path = tmp_path_factory.mktemp("proxy") / "config.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    spec = importlib.util.spec_from_file_location("ask", EXAMPLE / "ask.py")
    assert spec and spec.loader
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    addresses = {
        "OPENAI_BASE_URL": one_provider.base_url("a"),
        "ANTHROPIC_BASE_URL": one_provider.base_url("b", "anthropic"),
    }
    with example.proxy(MASTER, path, OPENAI_API_KEY=KEY, ANTHROPIC_API_KEY=KEY, **addresses) as url:
        found = Proxied(url, example)
        for model in ("hotspare/default", "own"):  # the first call imports half of LiteLLM
            found.client().chat.completions.create(model=model, messages=ASK)
        yield found


@pytest.fixture
def proxy(running: Proxied, provider: Provider) -> Proxied:
    """The proxy, with no fault left from another test."""
    return running


@pytest.fixture
def outage(provider: Provider) -> None:
    """The primary is dead."""
    provider.fault("a", "status", status=503)


def upstream(provider: Provider) -> int:
    """Requests that reached any provider."""
    return sum(provider.stats(name).requests for name in "abcd")


def test_the_example_runs(proxy: Proxied, outage: None, capsys: pytest.CaptureFixture[str]) -> None:
    """What the documentation shows, through an outage: who answered, and both answers."""
    proxy.example.ask(proxy.url, MASTER)
    printed = capsys.readouterr().out
    assert printed.startswith("answered by: claude\n")
    assert answer("What's the weather in Seoul?") in printed
    assert answer("And tomorrow?") in printed


def test_a_whole_answer(proxy: Proxied, outage: None) -> None:
    """The text is right, usage and cost with it; the headers say who gave it."""
    raw = proxy.client().chat.completions.with_raw_response.create(model="hotspare/default", messages=ASK)
    reply = raw.parse()
    assert reply.choices[0].message.content == answer("hello there")
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage and reply.usage.completion_tokens == 60
    assert raw.headers["llm_provider-x-hotspare-target"] == "claude"
    assert float(raw.headers["x-litellm-response-cost"]) == pytest.approx(
        (reply.usage.prompt_tokens * 3 + 60 * 15) / 1e6
    )


@pytest.mark.parametrize("fault", ["status", "cut"])
def test_a_stream(fault: str, proxy: Proxied, provider: Provider) -> None:
    """Before its first word or in its middle: the text is whole, and usage is the provider's."""
    provider.fault("a", fault, **({"at": 10} if fault == "cut" else {"status": 503}))
    chunks = list(
        proxy.client().chat.completions.create(
            model="gpt-4.1", messages=ASK, stream=True, stream_options={"include_usage": True}
        )
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == answer("hello there")
    assert "stop" in [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices]
    assert chunks[-1].usage and chunks[-1].usage.completion_tokens >= 50


@pytest.mark.parametrize("stream", [False, True])
def test_tools(stream: bool, proxy: Proxied, outage: None) -> None:
    """Two calls at once through an outage, and their results."""
    question: list[Any] = [{"role": "user", "content": "call get_weather and call get_time"}]
    client = proxy.client()
    if stream:
        with client.chat.completions.stream(model="hotspare/default", messages=question, tools=TOOLS) as events:
            message = events.get_final_completion().choices[0].message
    else:
        reply = client.chat.completions.create(model="hotspare/default", messages=question, tools=TOOLS)
        assert reply.choices[0].finish_reason == "tool_calls"
        message = reply.choices[0].message
    calls: list[Any] = message.tool_calls or []
    assert [call.function.name for call in calls] == ["get_weather", "get_time"]
    results = [{"role": "tool", "tool_call_id": call.id, "content": f"r{n}"} for n, call in enumerate(calls)]
    history: list[Any] = [*question, message.model_dump(exclude_none=True), *results]
    told = client.chat.completions.create(model="hotspare/default", messages=history, tools=TOOLS)
    assert told.choices[0].message.content == after_tools(question[0]["content"], ["r0", "r1"])


def test_structured_output(proxy: Proxied, outage: None) -> None:
    """A schema in, JSON out."""
    schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    reply = proxy.client().chat.completions.create(
        model="hotspare/default",
        messages=ASK,
        response_format={"type": "json_schema", "json_schema": {"name": "city", "schema": schema}},
    )
    assert set(json.loads(reply.choices[0].message.content or "")) == {"name"}


@pytest.mark.anyio
async def test_async_clients(proxy: Proxied, outage: None) -> None:
    """Twenty at once."""
    import anyio

    texts: list[str | None] = []

    async with AsyncOpenAI(base_url=proxy.url, api_key=MASTER) as client, anyio.create_task_group() as group:

        async def one() -> None:
            reply = await client.chat.completions.create(model="hotspare/smart", messages=ASK)
            texts.append(reply.choices[0].message.content)

        for _ in range(20):
            group.start_soon(one)
    assert texts == [answer("hello there")] * 20


@pytest.mark.parametrize("stream", [False, True])
def test_everything_down_is_bounded(stream: bool, proxy: Proxied, provider: Provider) -> None:
    """The proxy's retries and the pool's at their defaults, and the SDK's: the pool's attempts and no more. With the error of
    a stream LiteLLM sends no headers, so that only the SDK's own setting keeps it from trying again."""
    provider.fault(["a", "b"], "status", status=500)
    client = proxy.client(max_retries=0) if stream else proxy.client()
    with pytest.raises(openai.APIError) as caught:
        list(
            client.chat.completions.create(
                model="hotspare/default", messages=ASK, stream=stream, extra_body={"timeout": 3}
            )
        )
    assert getattr(caught.value, "status_code", 503) == 503
    assert upstream(provider) <= 6


@pytest.mark.parametrize(
    ("words", "fault", "expected"),
    [
        ("hello", {"kind": "rate_limited", "retry_after": 3}, openai.RateLimitError),
        ("toolong", None, openai.BadRequestError),
        ("refuse me", None, openai.BadRequestError),
        ("hello", {"kind": "blackhole"}, openai.APIStatusError),
    ],
)
def test_errors(
    words: str, fault: dict[str, Any] | None, expected: type[Exception], proxy: Proxied, provider: Provider
) -> None:
    """The SDK's own classes, with the way to them in words, and no key."""
    if fault:
        provider.fault(["a", "b"], **fault)
    with pytest.raises(expected, match=r"hotspare|attempt") as caught:
        proxy.client(max_retries=0).chat.completions.create(
            model="hotspare/default", messages=[{"role": "user", "content": words}], extra_body={"timeout": 1.5}
        )
    assert KEY not in str(caught.value)


def test_the_proxys_own_deployments_are_routed_by_health(proxy: Proxied, provider: Provider) -> None:
    """`litellm_hotspare.proxy_routing` in the config: a deployment that dies is left after the breaker's evidence, and every
    call is answered meanwhile, by LiteLLM's own retries."""
    provider.fault("c", "status", status=500)
    client = proxy.client(max_retries=0)
    until = time.monotonic() + 15
    texts: list[str | None] = []
    asked = [0]
    while asked[-1] < 5 or asked[-1] > asked[-20 if len(asked) > 20 else 0]:
        assert time.monotonic() < until, "a dead deployment was never left"
        texts.append(client.chat.completions.create(model="own", messages=ASK).choices[0].message.content)
        asked.append(provider.stats("c").requests)
    assert set(texts) == {answer("hello there")}
    stream = client.chat.completions.create(model="own", messages=ASK, stream=True)
    assert "".join(c.choices[0].delta.content or "" for c in stream if c.choices) == answer("hello there")


def test_the_proxys_own_deployments_all_down(proxy: Proxied, provider: Provider) -> None:
    """One call of the client's: the proxy's own retries and no more; less once the breakers know."""
    provider.fault(["c", "d"], "status", status=500)
    for _ in range(4):
        before = upstream(provider)
        with pytest.raises(openai.APIStatusError):
            proxy.client(max_retries=0).chat.completions.create(model="own", messages=ASK)
        assert upstream(provider) - before <= 3
