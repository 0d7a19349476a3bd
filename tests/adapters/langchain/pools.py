"""Pools for the LangChain adapter's tests: wire targets and native models, all on the embedded provider."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, Literal

import anyio
from hotspare import Pool, Target
from hotspare.drill.provider import KEY, Provider
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_hotspare.members import targets_of
from langchain_openai import ChatOpenAI

State = Literal["well", "primary dead", "last alive"]
Kind = Literal["wire", "native"]
KINDS: tuple[Kind, ...] = ("wire", "native")
STATES: tuple[State, ...] = ("well", "primary dead", "last alive")
_DEAD: dict[State, str] = {"well": "", "primary dead": "a", "last alive": "ab"}


def wire_targets(provider: Provider) -> list[Target]:
    """One target a wire format, on the endpoints a, b and c."""
    return [
        Target("openai/gpt-4.1", name="a", base_url=provider.base_url("a"), api_key=KEY),
        Target("anthropic/claude-sonnet-4-5", name="b", base_url=provider.base_url("b", "anthropic"), api_key=KEY),
        Target("gemini/gemini-2.5-flash", name="c", base_url=provider.base_url("c", "gemini"), api_key=KEY),
    ]


def openai(provider: Provider, endpoint: str, model: str = "gpt-4.1", **fields: Any) -> ChatOpenAI:
    """LangChain's own OpenAI model, with its SDK's retries as they come."""
    return ChatOpenAI(model=model, base_url=provider.base_url(endpoint), api_key=KEY, stream_usage=True, **fields)


def anthropic(provider: Provider, endpoint: str, model: str = "claude-sonnet-4-5", **fields: Any) -> ChatAnthropic:
    """LangChain's own Anthropic model, with its SDK's retries as they come."""
    return ChatAnthropic(model_name=model, base_url=provider.base_url(endpoint, "anthropic"), api_key=KEY, **fields)


def google(provider: Provider, endpoint: str, model: str = "gemini-2.5-flash", **fields: Any) -> BaseChatModel:
    """LangChain's own Gemini model, with its SDK's six attempts. It cannot live beside the newest google-genai."""
    from langchain_google_genai import ChatGoogleGenerativeAI

    return ChatGoogleGenerativeAI(model=model, base_url=provider.url(endpoint), google_api_key=KEY, **fields)


WITH_GOOGLE = find_spec("langchain_google_genai") is not None
"""Whether it is installed: it is in the environment of `make natives`."""


def native_models(provider: Provider) -> list[BaseChatModel]:
    """Two OpenAI models and an Anthropic one, on the endpoints a, b and c."""
    return [openai(provider, "a"), openai(provider, "b", "gpt-5"), anthropic(provider, "c")]


@contextmanager
def pool_in(state: State, kind: Kind, provider: Provider, **policy: Any) -> Iterator[Pool]:
    """A pool that knows already who is dead: with breakers open, as after the first second of an outage."""
    targets = wire_targets(provider) if kind == "wire" else targets_of(native_models(provider))
    for endpoint in _DEAD[state]:
        provider.fault(
            endpoint, "refused" if endpoint == "a" else "status", **({} if endpoint == "a" else {"status": 503})
        )
    with Pool(targets, retry_same_target="never", **policy) as pool:
        for _ in range(12 if _DEAD[state] else 0):
            pool.chat("tokens=1")
        yield pool


async def comes_true(condition: Any, seconds: float = 5.0) -> bool:
    """Whether it comes true: a server's counters follow its client by a moment."""
    with anyio.move_on_after(seconds):
        while not condition():  # noqa: ASYNC110 - the other process has no event to wait for
            await anyio.sleep(0.005)
    return bool(condition())
