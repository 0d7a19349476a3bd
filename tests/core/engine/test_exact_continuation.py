"""Broken answers are continued by a prefill in each server's own way, and the text is the unbroken one at every cut."""

from typing import Any

import pytest
from hotspare import Breaker, Pool, Target
from hotspare.drill.answers import answer, tokenize
from hotspare.drill.provider import KEY, Provider

from tests.support.methods import METHODS, run, text_of

PROMPT = "tokens=24 q"
TOKENS = tokenize(answer(PROMPT))
WAYS: dict[str, tuple[dict[str, Any], str, dict[str, Any], dict[str, Any]]] = {
    "vllm": ({"id": "vllm/m"}, "openai", {}, {"continue_final_message": True, "add_generation_prompt": False}),
    "mistral": ({"id": "mistral/mistral-small"}, "openai", {}, {"prefix": True}),
    "deepseek": ({"id": "deepseek/deepseek-chat"}, "openai", {}, {"prefix": True}),
    "ollama": ({"id": "ollama/m"}, "openai", {"prefill": "continue"}, {}),
    "llama.cpp": ({"id": "openai-compatible/m", "prefill": True}, "openai", {"prefill": "echo"}, {}),
    "openrouter": ({"id": "openrouter/anthropic/claude-sonnet-4.5"}, "openai", {"prefill": "continue"}, {}),
    "anthropic": ({"id": "anthropic/claude-sonnet-4-5"}, "anthropic", {}, {}),
    "gemini": ({"id": "gemini/gemini-2.5-flash"}, "gemini", {}, {}),
}
"""Per server: its target, its wire, how the embedded provider continues there, and what of the request asks for it."""
NEVER = Breaker(consecutive_failures=10**9, minimum_throughput=10**9)


def target_of(provider: Provider, endpoint: str, wire: str, fields: dict[str, Any]) -> Target:
    base = provider.base_url(endpoint, wire) + ("/beta" if fields["id"].startswith("deepseek") else "")
    return Target(**fields, name=endpoint, region=endpoint, base_url=base, api_key=KEY)


@pytest.mark.parametrize("way", WAYS)
def test_every_cut_is_continued_exactly(way: str, provider: Provider) -> None:
    """Broken behind each token: by a prefill, never by an instruction, and nothing is said twice or lost."""
    fields, wire, settings, marks = WAYS[way]
    provider.configure("b", **settings)
    broken = Target("openai/gpt-4.1", name="a", region="a", base_url=provider.base_url("a"), api_key=KEY)
    with Pool([broken, target_of(provider, "b", wire, fields)], breaker=NEVER, retry_same_target="never") as pool:
        for cut in range(1, len(TOKENS)):
            provider.clear("a")
            provider.fault("a", "cut", at=cut)
            assert "".join(chunk.text for chunk in pool.stream(PROMPT)) == answer(PROMPT), f"behind {cut} tokens"
    body = provider.recorded_requests("b")[-1]["body"]
    last = (body.get("messages") or body["contents"])[-1]
    assert last["role"] in ("assistant", "model") and marks.items() <= {**body, **last}.items()


@pytest.mark.parametrize("method", [method for method in METHODS if "stream" in method])
def test_a_refused_prefill_is_learnt(method: str, provider: Provider) -> None:
    """The same call continues by an instruction, and the next one uses no prefill."""
    provider.fault("a", "cut", at=9)
    provider.configure("b", prefill="refuse")
    targets = [
        Target("openai/gpt-4.1", name="a", region="a", base_url=provider.base_url("a"), api_key=KEY),
        target_of(provider, "b", "openai", {"id": "vllm/m"}),
    ]

    async def twice(pool: Pool, name: str) -> None:
        for _ in range(2):
            assert await text_of(pool, name, PROMPT) == answer(PROMPT)

    run(method, Pool(targets, breaker=NEVER, retry_same_target="never"), twice)
    roles = [request["body"]["messages"][-1]["role"] for request in provider.recorded_requests("b")]
    assert roles == ["assistant", "user", "user"]


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ({"id": "openai/gpt-4.1"}, "user"),
        ({"id": "vllm/m", "prefill": False}, "user"),
        ({"id": "openai/gpt-4.1", "prefill": True}, "assistant"),
        ({"id": "openrouter/openai/gpt-4.1"}, "user"),
        ({"id": "openrouter/anthropic/claude-opus-4.6"}, "user"),
        ({"id": "anthropic/claude-opus-4-6"}, "user"),
    ],
    ids=str,
)
def test_the_target_says_whether(target: dict[str, Any], expected: str, provider: Provider) -> None:
    """`Target(prefill=…)` stands above what is known of provider and model."""
    provider.fault("a", "cut", at=9)
    provider.configure("b", prefill="continue")
    wire = "anthropic" if target["id"].startswith("anthropic") else "openai"
    first = Target("openai/gpt-4.1", name="a", region="a", base_url=provider.base_url("a"), api_key=KEY)
    with Pool([first, target_of(provider, "b", wire, target)], retry_same_target="never") as pool:
        assert "".join(chunk.text for chunk in pool.stream(PROMPT)) == answer(PROMPT)
    (request,) = provider.recorded_requests("b")
    assert request["body"]["messages"][-1]["role"] == expected
