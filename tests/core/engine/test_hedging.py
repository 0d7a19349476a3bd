"""Attempts side by side: racing slow ones and hedging late ones, in virtual time and over real HTTP."""

import random
import threading
from collections.abc import Mapping
from typing import Any

import anyio
import pytest
from hotspare import ConfigError, Hedge, Kind, Outcome, Policy, Pool, Price, Timeouts
from hotspare._engine.budgets import HedgeTokens
from hotspare.drill.answers import answer
from hotspare.drill.provider import Provider
from hotspare.errors import AllTargetsFailed
from hotspare.testing import ScriptedTarget, VirtualClock, fail, hang, scripted_pool
from hotspare.testing import answer as reply
from hotspare.testing.steps import Step
from hypothesis import given
from hypothesis import strategies as st

from tests.support.calls import EACH_FACE, Ask, Seen, run_calls
from tests.support.eventually import aeventually
from tests.support.methods import EACH_METHOD, ask, run, target

HEDGE = Hedge(min_delay=0.5, max_extra_calls=1.0)
RESET = Outcome(Kind.TRANSPORT, "reset")


class World:
    """One call to targets in different regions, in virtual time.

    `plan`: what each target does in that call. `records`: seconds to the first token of eight calls that each of these
    targets has answered before. `log`: when each attempt started, in seconds since the call, where and why.
    """

    def __init__(
        self, plan: Mapping[str, Step], records: Mapping[str, float] | None = None, *, fields: Any = None, **policy: Any
    ) -> None:
        self.clock = VirtualClock(0)
        self.records = dict(records or {})
        self.targets = {
            name: ScriptedTarget(
                name,
                [*[reply("ok", delay=self.records[name])] * 8, step] if name in self.records else step,
                **{"id": f"{name}/m", "region": name, "price": Price(1, 1), **(fields or {}).get(name, {})},
            )
            for name, step in plan.items()
        }
        self.pool = scripted_pool(*self.targets.values(), clock=self.clock, **{"deadline": 60, **policy})
        self.log: list[str] = []

    def run(self, face: str, *, streaming: bool = True) -> Seen:
        """Make the call."""
        record = [Ask(streaming, options={"model": name}) for name in self.records for _ in range(8)]
        run_calls(face, self.pool, self.clock, record)
        before = {name: target.calls for name, target in self.targets.items()}
        start = self.clock()
        (seen,) = run_calls(face, self.pool, self.clock, [Ask(streaming)])
        seen.ended -= start
        tries = {name: iter(target.received[before[name] :]) for name, target in self.targets.items()}
        for one in seen.records:
            at = next(tries[one.target]).time
            assert at is not None
            self.log.append(f"{at - start:.2f} {one.target} {one.reason}")
        assert self.pool.health().in_flight == 0
        return seen


@EACH_FACE
@pytest.mark.parametrize("streaming", [True, False])
def test_a_slow_attempt_goes_on_beside_the_next_one(face: str, streaming: bool) -> None:
    """Its time is up, the next one starts beside it, and the first of both to answer wins."""
    times = Timeouts(completion=10)
    slow = World({"a": reply("ok", delay=12), "b": reply("ok", delay=30)}, on_slow="race", timeouts=times)
    seen = slow.run(face, streaming=streaming)
    assert slow.log == ["0.00 a first", "10.00 b failover"]
    assert seen.attempts == ["a first ok", "b failover cancelled"]
    assert seen.ended == 12
    late = World({"a": hang(), "b": reply("ok", delay=1)}, on_slow="race", timeouts=times)
    seen = late.run(face, streaming=streaming)
    assert [(r.target, r.kind, r.seconds) for r in seen.records] == [("a", Kind.TIMEOUT, 11.0), ("b", Kind.OK, 1.0)]
    assert late.pool.health()["a"].failures == 1


@EACH_FACE
def test_a_race_ends_with_the_deadline(face: str) -> None:
    """Every target hangs: the call ends when its time is over, with every attempt settled."""
    world = World({"a": hang(), "b": hang()}, on_slow="race", deadline=20, when_all_down="fail")
    seen = world.run(face)
    assert "2 attempts failed" in seen.error
    assert seen.ended == 20


@EACH_FACE
def test_a_loser_that_fails_first_changes_nothing(face: str) -> None:
    """The overdue attempt fails while the other one runs."""
    late_500 = fail(Outcome(Kind.SERVER, "late 500", 500), delay=11)
    world = World({"a": late_500, "b": reply("ok", delay=5)}, on_slow="race")
    assert world.run(face).attempts == ["a first server", "b failover ok"]


@EACH_FACE
def test_a_slow_attempt_is_abandoned_by_default(face: str) -> None:
    """Without `on_slow="race"` it is over when its time is."""
    world = World({"a": reply("ok", delay=12), "b": reply("ok", delay=5)})
    assert world.run(face).attempts == ["a first timeout", "b failover ok"]
    assert world.log == ["0.00 a first", "10.00 b failover"]
    assert world.clock() == 15


@EACH_FACE
@pytest.mark.parametrize("streaming", [True, False])
def test_a_late_attempt_is_hedged(face: str, streaming: bool) -> None:
    """After 1.25 times its own p95 a target in another region is tried beside it; the loser is settled as cancelled."""
    world = World({"a": reply("ok", delay=9), "b": reply("ok", delay=0.5)}, {"a": 1.0}, hedge=HEDGE)
    seen = world.run(face, streaming=streaming)
    assert world.log == ["0.00 a first", "1.25 b hedge"]
    assert seen.attempts == ["a first cancelled", "b hedge ok"]
    assert seen.ended == 1.75
    assert world.pool.health()["a"].failures == 0


@pytest.mark.parametrize(
    ("plan", "records", "log"),
    [
        ({"a": 0.4, "b": 0.1}, {"a": 0.1}, ["0.00 a first"]),
        ({"a": 9.0, "b": 0.1}, {}, ["0.00 a first"]),
        ({"a": 4.0, "b": 4.4, "c": 0.1}, {"a": 0.1}, ["0.00 a first", "0.50 b hedge"]),
    ],
    ids=["it answers before min_delay", "it has no record", "a second hedge"],
)
def test_no_hedge_without_need(plan: dict[str, float], records: dict[str, float], log: list[str]) -> None:
    """Not before `min_delay`, not without a record, and never twice."""
    world = World({name: reply("ok", delay=seconds) for name, seconds in plan.items()}, records, hedge=HEDGE)
    assert world.run("sync").records[0].kind is Kind.OK
    assert world.log == log


@pytest.mark.parametrize("why", ["same region", "too expensive", "recovering"])
def test_not_every_target_may_be_a_hedge(why: str) -> None:
    """It is in another region, at most twice as expensive, and its breaker is closed."""
    fields = {"same region": {"id": "a/n", "region": "a"}, "too expensive": {"price": Price(1, 3)}}.get(why, {})
    plan = {"a": reply("ok", delay=4), "b": reply("ok", delay=0.1)}
    world = World(plan, {"a": 0.1}, hedge=HEDGE, fields={"b": fields})
    if why == "recovering":
        breaker = world.pool._states[1].breaker
        breaker.open(-100.0, random.Random(0))
        breaker.recover(0.0)
    assert world.run("sync").attempts == ["a first ok"]
    assert world.log == ["0.00 a first"]


@EACH_FACE
def test_a_hedge_and_its_first_attempt_may_both_fail(face: str) -> None:
    """Then the call continues with the next target."""
    plan = {"a": fail(RESET, delay=3), "b": fail(RESET, delay=1), "c": reply("ok", delay=0.1)}
    world = World(plan, {"a": 0.1}, hedge=HEDGE, retry_same_target="never")
    assert world.run(face).text == "ok"
    assert world.log == ["0.00 a first", "0.50 b hedge", "3.00 c failover"]


@EACH_FACE
def test_no_hedge_after_the_first_content(face: str) -> None:
    """A slow stream is not hedged, and neither is the attempt that continues a broken one."""
    world = World({"a": reply(["o", "k"], gap=4), "b": reply("ok")}, {"a": 0.1}, hedge=HEDGE)
    assert world.run(face).attempts == ["a first ok"]


@given(
    st.lists(st.booleans(), max_size=200), st.sampled_from([0.01, 0.05, 0.3, 1.0]), st.sampled_from([0.0, 1.0, 10.0])
)
def test_hedges_stay_within_their_share(late_calls: list[bool], share: float, saved: float) -> None:
    """In any order of calls and late attempts: never more hedges than their share of the calls so far."""
    budget = HedgeTokens(Hedge(max_extra_calls=share, max_saved=saved))
    calls = hedges = 0
    for late in late_calls:
        if late:
            hedges += budget.withdraw()
        else:
            budget.deposit()
            calls += 1
        assert hedges <= share * calls + 1e-6
    assert not HedgeTokens(None).withdraw()


@pytest.mark.parametrize("wrong", [{"max_extra_calls": -1}, {"p95_factor": -0.1}])
def test_a_wrong_hedge_is_named(wrong: dict[str, float]) -> None:
    """A negative setting is a ConfigError with its place."""
    with pytest.raises(ConfigError, match=rf"policy\.hedge\.{next(iter(wrong))}"):
        Policy(hedge=Hedge(**wrong))


# --- over real HTTP ----------------------------------------------------------------------------------------------


def pool_of(provider: Provider, **policy: object) -> Pool:
    """Two targets in two regions, the first with a record of fast answers."""
    pool = Pool([target(provider, name, price=Price(1, 1)) for name in "ab"], **policy)  # type: ignore[arg-type]
    for _ in range(8):
        pool._states[0].first_token.add(0.02)
        pool._states[0].completion.add(0.02)
        pool._scheduler.call_started(0.0)
    return pool


def threads_of_attempts() -> set[threading.Thread]:
    """The threads in which attempts run side by side."""
    return {thread for thread in threading.enumerate() if thread.name.startswith("hotspare-")}


async def asked(pool: Pool, name: str, prompt: str) -> tuple[str, list[str], float | None]:
    """The text, the attempts and the cost."""
    text, source = await ask(pool, name, prompt)
    return text, [f"{one.target} {one.reason} {one.kind}" for one in source.attempts], source.cost


@EACH_METHOD
def test_the_losers_connection_is_closed(method: str, provider: Provider) -> None:
    """A hedge wins: the first attempt's connection is closed immediately, although it received nothing, and its prompt counts."""
    before = threads_of_attempts()

    async def use(pool: Pool, name: str) -> None:
        await asked(pool, name, "warm")  # a client that is still being made has no connection to close
        provider.reset()
        provider.fault("a", "blackhole")
        text, attempts, cost = await asked(pool, name, "q tokens=5")
        assert text == answer("q tokens=5")
        assert attempts == ["a first cancelled", "b hedge ok"]
        await aeventually(lambda: provider.stats("a").client_disconnects >= 1)
        assert pool.health().in_flight == 0
        provider.clear("a")
        pool._states[0].first_token.add(60.0)  # no further hedge, however slow the machine
        pool._states[0].completion.add(60.0)
        alone = (await asked(pool, name, "q tokens=5"))[2]
        assert cost is not None and alone is not None and cost > alone
        await aeventually(lambda: threads_of_attempts() <= before)

    run(method, pool_of(provider, hedge=Hedge(min_delay=0.2, max_extra_calls=1)), use)


@EACH_METHOD
def test_a_slow_attempt_races(method: str, provider: Provider) -> None:
    """It is not thrown away: here it wins against a target that never answers, there it loses."""
    times = Timeouts(first_token_min=0.05, completion_min=0.05)

    async def wins(pool: Pool, name: str) -> None:
        text, attempts, _ = await asked(pool, name, "q tokens=5")
        assert text == answer("q tokens=5")
        assert attempts == ["a first ok", "b failover cancelled"]

    async def loses(pool: Pool, name: str) -> None:
        await asked(pool, name, "warm")
        provider.reset()
        provider.fault("a", "blackhole")
        _, attempts, _ = await asked(pool, name, "q tokens=5")
        assert attempts == ["a first timeout", "b failover ok"]
        await aeventually(lambda: provider.stats("a").client_disconnects >= 1)
        assert pool.health()["a"].failures  # of the attempt that lost, and perhaps of the warm-up

    provider.fault("a", "delay", seconds=0.3)
    provider.fault("b", "blackhole")
    run(method, pool_of(provider, on_slow="race", timeouts=times), wins)
    provider.clear()
    run(method, pool_of(provider, on_slow="race", timeouts=times), loses)


@pytest.mark.anyio
async def test_a_cancelled_race_leaves_nothing(provider: Provider) -> None:
    """The caller is cancelled while two attempts run: both connections are closed, both permits are given back."""
    async with pool_of(provider, hedge=Hedge(min_delay=0.02, max_extra_calls=1)) as pool:
        await pool.achat("warm")
        provider.reset()
        provider.fault(["a", "b"], "blackhole")
        async with anyio.create_task_group() as group:
            group.start_soon(pool.achat, "q")
            await aeventually(lambda: all(provider.stats(endpoint).requests for endpoint in "ab"))
            group.cancel_scope.cancel()
        assert pool.health().in_flight == 0
        for endpoint in "ab":
            await aeventually(lambda endpoint=endpoint: provider.stats(endpoint).client_disconnects >= 1)  # type: ignore[misc]


@EACH_METHOD
def test_a_race_without_a_winner_is_one_error(method: str, provider: Provider) -> None:
    """AllTargetsFailed, as elsewhere; not a group of exceptions."""
    provider.fault(["a", "b"], "delay", seconds=0.1)
    provider.fault(["a", "b"], "status", status=401)

    async def use(pool: Pool, name: str) -> None:
        with pytest.raises(AllTargetsFailed) as caught:
            await asked(pool, name, "q")
        assert [(one.target, one.kind) for one in caught.value.attempts] == [("a", Kind.AUTH), ("b", Kind.AUTH)]

    run(method, pool_of(provider, hedge=Hedge(min_delay=0.02, max_extra_calls=1)), use)
