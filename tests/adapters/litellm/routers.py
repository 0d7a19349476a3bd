"""Routers over the embedded provider, and helpers of their tests."""

from collections.abc import Awaitable
from random import Random
from typing import Any, Unpack

import anyio
import litellm
import litellm_hotspare
from hotspare import PolicyFields, Selector
from hotspare.drill.provider import KEY, Provider
from hotspare.testing import VirtualClock

from tests.adapters.litellm.calling import MESSAGES


def router_of(provider: Provider, names: str = "ab", *, ordered: bool = False, **options: Any) -> litellm.Router:
    """A Router with one group `m` and one deployment per endpoint; `ordered`: with LiteLLM's own `order`."""
    deployments = [
        {
            "model_name": "m",
            "litellm_params": {
                "model": "openai/gpt-4.1",
                "api_base": provider.base_url(name),
                "api_key": KEY,
                **({"order": place} if ordered else {}),
            },
            "model_info": {"id": name},
        }
        for place, name in enumerate(names, 1)
    ]
    return litellm.Router(model_list=[*deployments, *options.pop("more", ())], **options)


def routed(
    router: litellm.Router, *, rng: Random | None = None, **policy_fields: Unpack[PolicyFields]
) -> tuple[litellm_hotspare.HealthRouting, VirtualClock]:
    """The Router with a strategy on a manual clock, `weighted` by default; the Router's own cooldowns end with `expire`."""
    clock = VirtualClock()
    policy_fields.setdefault("strategy", "weighted")
    strategy = litellm_hotspare.HealthRouting(router, Selector(clock=clock, rng=rng, **policy_fields))
    strategy.activate()
    return strategy, clock


def expire(router: litellm.Router) -> None:
    """End LiteLLM's own cooldowns."""
    router.cooldown_cache.in_memory_cache.flush_cache()


async def all_recorded(strategy: litellm_hotspare.HealthRouting) -> None:
    """Wait until LiteLLM's callbacks have reported every call: a worker of its own reports successes."""
    with anyio.fail_after(10):
        while strategy.health().in_flight:  # noqa: ASYNC110 - LiteLLM reports from threads too
            await anyio.sleep(0.002)


async def call(router: litellm.Router, **options: Any) -> Any:
    """One async call."""
    return await router.acompletion(**{"model": "m", "messages": MESSAGES, **options})


async def together(calls: list[Awaitable[Any]]) -> list[Any]:
    """All results of concurrent calls; exceptions are among them."""
    results: list[Any] = [None] * len(calls)

    async def run(place: int) -> None:
        try:
            results[place] = await calls[place]
        except Exception as error:
            results[place] = error

    async with anyio.create_task_group() as group:
        for place in range(len(calls)):
            group.start_soon(run, place)
    return results


async def fail_until_open(router: litellm.Router, strategy: Any, clock: VirtualClock, provider: Provider) -> None:
    """Fail `a` over two seconds of the clock until its breaker opens; each call is answered by `b`."""
    provider.fault("a", "status", status=500)
    for _ in range(8):
        await call(router)
        expire(router)
        clock.advance(0.3)
    await all_recorded(strategy)
