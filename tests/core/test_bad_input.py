"""Wrong input of every public function: a typed error with field, value and hint, before any call is made."""

import math
from collections.abc import Callable
from dataclasses import fields
from typing import Any, get_args

import pytest
from hotspare import Breaker, ChatRequest, ConfigError, Policy, Pool, RequestError, RetryBudget, Target, Timeouts
from hotspare.target import RequestField
from hotspare.testing import ScriptedTarget

POOLS: list[tuple[Callable[[], Any], str]] = [
    (lambda: Pool([Target("opnai/x")]), r"targets\[0\].id: 'opnai/x' has an unknown provider; did you mean 'openai'\? known: openai, azure"),
    (lambda: Pool([Target("openai/x")]), r"targets\[0\]: no key: set the environment variable OPENAI_API_KEY"),
    (lambda: Pool([]), "a pool needs at least one target"),
    (lambda: Pool([3]), r"targets\[0\]: 3 must be a Target"),  # type: ignore[list-item]
    (lambda: pool(more=1), r"targets\[1\].name: 'a' is also the name of targets\[0\]"),
    (lambda: pool(retry_budget=RetryBudget(tokens_per_call=-1)), "policy.retry_budget.tokens_per_call: -1.0 must not be negative"),
    (lambda: pool(breaker=Breaker(failure_ratio=7)), "policy.breaker.failure_ratio: 7.0 must be between 0 and 1"),
    (lambda: pool(breaker={"break_duration": "long"}), "policy.breaker.break_duration: 'long' must be a number"),
    (lambda: pool(breaker=Breaker(failure_ratio="half")), "policy.breaker.failure_ratio: 'half' must be a number"),  # type: ignore[arg-type]
    (lambda: pool(breaker={"break_durtion": 1}), "policy.breaker.break_durtion: unknown field; did you mean 'break_duration'"),
    (lambda: pool(timeouts=Timeouts(stall=-1)), "policy.timeouts.stall"),
    (lambda: pool(deadline="30"), "policy.deadline: '30' must be a number"),
    (lambda: pool(deadline=math.nan), "policy.deadline: nan must be a number"),
    (lambda: pool(deadline=0), "policy.deadline: 0.0 must be above 0"),
    (lambda: pool(max_attempts=1.5), "policy.max_attempts: 1.5 must be an integer"),
    (lambda: pool(max_attempts=True), "policy.max_attempts: True must be an integer"),
    (lambda: pool(max_attempts=0), "policy.max_attempts: 0 must be above 0"),
    (lambda: pool(max_alike_failures=0), "policy.max_alike_failures: 0 must be above 0"),
    (lambda: pool(total_deadline=0), "policy.total_deadline: 0.0 must be above 0"),
    (lambda: pool(early_probe_interval=0), "policy.early_probe_interval: 0.0 must be above 0"),
    (lambda: pool(breaker=Breaker(stalled_calls=0)), "policy.breaker.stalled_calls: 0 must be above 0"),
    (lambda: pool(breaker=Breaker(consecutive_failures=0)), "policy.breaker.consecutive_failures: 0 must be above 0"),
    (lambda: pool(retry_budget={"free_attempts_per_domain": 0}), "policy.retry_budget.free_attempts_per_domain: 0 must be above 0"),
    (lambda: pool(strategy="random"), "policy.strategy: 'random' must be one of ordered"),
    (lambda: pool(wait=3), "policy.wait: can only be given in code, as an object"),
    (lambda: pool(failover_on={"nonsense"}), r"policy.failover_on\[0\]: 'nonsense' must be one of ok"),
    (lambda: pool(dedline=3), "dedline: 3 is not a field of Policy; did you mean 'deadline'"),
    (lambda: pool(retries=3), "retries: 3 is not a field of Policy; the name here is 'max_attempts'"),
    (lambda: pool(policy={"deadline": 3}), "policy: .* must be a Policy"),
    (lambda: pool(routes={"x": [["b"]]}), r"routes.x\[0\]\[0\]: 'b' is not the name of a target; the targets are a"),
    (lambda: pool(routes={"x": [[]]}), r"routes.x\[0\]: \[\] must be a list of at least one target name"),
    (lambda: pool(routes={"x": "a"}), "routes.x: 'a' must be a list of tiers"),
    (lambda: pool(listeners=[3]), "listener: 3 must be callable"),
    (lambda: pool(transport="carrier pigeon"), "transport: 'carrier pigeon' must be one of auto"),
    (lambda: pool(verify="/no/bundle.pem"), "verify: '/no/bundle.pem' does not exist"),
    (lambda: Pool.from_config(None), "config: None must be the path of a config file"),  # type: ignore[arg-type]
    (lambda: Policy(deadline=-1, max_attempts=0), "policy.deadline(?s:.*)policy.max_attempts"),
]  # fmt: skip
TARGETS: list[tuple[dict[str, Any], str]] = [
    ({"id": 3}, "target.id: 3 must be a string"),
    ({"id": "gpt-4.1"}, "target.id: 'gpt-4.1' must be 'provider/model'"),
    ({"weight": -1}, "target.weight: -1.0 must be above 0"),
    ({"weight": "2"}, "target.weight: '2' must be a number"),
    ({"tier": "first"}, "target.tier: 'first' must be an integer"),
    ({"context_window": 0}, "target.context_window: 0 must be above 0 tokens"),
    ({"base_url": "localhost"}, "target.base_url: 'localhost' must begin with http"),
    ({"price": (-1, 2)}, r"target.price: \(-1.0, 2.0, None, None, None\) must not be negative"),
    (
        {"price": (1,)},
        r"target.price: \(1,\) must be a list or a table of input, output, \[cached\], \[cache_write\], \[long\]",
    ),
    ({"missing": {"flying"}}, r"target.missing\[0\]: 'flying' must be one of tools"),
    ({"droppable": {"sed"}}, r"target.droppable\[0\]: 'sed' must be one of messages, tools, .*seed"),
    ({"backend": "openai"}, "target.backend: can only be given in code"),
]


def pool(more: int = 0, **fields: Any) -> Pool:
    """A pool of one scripted target, or of `more` with the same name."""
    return Pool([ScriptedTarget("a").target] * (1 + more), **fields)


@pytest.mark.parametrize(("build", "words"), POOLS, ids=[words for _, words in POOLS])
def test_a_wrong_pool(build: Callable[[], Any], words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ConfigError with the path of the field, its value and a hint."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ConfigError, match=words):
        build()


@pytest.mark.parametrize(("fields", "words"), TARGETS, ids=[words for _, words in TARGETS])
def test_a_wrong_target(fields: dict[str, Any], words: str) -> None:
    """A ConfigError with the field, its value and a hint."""
    with pytest.raises(ConfigError, match=words):
        Target(**{"id": "openai/x", **fields})


@pytest.mark.parametrize(
    "fields",
    [{"api_key": "sécret-key"}, {"api_key": "secret\nkey"}, {"api_key": 5}, {"api_key": " "}, {"headers": {"x": "secret\nkey"}},
     {"headers": {"x": 7}}],
)  # fmt: skip
def test_a_wrong_secret_is_not_shown(fields: dict[str, Any]) -> None:
    """A key or a header that cannot be sent is reported without its value."""
    with pytest.raises(ConfigError) as caught:
        Pool([Target("openai/x", **fields)])
    assert "key" in str(caught.value) or "headers" in str(caught.value)
    assert "cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("request_", "options", "words"),
    [
        ([{"content": "x"}], {}, r"messages\[0\].role: None must be one of system"),
        ([{"role": "robot", "content": "x"}], {}, r"messages\[0\].role: 'robot'"),
        (None, {}, "request: None must be a string"),
        ("q", {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "objekt"}}}]},
         r"tools\[0\].function.parameters.type: 'objekt' must be 'object'"),
        ("q", {"temprature": 1}, "temprature: 1 is not a field of ChatRequest; did you mean 'temperature'"),
        ("q", {"model": "zz"}, "model: 'zz' is not a route, target, model or alias"),
        ("q", {"deadline": "3"}, "deadline: '3' must be a number above 0"),
        ("q", {"deadline": math.nan}, "deadline: nan must be a number above 0"),
        ("q", {"max_attempts": 1.5}, "max_attempts: 1.5 must be an integer above 0"),
        ("q", {"completion": "half"}, "completion: 'half' must be auto, wait or stream"),
    ],
)  # fmt: skip
@pytest.mark.anyio
async def test_a_wrong_request(request_: Any, options: dict[str, Any], words: str) -> None:
    """A RequestError from sync and async calls and streams, and no target is called."""
    scripted = ScriptedTarget("a")
    pool = Pool([scripted.target])
    with pytest.raises(RequestError, match=words):
        pool.chat(request_, **options)
    with pytest.raises(RequestError, match=words):
        await pool.achat(request_, **options)
    with pytest.raises(RequestError, match=words):
        list(pool.stream(request_, **options))
    with pytest.raises(RequestError, match=words):
        _ = [chunk async for chunk in pool.astream(request_, **options)]
    assert scripted.calls == 0


def test_every_mistake_is_reported_at_once() -> None:
    """One error lists all of them."""
    with pytest.raises(ConfigError) as caught:
        Target("openai/x", weight=-1, context_window=-5, base_url="x")
    assert len(caught.value.problems) == 3
    with pytest.raises(ConfigError) as caught:
        Policy(deadline="x", strategy="y", breaker={"break_duration": None})  # type: ignore[arg-type]
    assert len(caught.value.problems) == 3


def test_valid_values_are_converted_to_their_types() -> None:
    """Numbers become floats, tables dataclasses, strings sets of one."""
    policy = Policy(deadline=30, breaker={"break_duration": 3}, failover_on={"content_filter"})  # type: ignore[arg-type]
    assert (policy.deadline, policy.breaker) == (30.0, Breaker(break_duration=3.0))
    target = Target("openai/x", aliases="smart", price=(1, 2))  # type: ignore[arg-type]
    assert target.aliases == {"smart"}
    assert target.price is not None and target.price.output == 2.0


def test_the_names_of_request_fields() -> None:
    """`RequestField` names all fields of ChatRequest except those that no wire format carries."""
    names = {field.name for field in fields(ChatRequest)}
    assert set(get_args(RequestField)) == names - {"model", "extra", "native"}
