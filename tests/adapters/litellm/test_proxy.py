"""A real LiteLLM proxy, the one of `examples/litellm_proxy`, called by the official openai client through outages."""

import importlib.util
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import openai
import pytest
import yaml
from hotspare.drill.answers import answer
from hotspare.drill.provider import KEY, Provider, after_tools
from openai import AsyncOpenAI, OpenAI

pytest.importorskip("fastapi", reason="the proxy's dependencies are not installed")
EXAMPLE = Path(__file__).parents[3] / "examples" / "litellm_proxy"
MASTER = "sk-made-up"
MESSAGES: list[Any] = [{"role": "user", "content": "hello there"}]
TOOLS: list[Any] = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}
    for name in ("get_weather", "get_time")
]


class Proxied(NamedTuple):
    """The running proxy, and the example that started it."""

    url: str
    example: Any

    def client(self, **options: Any) -> OpenAI:
        """The official client, by default with its own two retries."""
        return OpenAI(base_url=self.url, api_key=MASTER, **options)


@pytest.fixture(scope="session")
def running(embedded_provider_session: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    """One proxy per session (it takes seconds to start), with the example's config. The pool's targets are endpoint `a`
    (OpenAI's wire format) and `b` (Anthropic's); the proxy's own group `own` has `c` and `d` (OpenAI's)."""
    config = yaml.safe_load((EXAMPLE / "config.yaml").read_text(encoding="utf-8"))
    for name in "cd":
        params = {"model": "openai/gpt-4.1", "api_base": embedded_provider_session.base_url(name), "api_key": KEY}
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
        "OPENAI_BASE_URL": embedded_provider_session.base_url("a"),
        "ANTHROPIC_BASE_URL": embedded_provider_session.base_url("b", "anthropic"),
    }
    with example.proxy(MASTER, path, OPENAI_API_KEY=KEY, ANTHROPIC_API_KEY=KEY, **addresses) as url:
        found = Proxied(url, example)
        for model in ("hotspare/default", "own"):  # the first call imports half of LiteLLM
            found.client().chat.completions.create(model=model, messages=MESSAGES)
        yield found


@pytest.fixture
def proxy(running: Proxied, provider: Provider) -> Proxied:
    """The proxy, with the provider's faults reset."""
    return running


@pytest.fixture
def outage(provider: Provider) -> None:
    """The primary is down."""
    provider.fault("a", "status", status=503)


def upstream(provider: Provider) -> int:
    """Requests that reached any endpoint."""
    return sum(provider.stats(name).requests for name in "abcd")


def test_the_example_runs(proxy: Proxied, outage: None, capsys: pytest.CaptureFixture[str]) -> None:
    """As in the documentation, through an outage: the target that answered, and both answers."""
    proxy.example.ask(proxy.url, MASTER)
    printed = capsys.readouterr().out
    assert printed.startswith("answered by: claude\n")
    assert answer("What's the weather in Seoul?") in printed
    assert answer("And tomorrow?") in printed


def test_a_whole_answer(proxy: Proxied, outage: None) -> None:
    """Text, usage and cost are right; the headers name the target."""
    raw = proxy.client().chat.completions.with_raw_response.create(model="hotspare/default", messages=MESSAGES)
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
    """It fails before its first content or breaks later: the text is whole, and usage is the provider's."""
    provider.fault("a", fault, **({"at": 10} if fault == "cut" else {"status": 503}))
    chunks = list(
        proxy.client().chat.completions.create(
            model="gpt-4.1", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
        )
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == answer("hello there")
    assert "stop" in [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices]
    assert chunks[-1].usage and chunks[-1].usage.completion_tokens >= 50


@pytest.mark.parametrize("stream", [False, True])
def test_tools(stream: bool, proxy: Proxied, outage: None) -> None:
    """Two parallel calls during an outage, and their results."""
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
    reply = client.chat.completions.create(model="hotspare/default", messages=history, tools=TOOLS)
    assert reply.choices[0].message.content == after_tools(question[0]["content"], ["r0", "r1"])


def test_structured_output(proxy: Proxied, outage: None) -> None:
    """A schema gives JSON."""
    schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    reply = proxy.client().chat.completions.create(
        model="hotspare/default",
        messages=MESSAGES,
        response_format={"type": "json_schema", "json_schema": {"name": "city", "schema": schema}},
    )
    assert set(json.loads(reply.choices[0].message.content or "")) == {"name"}


@pytest.mark.anyio
async def test_async_clients(proxy: Proxied, outage: None) -> None:
    """Twenty concurrent calls are answered."""
    import anyio

    texts: list[str | None] = []

    async with AsyncOpenAI(base_url=proxy.url, api_key=MASTER) as client, anyio.create_task_group() as group:

        async def one() -> None:
            reply = await client.chat.completions.create(model="hotspare/smart", messages=MESSAGES)
            texts.append(reply.choices[0].message.content)

        for _ in range(20):
            group.start_soon(one)
    assert texts == [answer("hello there")] * 20


@pytest.mark.parametrize("stream", [False, True])
def test_everything_down_is_bounded(stream: bool, proxy: Proxied, provider: Provider) -> None:
    """With the default retries of proxy, pool and SDK, only the pool's attempts are made. LiteLLM sends no headers with
    the error of a stream, so there the SDK's own retries must be off."""
    provider.fault(["a", "b"], "status", status=500)
    client = proxy.client(max_retries=0) if stream else proxy.client()
    with pytest.raises(openai.APIError) as caught:
        list(
            client.chat.completions.create(
                model="hotspare/default", messages=MESSAGES, stream=stream, extra_body={"timeout": 3}
            )
        )
    assert getattr(caught.value, "status_code", 503) == 503
    made = re.search(r"(\d+) attempts failed", str(caught.value))
    early = 15  # five early probes a second, which use none of a call's own attempts
    assert made and upstream(provider) == int(made[1]) <= 6 + early


@pytest.mark.parametrize(
    ("words", "fault", "expected"),
    [
        ("toolong", None, openai.BadRequestError),
        ("refuse me", None, openai.BadRequestError),
        ("hello", {"kind": "blackhole"}, openai.APIStatusError),
        ("hello", {"kind": "rate_limited", "retry_after": 3}, openai.RateLimitError),  # the last: the limit outlives it
    ],
)
def test_errors(
    words: str, fault: dict[str, Any] | None, expected: type[Exception], proxy: Proxied, provider: Provider
) -> None:
    """The SDK's own classes, with the attempts in the message and no key."""
    if fault:
        provider.fault(["a", "b"], **fault)
    with pytest.raises(expected, match=r"hotspare|attempt") as caught:
        proxy.client(max_retries=0).chat.completions.create(
            model="hotspare/default", messages=[{"role": "user", "content": words}], extra_body={"timeout": 1.5}
        )
    assert KEY not in str(caught.value)


def get(proxy: Proxied, path: str) -> Any:
    """The JSON of one of the proxy's own pages."""
    request = urllib.request.Request(f"{proxy.url}{path}", headers={"Authorization": f"Bearer {MASTER}"})
    with urllib.request.urlopen(request, timeout=60) as answer_:
        return json.load(answer_)


def test_the_list_of_models(proxy: Proxied) -> None:
    """`/v1/models` has the routes, models and targets that `hotspare/*` stands for, and they can be called."""
    listed = {model.id for model in proxy.client().models.list()}
    assert listed >= {"gpt-4.1", "own"} | {
        f"hotspare/{name}" for name in ("default", "smart", "gpt-4.1", "claude-sonnet-4-5", "gpt", "claude")
    }
    for model in sorted(listed - {"own"}):
        reply = proxy.client().chat.completions.create(model=model, messages=MESSAGES)
        assert reply.choices[0].message.content == answer("hello there")


def test_the_health_page(proxy: Proxied, provider: Provider) -> None:
    """`/health` calls every deployment: the pool's are healthy, also with one target down, and are not with all down."""

    def unhealthy() -> int:
        found = get(proxy, "/health")
        return sum(entry["model"].startswith("hotspare/") for entry in found["unhealthy_endpoints"])

    assert unhealthy() == 0
    provider.fault("a", "status", status=503)
    assert unhealthy() == 0
    provider.reset()
    provider.fault(["a", "b"], "status", status=400)
    assert unhealthy() == 2


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/responses", "/v1/chat/completions"])
@pytest.mark.parametrize("stream", [False, True])
def test_the_status_of_an_invalid_request(path: str, stream: bool, proxy: Proxied) -> None:
    """It stands in the response's status line, not in a stream that has begun, in each of the three APIs."""
    question: dict[str, Any] = {"messages": [{"role": "user", "content": "toolong"}], "max_tokens": 9}
    if path == "/v1/responses":
        question = {"input": "toolong"}
    data = json.dumps({"model": "hotspare/default", "stream": stream, **question}).encode()
    headers = {"Authorization": f"Bearer {MASTER}", "Content-Type": "application/json"}
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(urllib.request.Request(f"{proxy.url}{path}", data, headers), timeout=60)
    assert caught.value.code == 400
    caught.value.close()


def test_the_proxys_own_deployments_are_routed_by_health(proxy: Proxied, provider: Provider) -> None:
    """With `litellm_hotspare.proxy_routing`, a failed deployment is no longer called once its breaker is open;
    LiteLLM's retries answer every call."""
    provider.fault("c", "status", status=500)
    client = proxy.client(max_retries=0)
    until = time.monotonic() + 15
    texts: list[str | None] = []
    requests = [0]
    while requests[-1] < 5 or requests[-1] > requests[-20 if len(requests) > 20 else 0]:
        assert time.monotonic() < until, "a failed deployment was still called"
        texts.append(client.chat.completions.create(model="own", messages=MESSAGES).choices[0].message.content)
        requests.append(provider.stats("c").requests)
    assert set(texts) == {answer("hello there")}
    stream = client.chat.completions.create(model="own", messages=MESSAGES, stream=True)
    assert "".join(c.choices[0].delta.content or "" for c in stream if c.choices) == answer("hello there")


def test_the_proxys_own_deployments_all_down(proxy: Proxied, provider: Provider) -> None:
    """One call makes the proxy's own retries and no more, and fewer once the breakers are open."""
    provider.fault(["c", "d"], "status", status=500)
    for _ in range(4):
        before = upstream(provider)
        with pytest.raises(openai.APIStatusError):
            proxy.client(max_retries=0).chat.completions.create(model="own", messages=MESSAGES)
        assert upstream(provider) - before <= 3
