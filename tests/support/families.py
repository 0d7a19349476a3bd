"""A pool of four model families, each over its own wire, all of which reason and validate the histories that they are sent."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager

from hotspare import Breaker, Pool, Target
from hotspare.drill.provider import KEY, Provider

PROMPT = "Please call get_weather"
ENDPOINTS = {"gpt": "a", "claude": "b", "gemini": "c", "deepseek": "d"}
FAMILIES = tuple(ENDPOINTS)
PAIRS = list(itertools.permutations(FAMILIES, 2))


def targets(provider: Provider) -> list[Target]:
    """GPT-5.6 over Responses, Claude, Gemini 3 and DeepSeek."""
    return [
        Target("openai/gpt-5.6", name="gpt", base_url=provider.base_url("a", "responses"), api_key=KEY, api="responses"),
        Target("anthropic/claude-sonnet-4-5", name="claude", base_url=provider.base_url("b", "anthropic"), api_key=KEY),
        Target("gemini/gemini-3-strict", name="gemini", base_url=provider.base_url("c", "gemini"), api_key=KEY),
        Target("deepseek/deepseek-chat", name="deepseek", base_url=provider.base_url("d"), api_key=KEY),
    ]  # fmt: skip


@contextmanager
def families(provider: Provider) -> Iterator[Pool]:
    """The route `a-b` tries a, then b; no breaker opens, so that a is tried each time."""
    provider.configure(None, replies={"get_weather": {"call": {"get_weather": {"city": "Seoul"}}}})
    never = Breaker(consecutive_failures=10**9, minimum_throughput=10**9)
    routes = {f"{a}-{b}": [[a], [b]] for a, b in PAIRS}
    with Pool(targets(provider), routes=routes, breaker=never, retry_same_target="never") as pool:
        yield pool


TURNS = [(a, b, next(c for c in FAMILIES if c not in (a, b))) for a, b in PAIRS]
"""Twelve rounds of one conversation: a is down, b makes the call; then b is down, and c answers its result."""


def route(provider: Provider, down: str, other: str) -> str:
    """The route that goes from one family, which is down from now on, to another one."""
    provider.clear()
    provider.fault(ENDPOINTS[down], "status", status=500)
    return f"{down}-{other}"


@contextmanager
def twins(provider: Provider) -> Iterator[Pool]:
    """Two models of one dialect, on the endpoints a and b, each of which reads only the encrypted reasoning of its own."""
    provider.configure(None, replies={"get_weather": {"call": {"get_weather": {"city": "Seoul"}}}})
    made = [
        Target(
            f"openai/{model}", name=model, base_url=provider.base_url(end, "responses"), api_key=KEY, api="responses"
        )
        for model, end in (("gpt-5.6", "a"), ("gpt-5.4", "b"))
    ]
    with Pool(made, max_attempts=1, when_all_down="fail") as pool:
        yield pool


TWIN_TURNS = (("gpt-5.6", "gpt-5.4"), ("gpt-5.4", "gpt-5.6"))
"""Two rounds of one conversation: the model that makes the call, and the one that answers its result."""


def check_twins(provider: Provider) -> None:
    """No request was refused, and each model was sent the reasoning of its own turn again."""
    for end in "ab":
        assert provider.stats(end).outcomes == {"ok": 2}
        bodies = [request["body"] for request in provider.recorded_requests(end)]
        sent = [item for item in bodies[-1]["input"] if item.get("type") == "reasoning"]
        assert len(sent) == 1 and sent[0]["encrypted_content"]


def check(provider: Provider) -> None:
    """Every family has answered, and none of their requests was invalid."""
    for endpoint in ENDPOINTS.values():
        outcomes = provider.stats(endpoint).outcomes
        assert outcomes["ok"] >= 3 and not [name for name in outcomes if name.startswith("rejected")], outcomes
