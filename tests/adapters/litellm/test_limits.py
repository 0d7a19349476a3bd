"""Limits of a Router's deployments under hotspare's routing: configured, and learnt from the headers of real answers."""

from typing import Any

import pytest
from hotspare.drill.provider import Provider
from litellm.types.router import RouterRateLimitError

from tests.adapters.litellm.routers import all_recorded, call, picked, routed, router_of

pytestmark = pytest.mark.anyio


async def targets_of_calls(router: Any, strategy: Any, count: int) -> list[str]:
    """The deployments that answer `count` successive calls."""
    found: list[str] = []
    for _ in range(count):
        found.append((await call(router))._hidden_params["model_id"])
        await all_recorded(strategy)
    return found


async def test_a_deployments_rpm_is_kept(provider: Provider) -> None:
    """A deployment whose `rpm` is used up is not chosen; where no other is left the Router's own error names the time."""
    router = router_of(provider)
    router.model_list[0]["litellm_params"]["rpm"] = 2
    strategy, clock = routed(router, strategy="ordered")
    assert await targets_of_calls(router, strategy, 4) == ["a", "b", "b", "b"]  # 2 a minute: one at once
    assert "2 requests a minute" in strategy.health()["a"].limits_left
    clock.advance(31)
    assert await targets_of_calls(router, strategy, 1) == ["a"]
    alone = router_of(provider, "a")
    alone.model_list[0]["litellm_params"]["rpm"] = 1
    strategy, _ = routed(alone)
    await call(alone)
    with pytest.raises(RouterRateLimitError, match="Try again in 60"):
        picked(alone)


@pytest.mark.parametrize("stream", [False, True])
async def test_limits_are_learnt_from_answers(stream: bool, provider: Provider) -> None:
    """The headers of an answer say that nothing is left: the next call goes elsewhere, and no 429 is drawn."""
    provider.configure("a", rpm=60, burst=1)
    router = router_of(provider)
    strategy, _ = routed(router, strategy="ordered")
    if stream:
        async for _ in await call(router, stream=True):
            pass
        await all_recorded(strategy)
    else:
        assert await targets_of_calls(router, strategy, 1) == ["a"]
    assert await targets_of_calls(router, strategy, 2) == ["b", "b"]
    assert len(provider.recorded_requests("a")) == 1
