"""Wrong input: a typed error that names the field, the value and the way out, before any call is made."""

import math
from collections.abc import Callable
from typing import Any

import pytest
from hotspare import Breaker, ConfigError, Policy, Pool, RequestError, RetryBudget, Target, Timeouts
from hotspare.testing import ScriptedTarget

POOLS: list[tuple[Callable[[], Any], str]] = [
    (lambda: Pool([Target("opnai/x")]), r"targets\[0\].id: 'opnai/x' names an unknown provider \(did you mean 'openai'\?\)"),
    (lambda: Pool([Target("openai/x")]), r"targets\[0\]: no key: set the environment variable OPENAI_API_KEY"),
    (lambda: Pool([]), "a pool needs at least one target"),
    (lambda: Pool(["openai/x"]), r"targets\[0\]: 'openai/x' must be a Target"),  # type: ignore[list-item]
    (lambda: pool(more=1), r"targets\[1\].name: 'a' is the name of targets\[0\] too"),
    (lambda: pool(retry_budget=RetryBudget(tokens_per_call=-1)), "policy.retry_budget.tokens_per_call: -1.0 must not be negative"),
    (lambda: pool(breaker=Breaker(failure_ratio=7)), "policy.breaker.failure_ratio: 7.0 must be between 0 and 1"),
    (lambda: pool(breaker={"break_duration": "long"}), "policy.breaker.break_duration: 'long' must be a number"),
    (lambda: pool(breaker=Breaker(failure_ratio="half")), "policy.breaker.failure_ratio: 'half' must be a number"),  # type: ignore[arg-type]
    (lambda: pool(breaker={"break_duratoin": 1}), "policy.breaker.break_duratoin: unknown field; did you mean 'break_duration'"),
    (lambda: pool(timeouts=Timeouts(stall=-1)), "policy.timeouts.stall"),
    (lambda: pool(deadline="30"), "policy.deadline: '30' must be a number"),
    (lambda: pool(deadline=math.nan), "policy.deadline: nan must be a number"),
    (lambda: pool(deadline=0), "policy.deadline: 0.0 must be above 0"),
    (lambda: pool(max_attempts=1.5), "policy.max_attempts: 1.5 must be a whole number"),
    (lambda: pool(max_attempts=True), "policy.max_attempts: True must be a whole number"),
    (lambda: pool(max_attempts=0), "policy.max_attempts: 0 must be at least 1"),
    (lambda: pool(strategy="random"), "policy.strategy: 'random' must be one of ordered"),
    (lambda: pool(wait=3), "policy.wait: is given in code only, as an object"),
    (lambda: pool(failover_on={"nonsense"}), r"policy.failover_on\[0\]: 'nonsense' must be one of ok"),
    (lambda: pool(retries=3), "retries: 3 is no field of Policy; known: breaker"),
    (lambda: pool(policy={"deadline": 3}), "policy: .* must be a Policy"),
    (lambda: pool(routes={"x": [["b"]]}), r"routes.x\[0\]\[0\]: 'b' names no target; the targets are a"),
    (lambda: pool(routes={"x": [[]]}), r"routes.x\[0\]: \[\] must be a list of target names"),
    (lambda: pool(routes={"x": "a"}), "routes.x: 'a' must be a list of tiers"),
    (lambda: pool(listeners=[3]), "listener: 3 must be callable"),
    (lambda: pool(transport="carrier pigeon"), "transport: 'carrier pigeon' must be one of auto"),
    (lambda: pool(verify="/no/bundle.pem"), "verify: '/no/bundle.pem' does not exist"),
    (lambda: Pool.from_config(None), "config: None must be the path of a file"),  # type: ignore[arg-type]
    (lambda: Policy(deadline=-1, max_attempts=0), "policy.max_attempts(?s:.*)policy.deadline"),
]  # fmt: skip
TARGETS: list[tuple[dict[str, Any], str]] = [
    ({"id": 3}, "target.id: 3 must be text"),
    ({"id": "gpt-4.1"}, "target.id: 'gpt-4.1' must be 'provider/model'"),
    ({"weight": -1}, "target.weight: -1.0 must be above 0"),
    ({"weight": "2"}, "target.weight: '2' must be a number"),
    ({"tier": "first"}, "target.tier: 'first' must be a whole number"),
    ({"context_window": 0}, "target.context_window: 0 must be above 0 tokens"),
    ({"base_url": "localhost"}, "target.base_url: 'localhost' must begin with http"),
    ({"price": (-1, 2)}, r"target.price: \(-1.0, 2.0, None\) must not be negative"),
    ({"price": (1,)}, r"target.price: \(1,\) must be a list or a table of input, output, \[cached\]"),
    ({"missing": {"flying"}}, r"target.missing\[0\]: 'flying' must be one of tools"),
    ({"droppable": {"sed"}}, "target.droppable: 'sed' is no field of a request; known: .*seed"),
    ({"backend": "openai"}, "target.backend: is given in code only"),
]


def pool(more: int = 0, **fields: Any) -> Pool:
    """One scripted target, or twice the same name."""
    return Pool([ScriptedTarget("a").target] * (1 + more), **fields)


@pytest.mark.parametrize(("build", "words"), POOLS, ids=[words for _, words in POOLS])
def test_a_wrong_pool_is_an_error(build: Callable[[], Any], words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ConfigError that names the place."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ConfigError, match=words):
        build()


@pytest.mark.parametrize(("fields", "words"), TARGETS, ids=[words for _, words in TARGETS])
def test_a_wrong_target_is_an_error(fields: dict[str, Any], words: str) -> None:
    """A ConfigError that names the field."""
    with pytest.raises(ConfigError, match=words):
        Target(**{"id": "openai/x", **fields})


@pytest.mark.parametrize(
    "fields",
    [{"api_key": "sécret-key"}, {"api_key": "secret\nkey"}, {"api_key": 5}, {"api_key": " "}, {"headers": {"x": "secret\nkey"}},
     {"headers": {"x": 7}}],
)  # fmt: skip
def test_a_wrong_secret_is_not_shown(fields: dict[str, Any]) -> None:
    """A key or a header that cannot be sent is named, its value is not."""
    with pytest.raises(ConfigError) as caught:
        Pool([Target("openai/x", **fields)])
    assert "key" in str(caught.value) or "headers" in str(caught.value)
    assert "cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("request_", "options", "words"),
    [
        ([{"content": "x"}], {}, r"messages\[0\].role: None is missing"),
        ([{"role": "robot", "content": "x"}], {}, r"messages\[0\].role: 'robot'"),
        (None, {}, "request: None must be a string"),
        ("q", {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "objekt"}}}]},
         r"tools\[0\].function.parameters.type: 'objekt' must be 'object'"),
        ("q", {"temprature": 1}, "temprature: 1 is no field of a request; did you mean 'temperature'"),
        ("q", {"model": "zz"}, "model: 'zz' is no route, target, model or alias"),
        ("q", {"deadline": "3"}, "deadline: '3' must be a number above 0"),
        ("q", {"deadline": math.nan}, "deadline: nan must be a number above 0"),
        ("q", {"max_attempts": 1.5}, "max_attempts: 1.5 must be an integer above 0"),
        ("q", {"completion": "half"}, "completion: 'half' must be wait or stream"),
    ],
)  # fmt: skip
@pytest.mark.anyio
async def test_a_wrong_request_is_an_error(request_: Any, options: dict[str, Any], words: str) -> None:
    """A RequestError from every face, and no target is called."""
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


def test_every_mistake_is_listed() -> None:
    """The error holds all of them, not only the first."""
    with pytest.raises(ConfigError) as caught:
        Target("openai/x", weight=-1, context_window=-5, base_url="x")
    assert len(caught.value.problems) == 3
    with pytest.raises(ConfigError) as caught:
        Policy(deadline="x", strategy="y", breaker={"break_duration": None})  # type: ignore[arg-type]
    assert len(caught.value.problems) == 3


def test_values_are_kept_in_the_types_of_their_fields() -> None:
    """Whole numbers become floats, tables their dataclasses, a text a set of one."""
    policy = Policy(deadline=30, breaker={"break_duration": 3}, failover_on={"content_filter"})  # type: ignore[arg-type]
    assert (policy.deadline, policy.breaker) == (30.0, Breaker(break_duration=3.0))
    target = Target("openai/x", aliases="smart", price=(1, 2))  # type: ignore[arg-type]
    assert target.aliases == {"smart"}
    assert target.price is not None and target.price.output == 2.0
