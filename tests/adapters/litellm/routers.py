"""Routers over the embedded provider, and helpers of their tests."""

import itertools
from collections.abc import Awaitable, Iterable
from random import Random
from typing import Any, Unpack

import anyio
import litellm
import litellm_hotspare
from hotspare import Listener, PolicyFields, Selector
from hotspare.drill.provider import KEY, Provider
from hotspare.testing import VirtualClock

from tests.adapters.litellm.calling import MESSAGES

_traces = itertools.count()


def router_of(
    provider: Provider, names: str = "ab", *, ordered: bool = False, account: str | None = None, **options: Any
) -> litellm.Router:
    """A Router with one group `m` and one deployment per endpoint; `ordered`: with LiteLLM's own `order`; `account`: of
    all deployments, else each has its own."""
    deployments = [
        {
            "model_name": "m",
            "litellm_params": {
                "model": "openai/gpt-4.1",
                "api_base": provider.base_url(name),
                "api_key": KEY,
                **({"order": place} if ordered else {}),
                **({"organization": account} if account else {}),
            },
            "model_info": {"id": name},
        }
        for place, name in enumerate(names, 1)
    ]
    return litellm.Router(model_list=[*deployments, *options.pop("more", ())], **options)


def routed(
    router: litellm.Router,
    *,
    rng: Random | None = None,
    listeners: Iterable[Listener] = (),
    **policy_fields: Unpack[PolicyFields],
) -> tuple[litellm_hotspare.HealthRouting, VirtualClock]:
    """The Router with a strategy on a manual clock, `weighted` by default; the Router's own cooldowns end with `expire`."""
    clock = VirtualClock()
    policy_fields.setdefault("strategy", "weighted")
    selector = Selector(clock=clock, rng=rng, listeners=listeners, **policy_fields)
    strategy = litellm_hotspare.HealthRouting(router, selector)
    strategy.activate()
    return strategy, clock


def expire(router: litellm.Router) -> None:
    """End LiteLLM's own cooldowns."""
    cooldowns = router.cooldown_cache
    if hasattr(cooldowns, "in_memory_cache"):
        cooldowns.in_memory_cache.flush_cache()
        return
    for deployment in router.model_list:  # since LiteLLM 1.110
        cooldowns.cooldown_store.evict_local(deployment["model_info"]["id"])


def picked(router: litellm.Router, **request: Any) -> dict[str, Any]:
    """The Router's choice for a request that is not sent: what a callback about it would be given."""
    request = {"litellm_trace_id": str(next(_traces)), **request}
    found: Any = router.get_available_deployment(model="m", messages=MESSAGES, request_kwargs=request)
    return {**request, "model_info": found["model_info"]}


async def all_recorded(strategy: litellm_hotspare.HealthRouting) -> None:
    """Wait until LiteLLM's callbacks have reported every call: a separate worker reports successes."""
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
