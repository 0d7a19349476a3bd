"""The project's recordings through the provider and the strategy: recorded answers arrive, after a failover too."""

import json
import ssl
from collections.abc import Iterator
from typing import Any

import litellm
import litellm_hotspare
import pytest
from hotspare import Pool, State, Target

from tests.adapters.litellm.calling import complete
from tests.adapters.litellm.routers import all_recorded
from tests.support.cases import CASES, KEY, PROVIDERS, Case
from tests.support.cassettes import expected, recording, replay
from tests.support.reference_reader import ReadAnswer, read_recording

pytestmark = pytest.mark.anyio

TLS = ssl.create_default_context()
"""One for all pools: creating a context takes longer than a replayed call."""
GOOD = sorted(name for name in expected() if "/error-" not in name and not name.startswith(("azure/", "deepseek/")))
"""Each dialect once, and the two relays: other providers with the same wire format are read by the same code."""
DIALECTS = {"anthropic": "anthropic", "gemini": "gemini"}
CAPITAL = "The capital of South Korea is Seoul."


def arguments_of(case: Case) -> dict[str, Any]:
    """A recorded question as LiteLLM's arguments."""
    request = case.request
    fields = {"tools": list(request.tools), "response_format": request.response_format}
    found: dict[str, Any] = {
        "messages": list(request.messages),
        **{name: value for name, value in fields.items() if value},
    }
    if request.reasoning_effort:
        found |= {"reasoning_effort": request.reasoning_effort, "allowed_openai_params": ["reasoning_effort"]}
    return found


def method_of(case: Case, *, asynchronous: bool) -> str:
    """Whole or streamed, as the recording is."""
    return ("a" if asynchronous else "") + ("stream" if case.stream else "completion")


def recorded(name: str) -> ReadAnswer:
    """The recording, read by the test itself."""
    provider, _, which = name.partition("/")
    body = recording(name)["response"]["body"]["string"]
    return read_recording(DIALECTS.get(provider, "openai"), body, stream=CASES[which].stream)


def whole(answers: list[Any]) -> Any:
    """The response, or the one that LiteLLM builds from a stream's chunks."""
    return answers[0] if hasattr(answers[0].choices[0], "message") else litellm.stream_chunk_builder(answers)


def check(reply: Any, expected_answer: ReadAnswer) -> None:
    """Check text, reasoning, tool calls, finish reason and tokens."""
    message = reply.choices[0].message
    assert (message.content or "") == expected_answer.text
    assert (getattr(message, "reasoning_content", None) or "") == expected_answer.reasoning
    calls = [(call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls or ()]
    assert calls == [(call.name, call.arguments) for call in expected_answer.calls]
    assert reply.choices[0].finish_reason == expected_answer.finish
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == expected_answer.tokens[:2]


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("name", GOOD)
async def test_every_recorded_answer_arrives(name: str, asynchronous: bool) -> None:
    """Through the provider; the request equals the recorded one."""
    provider, _, which = name.partition("/")
    case = PROVIDERS[provider].case(which)
    with replay(name) as targets, Pool(targets, transport="httpx", verify=TLS) as pool:
        litellm_hotspare.register(pool)
        _, answers = await complete(method_of(case, asynchronous=asynchronous), **arguments_of(case))
    check(whole(answers), recorded(name))


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("error", ["error-401", "error-429", "error-500", "error-503", "error-529"])
@pytest.mark.parametrize("which", ["plain", "stream", "tools", "tools-stream"])
async def test_failover_across_two_recordings(error: str, which: str, asynchronous: bool) -> None:
    """In one LiteLLM call, OpenAI answers with an error and Anthropic with the answer."""
    case = CASES[which]
    names = f"openai/{error}", f"anthropic/{which}"
    with replay(*names) as targets, Pool(targets, transport="httpx", verify=TLS, retry_same_target="never") as pool:
        litellm_hotspare.register(pool)
        _, answers = await complete(method_of(case, asynchronous=asynchronous), **arguments_of(case))
    check(whole(answers), recorded(names[1]))


CLASSES = {
    "400": litellm.ContextWindowExceededError, "401": litellm.AuthenticationError, "404": litellm.NotFoundError,
    "429": litellm.RateLimitError, "500": litellm.ServiceUnavailableError, "503": litellm.ServiceUnavailableError,
    "529": litellm.ServiceUnavailableError,
}  # fmt: skip


@pytest.mark.parametrize("status", CLASSES)
@pytest.mark.parametrize("provider", ["openai", "anthropic", "gemini", "litellm"])
async def test_recorded_errors(provider: str, status: str) -> None:
    """Each error of a single target is raised as LiteLLM's own class."""
    with (
        replay(f"{provider}/error-{status}") as targets,
        Pool(targets, transport="httpx", verify=TLS, when_all_down="fail") as pool,
    ):
        litellm_hotspare.register(pool)
        with pytest.raises(CLASSES[status]) as caught:
            await complete("acompletion", **arguments_of(CASES["plain"]))
    assert type(caught.value) is CLASSES[status]


@pytest.fixture
def replayable(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """LiteLLM's own calls over httpx, where vcrpy replays them, with clients of this test only."""
    monkeypatch.setattr(litellm, "disable_aiohttp_transport", True)
    forget_clients()
    yield
    forget_clients()


def forget_clients() -> None:
    """Drop LiteLLM's cached clients: an httpx client belongs to the event loop that it was first used in."""
    litellm.in_memory_llm_clients_cache.flush_cache()
    for name in ("module_level_aclient", "module_level_client"):
        vars(litellm).pop(name, None)


def deployment(target: Target) -> dict[str, Any]:
    """A recorded target as a Router's deployment."""
    return {
        "model_name": "m",
        "litellm_params": {"model": target.id, "api_base": target.base_url, "api_key": KEY},
        "model_info": {"id": target.provider},
    }


@pytest.mark.usefixtures("replayable")
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("which", ["plain", "stream", "tools", "tools-stream"])
async def test_the_strategy_across_two_recordings(which: str, asynchronous: bool) -> None:
    """The Router's own deployments: OpenAI fails, LiteLLM's retry calls Anthropic, and both outcomes are recorded."""
    case = CASES[which]
    names = "openai/error-503", f"anthropic/{which}"
    with replay(*names, bodies=False) as targets:
        router = litellm.Router(model_list=[deployment(target) for target in targets])
        strategy = litellm_hotspare.route(router, strategy="ordered")
        text, answers = await complete(
            method_of(case, asynchronous=asynchronous), router, model="m", **arguments_of(case)
        )
        await all_recorded(strategy)
    expected_answer = recorded(names[1])
    assert (text or "") == expected_answer.text
    assert [call.function.name for call in whole(answers).choices[0].message.tool_calls or ()] == [
        c.name for c in expected_answer.calls
    ]
    assert [(t.calls, t.failures, t.state) for t in strategy.health().targets] == [
        (1, 1, State.CLOSED),
        (1, 0, State.CLOSED),
    ]
