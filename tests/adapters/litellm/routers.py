"""Routers over the embedded provider, and what their tests wait for."""

from collections.abc import Awaitable
from typing import Any

import anyio
import litellm
import litellm_hotspare
from hotspare.drill.provider import KEY, Provider
from hotspare.testing import ManualClock

from tests.adapters.litellm.asking import ASK


def router_of(provider: Provider, names: str = "ab", *, ordered: bool = False, **options: Any) -> litellm.Router:
    """One group `m` of deployments, one an endpoint; `ordered`: by LiteLLM's own `order`."""
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


def routed(router: litellm.Router, **options: Any) -> tuple[litellm_hotspare.HealthRouting, ManualClock]:
    """`route(router)` on a clock moved by hand; the Router's own timers end by `expire`."""
    strategy = litellm_hotspare.route(router, **options)
    clock = ManualClock()
    strategy.selector._clock = clock
    return strategy, clock


def expire(router: litellm.Router) -> None:
    """What happens when the seconds of LiteLLM's own cooldowns are over."""
    router.cooldown_cache.in_memory_cache.flush_cache()


async def told(strategy: litellm_hotspare.HealthRouting) -> None:
    """Wait until LiteLLM has told how every call ended: successes are told by a worker of its own."""
    with anyio.fail_after(10):
        while strategy.health().attempts:  # noqa: ASYNC110 - LiteLLM tells it from threads too
            await anyio.sleep(0.002)


async def call(router: litellm.Router, **options: Any) -> Any:
    """One question, async."""
    return await router.acompletion(**{"model": "m", "messages": ASK, **options})


async def together(calls: list[Awaitable[Any]]) -> list[Any]:
    """All at once; what they raise stands among the results."""
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


async def break_down(router: litellm.Router, strategy: Any, clock: ManualClock, provider: Provider) -> None:
    """Evidence enough to open `a`: calls over two seconds of the clock, each answered by `b` in the end."""
    provider.fault("a", "status", status=500)
    for _ in range(8):
        await call(router)
        expire(router)
        clock.advance(0.3)
    await told(strategy)
