"""`api_key` and `targets` per call: an account of its own with health of its own, in bounded memory, and shown nowhere."""

import gc
import itertools
import logging
from typing import Any

import pytest
from hotspare import AllTargetsFailed, Budget, Cache, Pool, Price, RequestError, SecretStr, Target
from hotspare._config.per_call import MAX_ACCOUNTS
from hotspare._health.breaker import State
from hotspare.drill.provider import Provider
from hotspare.events import Event
from hotspare.testing import ScriptedTarget, fail, scripted_pool

from tests.support.methods import run, target
from tests.support.raw_server import RawRequest, raw_server, response

GOOD = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "fine"}, "finish_reason": "stop"}]}
BAD_KEY, GOOD_KEY = "bad-key-of-a-caller", "good-key-of-a-caller"


def by_key(request: RawRequest) -> bytes:
    """A provider that knows one key, and repeats those that it rejects."""
    key = request.headers.get("authorization", "").removeprefix("Bearer ")
    if key == BAD_KEY:
        return response(401, {"error": {"message": f"Incorrect API key provided: {key}", "code": "invalid_api_key"}})
    return response(200, GOOD)


def at(url: str, *regions: str, **fields: Any) -> list[Target]:
    return [
        Target("openai/gpt-4.1", base_url=f"{url}/v1", region=one, name=one, api_key="pool-key-1234", **fields)
        for one in regions
    ]


@pytest.mark.parametrize("method", ["chat", "stream", "asyncio achat", "asyncio astream", "trio achat"])
def test_the_callers_key_is_sent_and_no_other(method: str, provider: Provider) -> None:
    """In every method the target is called with the caller's key, which alone the provider knows, and its name says so."""
    pool = Pool([target(provider, "a", api_key="unknown-1")])
    found: list[str] = []

    async def use(pool: Pool, name: str) -> None:
        if name == "chat":
            found.append(pool.chat("hi", api_key="test-caller-1").target)
        elif name == "achat":
            found.append((await pool.achat("hi", api_key=SecretStr("test-caller-1"))).target)
        elif name == "stream":
            found.append(
                [one.summary.target for one in pool.stream("hi", api_key={"a": "test-caller-1"}) if one.summary][-1]
            )
        else:
            stream = pool.astream("hi", api_key={"openai": "test-caller-1"})
            found.append([one.summary.target async for one in stream if one.summary][-1])

    run(method, pool, use)
    assert found == ["a (own key)"]
    assert len(provider.recorded_requests("a")) == 1


def test_a_bad_key_harms_its_own_account_only(caplog: pytest.LogCaptureFixture) -> None:
    """Calls with a rejected key are not sent, those of the pool and of another caller are; the key is in no event, error, log or health."""
    caplog.set_level(logging.DEBUG, "hotspare")
    seen: list[Event] = []
    with raw_server(by_key) as server, Pool(at(server.url, "us"), listeners=[seen.append]) as pool:
        with pytest.raises(AllTargetsFailed) as first:
            pool.chat("hi", api_key=BAD_KEY)
        with pytest.raises(AllTargetsFailed) as second:
            pool.chat("hi", api_key=BAD_KEY)
        assert [one.status for one in first.value.attempts] == [401]
        assert not second.value.attempts
        assert pool.chat("hi").text == pool.chat("hi", api_key=GOOD_KEY).text == "fine"
        assert {one.state for one in pool.health().targets} == {State.CLOSED}
        plan = str(pool.explain("hi", api_key=BAD_KEY))
        shown = f"{seen} {first.value!r} {first.value} {second.value} {vars(first.value)} {pool.health()} {plan} {caplog.text}"
    assert BAD_KEY not in shown and GOOD_KEY not in shown
    assert "us (own key)" in plan


def test_a_dead_region_is_known_to_every_caller() -> None:
    """What the calls of one have shown of a region keeps those of another one from it."""
    ticks = itertools.count()  # each look at the clock is later than the one before: a burst is one observation
    pool = Pool(
        [Target("openai/gpt-4.1", base_url="http://127.0.0.1:9/v1", name="dead", region="us", api_key="pool-key-1234")],
        when_all_down="fail", clock=lambda: next(ticks) * 0.01,
    )  # fmt: skip
    for _ in range(8):
        with pytest.raises(AllTargetsFailed):
            pool.chat("hi", api_key=GOOD_KEY, max_attempts=1)
    choice = pool.explain("hi", api_key="sk-another-0123456789").choices[0]
    own = pool.explain("hi").choices[0]
    assert (choice.skipped, own.skipped) == ("unavailable", "unavailable")
    assert "region openai/us" in choice.reason


def test_a_key_goes_to_its_own_provider_only() -> None:
    """A key without a provider is refused where several could see it; targets of others are no part of the call."""
    pool = Pool(
        [
            Target("openai/gpt-4.1", api_key="k1", name="o"),
            Target("anthropic/claude-sonnet-4-5", api_key="k2", name="c"),
        ]
    )
    with pytest.raises(RequestError, match="several providers"):
        pool.chat("hi", api_key="sk-1")
    assert {one.target: one.skipped for one in pool.explain("hi", api_key={"openai": "sk-1"}).choices} == {
        "o (own key)": None, "c": "excluded",
    }  # fmt: skip
    assert pool.explain("hi", api_key="sk-1", only=["openai"]).choices[0].target == "o (own key)"
    for mistake in ({"mistral": "sk-1"}, {}, "", {"openai": 5}, "OPENAI_API_KEY"):
        with pytest.raises(RequestError, match="api_key"):
            pool.chat("hi", api_key=mistake)  # type: ignore[arg-type]
    with pytest.raises(RequestError, match="own"):
        scripted_pool("a").chat("hi", api_key={"a": "k"})


def test_targets_of_a_call(provider: Provider) -> None:
    """They take the place of the pool's, fail over in their tiers, are known again when they come again, and obey the pool's regions."""
    pool = Pool([target(provider, "a")], regions={"a", "b", "c"})

    def own() -> list[Target]:
        return [target(provider, "b", api_key="test-b"), target(provider, "c", api_key="test-c", tier=1)]

    with pool:
        provider.fault("b", "status", status=401)
        assert [pool.chat("hi", targets=own()).target for _ in range(3)] == ["c"] * 3
        assert len(provider.recorded_requests("b")) == 1
        assert pool.chat("hi").target == "a"
        with pytest.raises(RequestError, match="region"):
            pool.chat("hi", targets=[target(provider, "d")])
        with pytest.raises(RequestError, match="targets"):
            pool.chat("hi", targets=["no-such-provider/x"])
        with pytest.raises(RequestError, match="each of `targets`"):
            pool.chat("hi", targets=own(), api_key="k")


def test_memory_stays_flat_and_an_operators_word_holds(provider: Provider) -> None:
    """Of thousands of keys a few are kept; what is evicted in the middle of a call ends as others do."""
    pool = Pool([target(provider, "a")])
    stream = pool.stream("hi", api_key="test-key-first")
    next(stream)
    for number in range(MAX_ACCOUNTS + 50):
        pool.explain("hi", api_key=f"test-key-{number}")
    assert list(stream)[-1].finish_reason == "stop"
    tracker = pool._scheduler._shared.tracker  # pyright: ignore[reportPrivateUsage]
    assert len(tracker.guests) == MAX_ACCOUNTS
    assert len(tracker.domains) <= MAX_ACCOUNTS + 3
    assert len(pool.health().domains) == 3
    pool.disable("a", "maintenance")
    for key in (f"test-key-{MAX_ACCOUNTS}", "test-key-new"):
        with pytest.raises(AllTargetsFailed, match="no target"):
            pool.chat("hi", api_key=key, deadline=1)
    pool.enable("a")
    assert pool.chat("hi", api_key="test-key-new").text
    pool.close()
    gc.collect()


def test_neither_budget_nor_cache_is_shared(provider: Provider) -> None:
    """A caller's own key pays for itself: a used-up budget does not stop it, and no other account's answer is served."""
    priced = target(provider, "a", price=Price(1e6, 1e6))
    with Pool([priced], budgets=[Budget(usd=0.5, per="day")], cache=Cache()) as pool:
        for _ in range(2):
            pool.chat("hi", api_key="test-caller-1")
        assert not pool.spent() or max(pool.spent().values()) == 0
        assert len(provider.recorded_requests("a")) == 2
        pool.chat("hi")
        assert max(pool.spent().values()) > 0.5
        assert pool.chat("hi", api_key="test-caller-1").text
        assert len(provider.recorded_requests("a")) == 4


def test_a_recorded_pool_takes_none(tmp_path: Any) -> None:
    """A recording could not be replayed: it has the pool's targets."""
    pool = scripted_pool(ScriptedTarget("a", fail(500)), record=tmp_path / "calls.jsonl")
    with pytest.raises(RequestError, match="recorded"):
        pool.chat("hi", targets=["openai/gpt-4.1"])
