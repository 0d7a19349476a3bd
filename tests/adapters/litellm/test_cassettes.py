"""The project's recordings through the provider and through the strategy: what real servers said, failover included."""

import json
import ssl
from collections.abc import Iterator
from typing import Any

import litellm
import litellm_hotspare
import pytest
from hotspare import Pool, Target
from hotspare._health.breaker import State

from tests.adapters.litellm.asking import ask
from tests.adapters.litellm.routers import told as all_told
from tests.support.cases import CASES, KEY, PROVIDERS, Case
from tests.support.cassettes import expected, recording, replay
from tests.support.told import Told, told

pytestmark = pytest.mark.anyio

TLS = ssl.create_default_context()
"""One for all pools: to make one takes longer than a replayed call."""
GOOD = sorted(name for name in expected() if "/error-" not in name and not name.startswith(("azure/", "deepseek/")))
"""Each dialect once, and the two relays: what another name of the same wire says is read alike."""
DIALECTS = {"anthropic": "anthropic", "gemini": "gemini"}
CAPITAL = "The capital of South Korea is Seoul."


def asked(case: Case) -> dict[str, Any]:
    """A recorded question in LiteLLM's words."""
    request = case.request
    fields = {"tools": list(request.tools), "response_format": request.response_format}
    found: dict[str, Any] = {
        "messages": list(request.messages),
        **{name: value for name, value in fields.items() if value},
    }
    if request.reasoning_effort:
        found |= {"reasoning_effort": request.reasoning_effort, "allowed_openai_params": ["reasoning_effort"]}
    return found


def face_of(case: Case, *, asynchronous: bool) -> str:
    """Whole or streamed, as it was recorded."""
    return ("a" if asynchronous else "") + ("stream" if case.stream else "completion")


def recorded(name: str) -> Told:
    """The recording, read by hand."""
    provider, _, which = name.partition("/")
    body = recording(name)["response"]["body"]["string"]
    return told(DIALECTS.get(provider, "openai"), body, stream=CASES[which].stream)


def whole(answers: list[Any]) -> Any:
    """The answer, or what LiteLLM itself makes of a stream's chunks."""
    return answers[0] if hasattr(answers[0].choices[0], "message") else litellm.stream_chunk_builder(answers)


def check(reply: Any, said: Told) -> None:
    """Text, reasoning, calls, reason and tokens, where LiteLLM users look."""
    message = reply.choices[0].message
    assert (message.content or "") == said.text
    assert (getattr(message, "reasoning_content", None) or "") == said.reasoning
    calls = [(call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls or ()]
    assert calls == [(call.name, call.arguments) for call in said.calls]
    assert reply.choices[0].finish_reason == said.finish
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == said.tokens[:2]


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("name", GOOD)
async def test_every_recorded_answer_arrives(name: str, asynchronous: bool) -> None:
    """Through the provider; the request is the recorded one to the last field."""
    provider, _, which = name.partition("/")
    case = PROVIDERS[provider].case(which)
    with replay(name) as targets, Pool(targets, transport="httpx", verify=TLS) as pool:
        litellm_hotspare.register(pool)
        _, answers = await ask(face_of(case, asynchronous=asynchronous), **asked(case))
    check(whole(answers), recorded(name))


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("error", ["error-401", "error-429", "error-500", "error-503", "error-529"])
@pytest.mark.parametrize("which", ["plain", "stream", "tools", "tools-stream"])
async def test_failover_across_two_recordings(error: str, which: str, asynchronous: bool) -> None:
    """OpenAI refuses, Anthropic answers, in one call of LiteLLM's."""
    case = CASES[which]
    names = f"openai/{error}", f"anthropic/{which}"
    with replay(*names) as targets, Pool(targets, transport="httpx", verify=TLS, retry_same_target="never") as pool:
        litellm_hotspare.register(pool)
        _, answers = await ask(face_of(case, asynchronous=asynchronous), **asked(case))
    check(whole(answers), recorded(names[1]))


CLASSES = {
    "400": litellm.ContextWindowExceededError, "401": litellm.AuthenticationError, "404": litellm.NotFoundError,
    "429": litellm.RateLimitError, "500": litellm.ServiceUnavailableError, "503": litellm.ServiceUnavailableError,
    "529": litellm.ServiceUnavailableError,
}  # fmt: skip


@pytest.mark.parametrize("status", CLASSES)
@pytest.mark.parametrize("provider", ["openai", "anthropic", "gemini", "litellm"])
async def test_recorded_refusals(provider: str, status: str) -> None:
    """Alone, each leaves as LiteLLM's own class."""
    with (
        replay(f"{provider}/error-{status}") as targets,
        Pool(targets, transport="httpx", verify=TLS, when_all_down="fail") as pool,
    ):
        litellm_hotspare.register(pool)
        with pytest.raises(CLASSES[status]) as caught:
            await ask("acompletion", **asked(CASES["plain"]))
    assert type(caught.value) is CLASSES[status]


@pytest.fixture
def replayable(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """LiteLLM's own calls over httpx, where vcrpy replays them; no client of another test's, and none left to the next."""
    monkeypatch.setattr(litellm, "disable_aiohttp_transport", True)
    forget_clients()
    yield
    forget_clients()


def forget_clients() -> None:
    """LiteLLM keeps its clients for good; an httpx one belongs to the event loop it was first used in."""
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
    """The Router's own deployments: OpenAI refuses, LiteLLM's retry asks Anthropic, and both are remembered."""
    case = CASES[which]
    names = "openai/error-503", f"anthropic/{which}"
    with replay(*names, bodies=False) as targets:
        router = litellm.Router(model_list=[deployment(target) for target in targets])
        strategy = litellm_hotspare.route(router, strategy="ordered")
        text, answers = await ask(face_of(case, asynchronous=asynchronous), router, model="m", **asked(case))
        await all_told(strategy)
    said = recorded(names[1])
    assert (text or "") == said.text
    assert [call.function.name for call in whole(answers).choices[0].message.tool_calls or ()] == [
        c.name for c in said.calls
    ]
    assert [(t.calls, t.failures, t.state) for t in strategy.health().targets] == [
        (1, 1, State.CLOSED),
        (1, 0, State.CLOSED),
    ]
