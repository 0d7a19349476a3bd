"""LiteLLM over the embedded provider. LiteLLM runs on asyncio only."""

from collections.abc import Iterator

import litellm
import litellm_hotspare
import pytest
from hotspare import Pool, Target
from hotspare.drill.provider import KEY, Provider

WIRES = (
    ("openai", "openai/gpt-4.1"),
    ("anthropic", "anthropic/claude-sonnet-4-5"),
    ("gemini", "gemini/gemini-2.5-flash"),
)
LISTS = (
    "callbacks", "custom_provider_map", "success_callback", "failure_callback", "_async_success_callback",
    "_async_failure_callback", "input_callback",
)  # fmt: skip


@pytest.fixture
def anyio_backend() -> str:
    """LiteLLM's async code runs on asyncio only."""
    return "asyncio"


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Restore LiteLLM's global settings after each test."""
    for name in LISTS:
        monkeypatch.setattr(litellm, name, [])
    monkeypatch.setattr(litellm, "suppress_debug_info", True)


@pytest.fixture
def pool(provider: Provider) -> Iterator[Pool]:
    """Three targets in order, registered with LiteLLM: `a` speaks OpenAI's wire format, `b` Anthropic's, `c`
    Gemini's."""
    targets = [
        Target(model, name=name, base_url=provider.base_url(name, wire), api_key=KEY, price=(1, 2))
        for name, (wire, model) in zip("abc", WIRES, strict=True)
    ]
    with Pool(targets, deadline=10, when_all_down="fail") as running:
        litellm_hotspare.register(running)
        yield running
