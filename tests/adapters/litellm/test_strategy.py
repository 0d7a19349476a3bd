"""A Router's own deployments, routed by hotspare's health, compared with the Router alone."""

from collections import Counter
from datetime import datetime, timedelta
from random import Random
from typing import Any

import litellm
import litellm_hotspare
import pytest
from anyio import to_thread
from hotspare import AllTargetsFailed, Breaker, Kind, Policy, Pool, State, Target
from hotspare.drill.answers import answer
from hotspare.drill.provider import KEY, Provider
from hotspare.events import AttemptEnded, Event
from litellm.types.router import RouterRateLimitError

from tests.adapters.litellm.calling import MESSAGES, METHODS, complete
from tests.adapters.litellm.routers import (
    all_recorded,
    call,
    expire,
    fail_until_open,
    picked,
    routed,
    router_of,
    together,
)
from tests.support.eventually import aeventually

pytestmark = pytest.mark.anyio


class Attempts:
    """Keeps events, and counts how attempts ended, by deployment."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    @property
    def answered(self) -> Counter[str]:
        """Attempts that were answered."""
        return self._count(answered=True)

    @property
    def failed(self) -> Counter[str]:
        """Attempts that failed."""
        return self._count(answered=False)

    def _count(self, *, answered: bool) -> Counter[str]:
        ended = [event.attempt for event in self.events if isinstance(event, AttemptEnded)]
        return Counter(
            one.target for one in ended if one.kind is not Kind.CANCELLED and (one.kind is Kind.OK) is answered
        )


async def herd(router: litellm.Router, provider: Provider) -> int:
    """How many requests fifty concurrent calls send to the failed primary; all calls must be answered."""
    before = provider.stats("a").requests
    results = await together([call(router) for _ in range(50)])
    assert [r for r in results if isinstance(r, Exception)] == []
    return provider.stats("a").requests - before


async def test_fifty_callers_after_the_break(provider: Provider, capsys: pytest.CaptureFixture[str]) -> None:
    """When the break is over: one probe with `route(router)`, many requests without, one for each call that is sent before
    LiteLLM has noted a failure."""
    with_it = router_of(provider, ordered=True)
    strategy, clock = routed(with_it, breaker=Breaker(fast_break_duration=10.0))  # longer than five calls take
    await fail_until_open(with_it, strategy, clock, provider)
    assert strategy.health()["a"].state is State.OPEN
    before_break_ends = provider.stats("a").requests
    for _ in range(5):
        await call(with_it)
    assert provider.stats("a").requests == before_break_ends
    clock.advance(12)
    probes = await herd(with_it, provider)
    await all_recorded(strategy)

    # A cooldown longer than fifty calls take on a slow machine: after it, a retry would be sent to the failed primary again.
    without = router_of(provider, ordered=True, cooldown_time=60)
    for _ in range(8):
        await call(without)
    expire(without)
    without_it = await herd(without, provider)
    with capsys.disabled():
        print(
            "\n  a failed primary's break is over and 50 calls come at once; requests to the failed primary:"
            f"\n    litellm.Router                              {without_it:>3}"
            f"\n    litellm.Router, litellm_hotspare.route()    {probes:>3}"
        )
    assert probes == 1 < without_it


async def test_traffic_returns_by_slow_start(provider: Provider) -> None:
    """After a successful probe the share of traffic grows from a tenth."""
    router = router_of(provider)
    strategy, clock = routed(router, strategy="ordered")
    await fail_until_open(router, strategy, clock, provider)
    provider.clear()
    clock.advance(6)
    await call(router)
    await all_recorded(strategy)
    assert strategy.health()["a"].state is State.RECOVERING
    shares = []
    for _ in range(4):
        picks = Counter(
            router.get_available_deployment(model="m", messages=MESSAGES, request_kwargs={})["model_info"]["id"]
            for _ in range(300)
        )
        shares.append(picks["a"] / 300)
        clock.advance(10)
    assert shares[0] < 0.2 < shares[1] < shares[2] < shares[3] == 1.0


async def test_threads(provider: Provider) -> None:
    """The same for the Router's sync method: twenty threads, one probe."""
    router = router_of(provider)
    strategy, clock = routed(router, strategy="ordered")
    await fail_until_open(router, strategy, clock, provider)
    clock.advance(6)
    before = provider.stats("a").requests
    results = await together(
        [to_thread.run_sync(lambda: router.completion(model="m", messages=MESSAGES)) for _ in range(20)]
    )
    assert [result.choices[0].message.content for result in results] == [answer("hello there")] * 20
    assert provider.stats("a").requests - before == 1


@METHODS
async def test_the_routers_retry_calls_another_deployment(method: str, provider: Provider) -> None:
    """After the first failure already, LiteLLM's retry calls another deployment; every call is answered. LiteLLM
    retries a stream only if the call itself fails."""
    router = router_of(provider)
    strategy, _ = routed(router, strategy="ordered")
    provider.fault("a", "status", status=500)
    text, _ = await complete(method, router, model="m")
    assert text == answer("hello there")
    await all_recorded(strategy)
    assert (provider.stats("a").requests, provider.stats("b").requests) == (1, 1)


@METHODS
async def test_a_deployment_that_the_router_excludes_after_its_failure(method: str, provider: Provider) -> None:
    """A cooldown from the first failure on: the retry, for which the Router no longer offers the deployment, is answered by another."""
    router = router_of(provider, allowed_fails=0, num_retries=1)
    strategy, _ = routed(router, strategy="ordered")
    provider.fault("a", "rate_limited", retry_after=20)
    for _ in range(2):
        text, _ = await complete(method, router, model="m")
        assert text == answer("hello there")
    await all_recorded(strategy)
    assert (provider.stats("a").requests, provider.stats("b").requests) == (1, 2)


@METHODS
async def test_everything_down_is_bounded(method: str, provider: Provider) -> None:
    """LiteLLM's default retries make three upstream calls per call, and the strategy does not add any."""
    router = router_of(provider, "abc")
    strategy, clock = routed(router)
    provider.fault(["a", "b", "c"], "status", status=500)
    for _ in range(6):
        before = sum(provider.stats(name).requests for name in "abc")
        with pytest.raises(Exception, match=r"server had an error|No deployments available"):
            await complete(method, router, model="m")
        assert sum(provider.stats(name).requests for name in "abc") - before <= Policy().max_attempts // 2
        clock.advance(0.5)
    await all_recorded(strategy)
    assert {target.state for target in strategy.health().targets} == {State.OPEN}


@pytest.mark.parametrize("endpoint", ["aresponses", "aanthropic_messages", "aembedding", "atext_completion"])
async def test_every_endpoint_is_recorded(endpoint: str, provider: Provider) -> None:
    """Failed attempts are recorded and no lease stays open, whatever the endpoint calls its metadata."""
    router = router_of(provider)
    attempts = Attempts()
    strategy, _ = routed(router, listeners=[attempts.events.append], strategy="ordered")
    provider.fault(["a", "b"], "status", status=500)
    question: dict[str, Any] = {
        "aresponses": {"input": "hello"},
        "aanthropic_messages": {"messages": MESSAGES, "max_tokens": 9},
        "aembedding": {"input": "hello"},
        "atext_completion": {"prompt": "hello"},
    }[endpoint]
    with pytest.raises(Exception, match=r"server had an error|Invalid URL"):
        await getattr(router, endpoint)(model="m", **question)
    await all_recorded(strategy)
    assert attempts.failed["a"] >= 1
    assert not attempts.answered


async def test_requests_may_share_their_metadata_and_trace_id(provider: Provider) -> None:
    """Concurrent calls with one metadata dict and one trace id: every outcome is recorded where it happened."""
    router = router_of(provider)
    attempts = Attempts()
    strategy, _ = routed(router, listeners=[attempts.events.append], strategy="ordered")
    provider.fault("a", "status", status=500)
    shared: dict[str, Any] = {"team": "blue"}
    results = await together([call(router, metadata=shared, litellm_trace_id="session") for _ in range(10)])
    assert [result for result in results if isinstance(result, Exception)] == []
    await all_recorded(strategy)
    assert attempts.failed == {"a": provider.stats("a").requests}
    assert attempts.answered == {"b": 10}


def test_a_choice_without_a_request_holds_no_lease(provider: Provider) -> None:
    """Code that only asks the Router for a deployment makes no call that could be reported."""
    router = router_of(provider, "a")
    strategy, _ = routed(router)
    assert router.get_available_deployment(model="m", messages=MESSAGES)["model_info"]["id"] == "a"
    assert strategy.health().in_flight == 0


async def test_a_pool_alone_in_its_group_decides_itself(provider: Provider) -> None:
    """Its failures, with the seconds to wait, do not keep the next call from it: it may wait, or have recovered."""
    pool = Pool(
        [Target("openai/gpt-4.1", name="inner", base_url=provider.base_url("a"), api_key=KEY)],
        when_all_down="fail",
        retry_same_target="never",
    )
    with pool:
        litellm_hotspare.register(pool)
        router = litellm.Router(
            model_list=[{"model_name": "m", "litellm_params": {"model": "hotspare/default"}}], disable_cooldowns=True
        )
        strategy, _ = routed(router)
        provider.fault("a", "rate_limited", retry_after=20)
        for _ in range(3):
            with pytest.raises((litellm.RateLimitError, litellm.ServiceUnavailableError)) as caught:
                await call(router)
            assert caught.value.llm_provider == "hotspare"
    assert strategy.health().targets == ()


def test_a_router_without_the_strategy_is_an_error() -> None:
    """Not silently a Router that no health reaches."""
    from types import SimpleNamespace

    from hotspare import ConfigError

    with pytest.raises(ConfigError, match="latency strategy"):
        litellm_hotspare.route(SimpleNamespace(update_settings=lambda **_: None))


async def test_a_rate_limit_is_not_a_failure(provider: Provider) -> None:
    """The deployment is not called until its retry-after is over, and then without a probe."""
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
    await all_recorded(strategy)
    assert provider.stats("a").requests == 2
    assert strategy.health()["a"].state is State.CLOSED


async def test_a_rejected_key_blocks_the_account(provider: Provider) -> None:
    """Two deployments are on one account: one 401 keeps both from being called."""
    router = router_of(provider, account="team")
    rng = Random()
    strategy, _ = routed(router, rng=rng, strategy="ordered")
    provider.fault("a", "status", status=401)
    with pytest.raises(litellm.AuthenticationError):
        await call(router, num_retries=0)
    await all_recorded(strategy)
    rng.random = lambda: 0.0  # type: ignore[method-assign] - no last-resort attempt
    with pytest.raises(RouterRateLimitError) as caught:
        await call(router)
    cause = caught.value.__cause__
    assert isinstance(cause, AllTargetsFailed)
    assert cause.skipped["b"].startswith("account")
    accounts = [domain for domain in strategy.health().domains if domain.level == "account"]
    assert [domain.available_in for domain in accounts] == [pytest.approx(300)]


@pytest.mark.parametrize("method", ["stream", "astream"])
async def test_streams_count_to_their_first_token(method: str, provider: Provider) -> None:
    """LiteLLM reports a stream at its end; the latency recorded is that of its first token."""
    router = router_of(provider, "a")
    strategy, clock = routed(router)
    await complete(method, router, model="m")
    await all_recorded(strategy)
    health = strategy.health()["a"]
    assert (health.calls, health.completion_p50) == (1, None)
    assert health.ttft_p50 is not None

    event = picked(router, stream=True)
    clock.advance(40)
    began = datetime(2026, 1, 1)
    first = began + timedelta(seconds=0.5)
    event |= {"completion_start_time": first}
    strategy.log_success_event(event, None, began, began + timedelta(seconds=40))
    assert strategy.health()["a"].ttft_p95 == pytest.approx(0.5)


@pytest.mark.parametrize("method", ["stream", "astream"])
async def test_a_broken_stream_is_a_second_outcome(method: str, provider: Provider) -> None:
    """It counts as answered, and then as failed."""
    router = router_of(provider, "a")
    strategy, _ = routed(router)
    provider.fault("a", "cut", at=10)
    with pytest.raises(litellm.APIConnectionError):
        await complete(method, router, model="m")
    await aeventually(
        lambda: strategy.health()["a"].calls == 2
    )  # nothing is in flight while the second one is not reported
    assert strategy.health()["a"].failures == 1


async def test_no_deployment_available(provider: Provider) -> None:
    """The Router's own error has the seconds to wait; a fallback group takes over immediately, without a
    last-resort attempt."""
    other = {"model_name": "spare", "litellm_params": {"model": "openai/x", "mock_response": "spare"}}
    router = router_of(provider, "a", more=[other])
    rng = Random()
    routed(router, rng=rng)
    rng.random = lambda: 0.0  # type: ignore[method-assign] - no last-resort attempt
    provider.fault("a", "rate_limited", retry_after=20)
    with pytest.raises(litellm.RateLimitError):
        await call(router, num_retries=0)
    with pytest.raises(RouterRateLimitError) as caught:
        await call(router)
    assert caught.value.cooldown_time == pytest.approx(20, abs=0.2)
    cause = caught.value.__cause__
    assert isinstance(cause, AllTargetsFailed)
    assert cause.skipped.keys() == {"a"}
    reply = await call(router, fallbacks=[{"m": ["spare"]}])
    assert reply.choices[0].message.content == "spare"
    assert provider.stats("a").requests == 1


async def test_the_routers_own_filters_come_first(provider: Provider) -> None:
    """Tags, cooldowns, order, and a deployment called by its id."""
    router = router_of(provider, "abc", enable_tag_filtering=True)
    routed(router)
    for deployment in router.model_list:
        deployment["litellm_params"]["tags"] = [deployment["model_info"]["id"]]
    for name in "abc":
        reply = await call(router, metadata={"tags": [name]})
        assert reply._hidden_params["model_id"] == name
    assert (await call(router, model="c"))._hidden_params["model_id"] == "c"
