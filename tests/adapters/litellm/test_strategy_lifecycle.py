"""The life of the routing strategy in a router: deployments, other routers, leases that nothing ends."""

from collections import Counter

import anyio
import litellm
import litellm_hotspare
import pytest
from hotspare.drill.provider import KEY, Provider

from tests.adapters.litellm.calling import MESSAGES
from tests.adapters.litellm.routers import (
    all_recorded,
    call,
    picked,
    routed,
    router_of,
)

pytestmark = pytest.mark.anyio


async def test_deployments_can_be_added_and_removed(provider: Provider) -> None:
    """A new one is chosen too; the health of the others is kept."""
    router = router_of(provider, "a")
    strategy, _ = routed(router)
    await call(router)
    router.add_deployment(
        litellm.Deployment(
            model_name="m",
            litellm_params=litellm.LiteLLM_Params(model="openai/x", api_base=provider.base_url("b"), api_key=KEY),
            model_info={"id": "b"},
        )
    )
    router.delete_deployment(id="a")
    assert (await call(router))._hidden_params["model_id"] == "b"
    await all_recorded(strategy)
    assert [target.target for target in strategy.health().targets] == ["a", "b"]


async def test_weights_are_the_routers(provider: Provider) -> None:
    """Without a policy the share follows `weight`, `rpm` or `tpm`, like LiteLLM's default."""
    router = router_of(provider)
    router.model_list[0]["litellm_params"]["weight"] = 9
    litellm_hotspare.route(router)
    picks = Counter(
        router.get_available_deployment(model="m", messages=MESSAGES, request_kwargs={})["model_info"]["id"]
        for _ in range(400)
    )
    assert 0.8 < picks["a"] / 400 < 0.98


async def test_two_routers_and_a_replaced_strategy(provider: Provider) -> None:
    """Each Router has its own health; a new `routing_strategy` replaces hotspare's."""
    one, other = router_of(provider, "a"), router_of(provider, "b")
    mine, _ = routed(one)
    theirs, _ = routed(other)
    await call(one)
    await all_recorded(mine)
    assert [len(strategy.health().targets) for strategy in (mine, theirs)] == [1, 0]
    one.update_settings(routing_strategy="simple-shuffle")
    await call(one)
    assert mine.health()["a"].calls == 1
    assert not mine.is_active(one)
    assert theirs.is_active(other)
    assert not theirs.is_active(one)


async def test_cached_and_cancelled_calls_are_neutral(provider: Provider) -> None:
    """A cache hit called no deployment, and a cancelled call says nothing about one."""
    router = router_of(provider, "a")
    strategy, _ = routed(router)
    event = picked(router)
    assert strategy.health().in_flight == 1
    strategy.log_success_event({**event, "cache_hit": True}, None, None, None)
    assert strategy.health().in_flight == 0
    provider.fault("a", "blackhole")
    with anyio.move_on_after(0.3):
        await call(router)
    assert strategy.health()["a"].failures == 0
    strategy.log_failure_event({**event, "exception": ValueError()}, None, None, None)
    strategy.log_success_event({}, None, None, None)


async def test_leases_without_a_callback_are_dropped(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit the oldest permit is returned; a late report about it changes nothing."""
    monkeypatch.setattr("litellm_hotspare.leases._MAX_OPEN", 2)
    router = router_of(provider, "a")
    strategy, _ = routed(router)
    events = [picked(router) for _ in range(5)]
    assert strategy.health().in_flight == 2
    strategy.log_success_event(events[0], None, None, None)
    assert strategy.health()["a"].calls == 0
    strategy.log_success_event(events[4], None, None, None)
    assert strategy.health()["a"].calls == 1


def test_the_policy_is_validated(provider: Provider) -> None:
    """As a pool's is."""
    from hotspare import ConfigError

    with pytest.raises(ConfigError, match="retries"):
        litellm_hotspare.route(router_of(provider), retries=3)
