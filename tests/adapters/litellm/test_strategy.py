"""A Router's own deployments, picked by hotspare's health: side by side with the Router alone."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import anyio
import litellm
import litellm_hotspare
import pytest
from anyio import to_thread
from hotspare import Policy
from hotspare._health.breaker import State
from hotspare.drill.answers import answer
from hotspare.drill.provider import KEY, Provider
from litellm.types.router import RouterRateLimitError

from tests.adapters.litellm.asking import ASK, FACES, ask
from tests.adapters.litellm.routers import break_down, call, expire, routed, router_of, together, told

pytestmark = pytest.mark.anyio


async def herd(router: litellm.Router, provider: Provider) -> int:
    """How many of fifty concurrent calls reach the dead primary; all of them must be answered."""
    before = provider.stats("a").requests
    results = await together([call(router) for _ in range(50)])
    assert [r for r in results if isinstance(r, Exception)] == []
    return provider.stats("a").requests - before


async def test_fifty_callers_after_the_rest(provider: Provider, capsys: pytest.CaptureFixture[str]) -> None:
    """When a dead primary's time is over: one probe with `route(router)`, everybody without."""
    with_it = router_of(provider, ordered=True)
    strategy, clock = routed(with_it)
    await break_down(with_it, strategy, clock, provider)
    assert strategy.health()["a"].state is State.OPEN
    left_alone = provider.stats("a").requests
    for _ in range(5):
        await call(with_it)
    assert provider.stats("a").requests == left_alone
    clock.advance(6)
    probes = await herd(with_it, provider)
    await told(strategy)

    without = router_of(provider, ordered=True)
    for _ in range(8):
        await call(without)
    expire(without)
    everybody = await herd(without, provider)
    with capsys.disabled():
        print(
            "\n  a primary is dead, its time to rest is over, 50 calls come at once; they reach the dead primary:"
            f"\n    litellm.Router                              {everybody:>3} of 50"
            f"\n    litellm.Router, litellm_hotspare.route()    {probes:>3} of 50"
        )
    assert (probes, everybody) == (1, 50)


async def test_it_comes_back_by_a_ramp(provider: Provider) -> None:
    """A probe's answer lets traffic return, a tenth first."""
    router = router_of(provider)
    strategy, clock = routed(router, strategy="ordered")
    await break_down(router, strategy, clock, provider)
    provider.clear()
    clock.advance(6)
    await call(router)
    await told(strategy)
    assert strategy.health()["a"].state is State.RECOVERING
    shares = []
    for _ in range(4):
        picks = Counter(
            router.get_available_deployment(model="m", messages=ASK, request_kwargs={})["model_info"]["id"]
            for _ in range(300)
        )
        shares.append(picks["a"] / 300)
        clock.advance(10)
    assert shares[0] < 0.2 < shares[1] < shares[2] < shares[3] == 1.0


async def test_threads(provider: Provider) -> None:
    """The same through the Router's sync face: twenty threads, one probe."""
    router = router_of(provider)
    strategy, clock = routed(router, strategy="ordered")
    await break_down(router, strategy, clock, provider)
    clock.advance(6)
    before = provider.stats("a").requests
    results = await together(
        [to_thread.run_sync(lambda: router.completion(model="m", messages=ASK)) for _ in range(20)]
    )
    assert [result.choices[0].message.content for result in results] == [answer("hello there")] * 20
    assert provider.stats("a").requests - before == 1


@FACES
async def test_the_routers_retry_goes_elsewhere(face: str, provider: Provider) -> None:
    """The first failure already: a retry of LiteLLM's asks another deployment; every call is answered. A stream that dies
    before its first word is retried by LiteLLM only where it knows of it: when the connection is refused."""
    router = router_of(provider)
    strategy, _ = routed(router, strategy="ordered")
    provider.fault("a", "status", status=500)
    text, _ = await ask(face, router, model="m")
    assert text == answer("hello there")
    await told(strategy)
    assert (provider.stats("a").requests, provider.stats("b").requests) == (1, 1)


@FACES
async def test_everything_down_is_bounded(face: str, provider: Provider) -> None:
    """LiteLLM's retries at their defaults: three upstream calls for one of the user's, whatever hotspare is asked."""
    router = router_of(provider, "abc")
    strategy, clock = routed(router)
    provider.fault(["a", "b", "c"], "status", status=500)
    for _ in range(6):
        before = sum(provider.stats(name).requests for name in "abc")
        with pytest.raises(Exception, match=r"server had an error|No deployments available"):
            await ask(face, router, model="m")
        assert sum(provider.stats(name).requests for name in "abc") - before <= Policy().max_attempts // 2
        clock.advance(0.5)
    await told(strategy)
    assert {target.state for target in strategy.health().targets} == {State.OPEN}


async def test_a_limit_is_no_sickness(provider: Provider) -> None:
    """Left alone for as long as it said, back without a probe."""
    router = router_of(provider)
    strategy, clock = routed(router, strategy="ordered")
    provider.fault("a", "rate_limited", retry_after=20, count=1)
    await call(router)
    expire(router)
    clock.advance(19)
    await call(router)
    assert provider.stats("a").requests == 1
    clock.advance(2)
    await call(router)
    await told(strategy)
    assert provider.stats("a").requests == 2
    assert strategy.health()["a"].state is State.CLOSED


async def test_a_refused_key_rests_the_account(provider: Provider) -> None:
    """Two deployments on one key: one refusal keeps both from being asked."""
    router = router_of(provider)
    strategy, _ = routed(router, strategy="ordered")
    provider.fault("a", "status", status=401)
    with pytest.raises(litellm.AuthenticationError):
        await call(router, num_retries=0)
    await told(strategy)
    strategy.selector._gate.rng.random = lambda: 0.0  # type: ignore[method-assign]
    with pytest.raises(RouterRateLimitError) as caught:
        await call(router)
    assert "b: not tried, account" in str(caught.value.__cause__)
    resting = [domain for domain in strategy.health().domains if domain.level == "account"]
    assert [domain.reopens_in for domain in resting] == [pytest.approx(300)]


@pytest.mark.parametrize("face", ["stream", "astream"])
async def test_streams_are_dated_to_their_first_token(face: str, provider: Provider) -> None:
    """LiteLLM tells of a stream at its end; what counts is when it began: it is a first token's time, not an answer's."""
    router = router_of(provider, "a")
    strategy, clock = routed(router)
    await ask(face, router, model="m")
    await told(strategy)
    health = strategy.health()["a"]
    assert (health.calls, health.answer_p50) == (1, None)
    assert health.ttft_p50 is not None

    found = router.get_available_deployment(model="m", messages=ASK, request_kwargs={"stream": True})
    clock.advance(40)
    began = datetime(2026, 1, 1)
    first = began + timedelta(seconds=0.5)
    event = {"model_info": found["model_info"], "stream": True, "completion_start_time": first}
    strategy.log_success_event(event, None, began, began + timedelta(seconds=40))
    assert strategy.health()["a"].ttft_p95 == pytest.approx(0.5)


@pytest.mark.parametrize("face", ["stream", "astream"])
async def test_a_broken_stream_is_a_second_observation(face: str, provider: Provider) -> None:
    """It was answered, and then it failed."""
    router = router_of(provider, "a")
    strategy, _ = routed(router)
    provider.fault("a", "cut", at=10)
    with pytest.raises(litellm.APIConnectionError):
        await ask(face, router, model="m")
    await told(strategy)
    health = strategy.health()["a"]
    assert (health.calls, health.failures) == (2, 1)


async def test_nobody_left(provider: Provider) -> None:
    """The Router's own error, with the time to come back; a fallback group takes over at once, without a last try."""
    other = {"model_name": "spare", "litellm_params": {"model": "openai/x", "mock_response": "spare"}}
    router = router_of(provider, "a", more=[other])
    strategy, _ = routed(router)
    strategy.selector._gate.rng.random = lambda: 0.0  # type: ignore[method-assign]
    provider.fault("a", "rate_limited", retry_after=20)
    with pytest.raises(litellm.RateLimitError):
        await call(router, num_retries=0)
    with pytest.raises(RouterRateLimitError) as caught:
        await call(router)
    assert caught.value.cooldown_time == pytest.approx(20, abs=0.2)
    assert "rate_limited" in str(caught.value.__cause__)
    reply = await call(router, fallbacks=[{"m": ["spare"]}])
    assert reply.choices[0].message.content == "spare"
    assert provider.stats("a").requests == 1


async def test_the_routers_own_filters_come_first(provider: Provider) -> None:
    """Tags, cooldowns, order, and a deployment asked for by its id."""
    router = router_of(provider, "abc", enable_tag_filtering=True)
    routed(router)
    for deployment in router.model_list:
        deployment["litellm_params"]["tags"] = [deployment["model_info"]["id"]]
    for name in "abc":
        reply = await call(router, metadata={"tags": [name]})
        assert reply._hidden_params["model_id"] == name
    assert (await call(router, model="c"))._hidden_params["model_id"] == "c"


async def test_deployments_come_and_go(provider: Provider) -> None:
    """One that is added later is picked too; what is known of the others stays."""
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
    await told(strategy)
    assert [target.target for target in strategy.health().targets] == ["a", "b"]


async def test_weights_are_the_routers(provider: Provider) -> None:
    """Without a policy the share follows `weight`, `rpm` or `tpm`, as LiteLLM's default does."""
    router = router_of(provider)
    router.model_list[0]["litellm_params"]["weight"] = 9
    routed(router)
    picks = Counter(
        router.get_available_deployment(model="m", messages=ASK, request_kwargs={})["model_info"]["id"]
        for _ in range(400)
    )
    assert 0.8 < picks["a"] / 400 < 0.98


async def test_two_routers_and_taking_the_place_back(provider: Provider) -> None:
    """Each Router has its own health; a new `routing_strategy` ends hotspare's."""
    one, other = router_of(provider, "a"), router_of(provider, "b")
    mine, _ = routed(one)
    theirs, _ = routed(other)
    await call(one)
    await told(mine)
    assert [len(strategy.health().targets) for strategy in (mine, theirs)] == [1, 0]
    one.update_settings(routing_strategy="simple-shuffle")
    await call(one)
    assert mine.health()["a"].calls == 1
    assert mine not in litellm.callbacks
    assert theirs in litellm.callbacks


async def test_cached_and_cancelled_calls_teach_nothing(provider: Provider) -> None:
    """A cache hit asked nobody; a caller who left says nothing of the deployment."""
    router = router_of(provider, "a")
    strategy, _ = routed(router)
    found: Any = router.get_available_deployment(model="m", messages=ASK, request_kwargs={})
    strategy.log_success_event({"model_info": found["model_info"], "cache_hit": True}, None, None, None)
    assert strategy.health().attempts == 0
    provider.fault("a", "blackhole")
    with anyio.move_on_after(0.3):
        await call(router)
    assert strategy.health()["a"].failures == 0
    strategy.log_failure_event({"model_info": found["model_info"], "exception": ValueError()}, None, None, None)
    strategy.log_success_event({}, None, None, None)


async def test_calls_that_nobody_tells_of_are_forgotten(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """After so many others their places are given back; what was told later of them changes nothing."""
    monkeypatch.setattr("litellm_hotspare.strategy._REMEMBERED", 2)
    router = router_of(provider, "a")
    strategy, _ = routed(router)
    found = [router.get_available_deployment(model="m", messages=ASK, request_kwargs={}) for _ in range(5)]
    assert strategy.health().attempts == 2
    strategy.log_success_event({"model_info": found[0]["model_info"]}, None, None, None)
    assert strategy.health()["a"].calls == 0


def test_a_policy_is_checked(provider: Provider) -> None:
    """As a pool's is."""
    from hotspare import ConfigError

    with pytest.raises(ConfigError, match="retries"):
        litellm_hotspare.route(router_of(provider), retries=3)
