"""LlamaIndex over the embedded provider. LlamaIndex runs on asyncio only."""

import gc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hotspare import Pool, Target
from hotspare.drill.provider import KEY, Provider
from llama_index.core import Settings
from llama_index.llms.hotspare import Hotspare
from llama_index.llms.openai import OpenAI

WIRES = (
    ("openai", "openai/gpt-4.1"),
    ("anthropic", "anthropic/claude-sonnet-4-5"),
    ("gemini", "gemini/gemini-2.5-flash"),
)


@pytest.fixture(scope="module", autouse=True)
def _collect_greenlets() -> Iterator[None]:
    """LlamaIndex's memory uses SQLAlchemy's greenlets: if they are collected while Python 3.11 parses, its parser
    fails."""
    yield
    gc.collect()


@pytest.fixture
def anyio_backend() -> str:
    """LlamaIndex's async code runs on asyncio only."""
    return "asyncio"


@pytest.fixture
def pool(provider: Provider) -> Iterator[Pool]:
    """Three targets in order: `a` speaks OpenAI's wire format, `b` Anthropic's, `c` Gemini's."""
    targets = [
        Target(model, name=name, base_url=provider.base_url(name, wire), api_key=KEY)
        for name, (wire, model) in zip("abc", WIRES, strict=True)
    ]
    with Pool(targets, deadline=10, when_all_down="fail") as running:
        yield running


@pytest.fixture
def llm(pool: Pool) -> Hotspare:
    """The LLM under test."""
    return Hotspare(pool=pool)


@pytest.fixture(autouse=True)
def _own_settings() -> Iterator[None]:
    """Restore LlamaIndex's global settings after each test."""
    before = dict(Settings.__dict__)
    yield
    Settings.__dict__.clear()
    Settings.__dict__.update(before)


@pytest.fixture
def outage(provider: Provider) -> Callable[..., None]:
    """`outage(after=2)`: endpoint `a` answers two requests, then 503 to every one."""

    def begin(endpoint: str = "a", *, after: int = 0, **fault: Any) -> None:
        provider.fault(endpoint, fault.pop("kind", "status"), **{"status": 503, "skip": after, **fault})

    return begin


_KEPT: list[Hotspare] = []
"""Kept alive: an OpenAI client closes itself when it is collected, in whichever event loop runs then, and fails there."""


@pytest.fixture
def openai_llm(provider: Provider) -> Callable[..., OpenAI]:
    """`openai_llm("a")`: LlamaIndex's OpenAI LLM at an endpoint."""

    def make(endpoint: str, *, key: str = KEY, **fields: Any) -> OpenAI:
        return OpenAI(**{"model": "gpt-4.1", "api_base": provider.base_url(endpoint), "api_key": key, **fields})

    return make


@pytest.fixture
def over_llms(openai_llm: Callable[..., OpenAI]) -> Callable[..., Hotspare]:
    """`over_llms("ab")`: a Hotspare over LlamaIndex's OpenAI LLMs at these endpoints."""

    def make(endpoints: str, **fields: Any) -> Hotspare:
        _KEPT.append(Hotspare(llms=[openai_llm(endpoint, **fields) for endpoint in endpoints]))
        return _KEPT[-1]

    return make
