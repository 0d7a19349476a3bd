"""Pools for the LangChain adapter's tests: hotspare's own targets and LangChain models, all on the embedded provider."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, Literal

import anyio
import pytest
from hotspare import Breaker, Pool, Target
from hotspare.drill.provider import KEY, Provider
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_hotspare.targets import targets_of
from langchain_openai import ChatOpenAI

State = Literal["healthy", "primary down", "only last up"]
TargetKind = Literal["hotspare", "langchain"]
KINDS: tuple[TargetKind, ...] = ("hotspare", "langchain")
STATES: tuple[State, ...] = ("healthy", "primary down", "only last up")
_DOWN: dict[State, str] = {"healthy": "", "primary down": "a", "only last up": "ab"}


def hotspare_targets(provider: Provider) -> list[Target]:
    """One target per wire format, on the endpoints a, b and c."""
    return [
        Target("openai/gpt-4.1", name="a", base_url=provider.base_url("a"), api_key=KEY),
        Target("anthropic/claude-sonnet-4-5", name="b", base_url=provider.base_url("b", "anthropic"), api_key=KEY),
        Target("gemini/gemini-2.5-flash", name="c", base_url=provider.base_url("c", "gemini"), api_key=KEY),
    ]


def openai(provider: Provider, endpoint: str, model: str = "gpt-4.1", **fields: Any) -> ChatOpenAI:
    """LangChain's OpenAI model, with its SDK's default retries."""
    return ChatOpenAI(model=model, base_url=provider.base_url(endpoint), api_key=KEY, stream_usage=True, **fields)


def anthropic(provider: Provider, endpoint: str, model: str = "claude-sonnet-4-5", **fields: Any) -> ChatAnthropic:
    """LangChain's Anthropic model, with its SDK's default retries."""
    return ChatAnthropic(model_name=model, base_url=provider.base_url(endpoint, "anthropic"), api_key=KEY, **fields)


def google(provider: Provider, endpoint: str, model: str = "gemini-2.5-flash", **fields: Any) -> BaseChatModel:
    """LangChain's Gemini model, with its SDK's default of six attempts. It conflicts with the newest google-genai."""
    from langchain_google_genai import ChatGoogleGenerativeAI

    return ChatGoogleGenerativeAI(model=model, base_url=provider.url(endpoint), google_api_key=KEY, **fields)


WITH_GOOGLE = find_spec("langchain_google_genai") is not None
"""Whether LangChain's Gemini model is installed; it is in the environment of `make natives`."""


Make = Callable[..., BaseChatModel]
MADE: list[Make] = [openai, anthropic, *([google] if WITH_GOOGLE else [])]
MAKERS = pytest.mark.parametrize("make", MADE, ids=lambda make: make.__name__)


def langchain_models(provider: Provider) -> list[BaseChatModel]:
    """Two OpenAI models and an Anthropic one, on the endpoints a, b and c."""
    return [openai(provider, "a"), openai(provider, "b", "gpt-5"), anthropic(provider, "c")]


@contextmanager
def pool_in(state: State, kind: TargetKind, provider: Provider, **policy: Any) -> Iterator[Pool]:
    """A pool whose breakers are already open for the targets that are down."""
    targets = hotspare_targets(provider) if kind == "hotspare" else targets_of(langchain_models(provider))
    for endpoint in _DOWN[state]:
        provider.fault(
            endpoint, "refused" if endpoint == "a" else "status", **({} if endpoint == "a" else {"status": 503})
        )
    stays_open = Breaker(
        break_duration=600, max_break_duration=600
    )  # a probe in the middle of a test would be one more call
    with Pool(targets, retry_same_target="never", breaker=stays_open, **policy) as pool:
        for _ in range(12 if _DOWN[state] else 0):
            pool.chat("tokens=1")
        yield pool


async def comes_true(condition: Any, seconds: float = 5.0) -> bool:
    """Whether the condition becomes true within the time: the provider's counters lag behind its client."""
    with anyio.move_on_after(seconds):
        while not condition():  # noqa: ASYNC110 - the other process has no event to wait for
            await anyio.sleep(0.005)
    return bool(condition())
