"""Attempts side by side: racing slow ones and hedging late ones, by scripts in virtual time and over loopback."""

import threading
from collections.abc import Callable

import anyio
import pytest
from hotspare import ConfigError, Hedge, Kind, Outcome, Policy, Pool, Price, Target, Timeouts
from hotspare._engine.budgets import HedgeTokens
from hotspare._engine.call import Attempt, Call
from hotspare._engine.flow import WOKE, Event, Finished, Start, Wait, flow
from hotspare.drill.answers import answer
from hotspare.drill.provider import Provider
from hotspare.errors import AllTargetsFailed
from hotspare.outcome import OK
from hotspare.testing import ManualClock, ScriptedTarget
from hypothesis import given
from hypothesis import strategies as st

FACES = pytest.mark.parametrize("face", ["chat", "achat", "stream", "astream"])


class Script:
    """A call told by hand: what each target does after how many seconds, in virtual time."""

    def __init__(self, plan: dict[str, tuple[float, Outcome]], *, deadline: float = 60, **policy: object) -> None:
        self.clock = ManualClock(0.0)
        self.plan = plan
        targets = [ScriptedTarget(name, region=name, id=f"{name}/m", price=Price(1, 1)).target for name in plan]
        self.pool = Pool(targets, clock=self.clock, deadline=deadline, **policy)  # type: ignore[arg-type]
        self.log: list[str] = []

    def learn(self, name: str, seconds: float, times: int = 8) -> None:
        """Give a target a record."""
        member = next(m for m in self.pool._scheduler.members if m.name == name)
        for _ in range(times):
            member.first_token.add(seconds)
            self.pool._scheduler.call_started(0.0)

    def call(self) -> Call:
        return self.pool._call("q", {}, streaming=True)

    def run(self, call: Call | None = None) -> str:
        """Play one call to its end: the winner's name, or the error's first line."""
        call = call or self.call()
        story = flow(call, self.pool._scheduler, self.clock)
        ends: list[tuple[float, Attempt]] = []
        event: Event | None = None
        try:
            while True:
                command = story.send(event)
                event = None
                if isinstance(command, Start):
                    attempt = command.attempt
                    seconds, _ = self.plan[attempt.target_state.name]
                    ends.append((self.clock() + min(seconds, attempt.timeout), attempt))
                    self.log.append(f"{self.clock():.2f} {attempt.target_state.name} {attempt.reason}")
                else:
                    event = self._wait(command, ends)
        except StopIteration as end:
            winner: Attempt = end.value
            return winner.target_state.name
        except AllTargetsFailed as error:
            return str(error).splitlines()[0]
        finally:
            assert not call.running and self.pool.health().in_flight == 0

    def _wait(self, command: Wait, ends: list[tuple[float, Attempt]]) -> Event:
        ends.sort(key=lambda pair: pair[0])
        wakes = None if command.seconds is None else self.clock() + command.seconds
        if ends and (wakes is None or ends[0][0] <= wakes):
            self.clock.now, attempt = ends.pop(0)
            seconds, outcome = self.plan[attempt.target_state.name]
            return Finished(attempt, outcome if seconds <= attempt.timeout else Outcome(Kind.TIMEOUT, "late"))
        assert wakes is not None
        self.clock.now = wakes
        return WOKE


def test_a_slow_attempt_races_on() -> None:
    """Its time is up, the next one starts beside it, and the first of both to answer wins."""
    slow = Script({"a": (12.0, OK), "b": (30.0, OK)}, on_slow="race")
    call = slow.call()
    assert slow.run(call) == "a"
    assert slow.log == ["0.00 a first", "10.00 b failover"]
    assert [(r.target, r.kind) for r in call.records] == [("a", Kind.OK), ("b", Kind.CANCELLED)]
    hung = Script({"a": (99.0, OK), "b": (1.0, OK)}, on_slow="race")
    call = hung.call()
    assert hung.run(call) == "b"
    assert [(r.target, r.kind, r.seconds) for r in call.records] == [("a", Kind.TIMEOUT, 11.0), ("b", Kind.OK, 1.0)]
    assert hung.pool.health()["a"].failures == 1


def test_a_race_ends_with_its_deadline() -> None:
    """Everybody hangs: the call ends when its time is over, with every attempt settled."""
    story = Script({"a": (99.0, OK), "b": (99.0, OK)}, on_slow="race", deadline=20, when_all_down="fail")
    assert "2 attempts failed" in story.run()
    assert story.clock() == 20


def test_a_loser_that_fails_first_changes_nothing() -> None:
    """The overdue attempt breaks down while the other one runs."""
    story = Script({"a": (11.0, Outcome(Kind.SERVER, "late 500", 500)), "b": (5.0, OK)}, on_slow="race")
    call = story.call()
    assert story.run(call) == "b"
    assert [r.kind for r in call.records] == [Kind.SERVER, Kind.OK]


def test_abandon_is_the_default() -> None:
    """Without `on_slow=race` the slow attempt is over when its time is."""
    story = Script({"a": (12.0, OK), "b": (5.0, OK)})
    assert story.run() == "b"
    assert story.log == ["0.00 a first", "10.00 b failover"]
    assert story.clock() == 15


HEDGE = Hedge(min_delay=0.5, max_extra_calls=1.0)


def test_a_late_attempt_is_hedged() -> None:
    """1.25 times its own p95, another region's target starts beside it; the loser is settled as abandoned."""
    story = Script({"a": (9.0, OK), "b": (0.3, OK)}, hedge=HEDGE)
    story.learn("a", 1.0)
    call = story.call()
    assert story.run(call) == "b"
    assert story.log == ["0.00 a first", "1.25 b hedge"]
    assert [(r.target, r.kind) for r in call.records] == [("a", Kind.CANCELLED), ("b", Kind.OK)]
    assert story.pool.health()["a"].failures == 0
    assert [target.name for target in call.lost] == ["a"]


def test_no_hedge_without_need() -> None:
    """Not below `after`, not without a record, not twice, not when the first one answers, not to one region."""
    for plan, learnt, log in (
        ({"a": (0.4, OK), "b": (0.1, OK)}, 0.1, ["0.00 a first"]),
        ({"a": (9.0, OK), "b": (0.1, OK)}, None, ["0.00 a first"]),
        ({"a": (4.0, OK), "b": (4.4, OK), "c": (0.1, OK)}, 0.1, ["0.00 a first", "0.50 b hedge"]),
    ):
        story = Script(plan, hedge=HEDGE)
        if learnt is not None:
            story.learn("a", learnt)
        assert story.run() == "a"
        assert story.log == log
    story = Script({"a": (4.0, OK), "b": (0.1, OK)}, hedge=HEDGE)
    story.learn("a", 0.1)
    first, other = story.pool._scheduler.members
    other.domains = first.domains
    assert story.run() == "a" and len(story.log) == 1


def test_a_hedge_is_neither_dear_nor_a_probe() -> None:
    """A target above the price cap, or one that is not well, is no hedge."""
    for spoil in ("price", "state"):
        story = Script({"a": (4.0, OK), "b": (0.1, OK)}, hedge=HEDGE)
        story.learn("a", 0.1)
        other = story.pool._scheduler.members[1]
        if spoil == "price":
            object.__setattr__(other.target, "price", Price(1, 3))
        else:
            other.breaker.open(-100.0, story.pool._scheduler.rng)
        assert story.run() == "a"
        assert story.log == ["0.00 a first"]


def test_a_hedge_and_its_first_fail() -> None:
    """Both fail: the call goes on with the next target."""
    bad = Outcome(Kind.TRANSPORT, "reset")
    story = Script({"a": (3.0, bad), "b": (1.0, bad), "c": (0.1, OK)}, hedge=HEDGE, retry_same_target="never")
    story.learn("a", 0.1)
    assert story.run() == "c"
    assert story.log == ["0.00 a first", "0.50 b hedge", "3.00 c failover"]


@given(
    st.lists(st.booleans(), max_size=400), st.sampled_from([0.01, 0.05, 0.3, 1.0]), st.sampled_from([0.0, 1.0, 10.0])
)
def test_hedges_stay_within_their_share(steps: list[bool], share: float, saved: float) -> None:
    """Under any order of arrivals and late attempts: never more hedges than their share of the calls so far."""
    budget = HedgeTokens(Hedge(max_extra_calls=share, max_saved=saved))
    calls = hedges = 0
    for late in steps:
        if late:
            hedges += budget.withdraw()
        else:
            budget.deposit()
            calls += 1
        assert hedges <= share * calls + 1e-6
    assert not HedgeTokens(None).withdraw()


@pytest.mark.parametrize("bad", [{"share": -1}, {"factor": -0.1}])
def test_a_bad_hedge_is_named(bad: dict[str, float]) -> None:
    """Negative knobs, with their place."""
    with pytest.raises(ConfigError, match=rf"policy\.hedge\.{next(iter(bad))}"):
        Policy(hedge=Hedge(**bad))


# --- over loopback -----------------------------------------------------------------------------------------------


def pool_of(provider: Provider, **policy: object) -> Pool:
    """Two targets in two regions, the first with a record of quick answers."""
    pool = Pool(
        [
            Target("openai/m", region=e, name=e, base_url=provider.base_url(e), api_key="test-1", price=Price(1, 1))
            for e in "ab"
        ],
        **policy,  # type: ignore[arg-type]
    )
    for _ in range(8):
        pool._scheduler.members[0].first_token.add(0.02)
        pool._scheduler.members[0].completion.add(0.02)
        pool._scheduler.call_started(0.0)
    return pool


async def ask(pool: Pool, face: str, prompt: str) -> tuple[str, list[str], float | None]:
    """The text, who was asked with what end, and the cost."""
    if face in ("chat", "achat"):
        reply = pool.chat(prompt) if face == "chat" else await pool.achat(prompt)
        return reply.text, [f"{a.target} {a.reason} {a.kind}" for a in reply.attempts], reply.cost
    chunks = list(pool.stream(prompt)) if face == "stream" else [chunk async for chunk in pool.astream(prompt)]
    receipt = chunks[-1].summary
    assert receipt is not None
    return "".join(c.text for c in chunks), [f"{a.target} {a.reason} {a.kind}" for a in receipt.attempts], receipt.cost


async def until(holds: Callable[[], bool]) -> None:
    """Wait for what the other process is about to see."""
    with anyio.fail_after(5):
        while not holds():  # noqa: ASYNC110 - another process has no event to wait for
            await anyio.sleep(0.005)


@FACES
@pytest.mark.anyio
async def test_the_loser_is_hung_up_on(face: str, provider: Provider) -> None:
    """A hedge wins: the first one's connection is closed at once, though it had not said a word, and its prompt counts."""
    before = set(threading.enumerate())
    async with pool_of(provider, hedge=Hedge(min_delay=0.2, max_extra_calls=1)) as pool:
        await ask(pool, face, "warm")  # a client that is still being made has nobody to hang up on
        provider.reset()
        provider.fault("a", "blackhole")
        text, attempts, cost = await ask(pool, face, "q tokens=5")
        assert text == answer("q tokens=5")
        assert attempts == ["a first abandoned", "b hedge ok"]
        await until(lambda: provider.stats("a").client_disconnects == 1)
        assert pool.health().in_flight == 0
        provider.clear("a")
        alone = (await ask(pool, face, "q tokens=5"))[2]
        assert cost is not None and alone is not None and cost > alone
    await until(lambda: not [t for t in set(threading.enumerate()) - before if t.name.startswith("hotspare-")])


@FACES
@pytest.mark.anyio
async def test_a_slow_one_is_raced(face: str, provider: Provider) -> None:
    """The slow one is not thrown away: here it wins against a black hole, there it loses."""
    times = Timeouts(first_token_min=0.05, completion_min=0.05)
    provider.fault("a", "delay", seconds=0.3)
    provider.fault("b", "blackhole")
    async with pool_of(provider, on_slow="race", timeouts=times) as pool:
        text, attempts, _ = await ask(pool, face, "q tokens=5")
        assert text == answer("q tokens=5")
        assert attempts == ["a first ok", "b failover abandoned"]
    provider.clear()
    async with pool_of(provider, on_slow="race", timeouts=times) as pool:
        await ask(pool, face, "warm")
        provider.reset()
        provider.fault("a", "blackhole")
        text, attempts, _ = await ask(pool, face, "q tokens=5")
        assert attempts == ["a first timeout", "b failover ok"]
        await until(lambda: provider.stats("a").client_disconnects == 1)
        assert pool.health()["a"].failures  # the one that lost, and perhaps one of a slow start


@pytest.mark.anyio
async def test_a_cancelled_race_leaves_nothing(provider: Provider) -> None:
    """The caller leaves while two attempts run: both connections are closed, both permits are back."""
    async with pool_of(provider, hedge=Hedge(min_delay=0.02, max_extra_calls=1)) as pool:
        await pool.achat("warm")
        provider.reset()
        provider.fault(["a", "b"], "blackhole")
        with anyio.move_on_after(0.3):
            await pool.achat("q")
        assert pool.health().in_flight == 0
        for endpoint in "ab":
            await until(lambda endpoint=endpoint: provider.stats(endpoint).client_disconnects == 1)  # type: ignore[misc]


@FACES
@pytest.mark.anyio
async def test_a_race_that_everybody_loses(face: str, provider: Provider) -> None:
    """Errors come out of a race as they do elsewhere: one AllTargetsFailed, no group."""
    provider.fault(["a", "b"], "delay", seconds=0.1)
    provider.fault(["a", "b"], "status", status=401)
    async with pool_of(provider, hedge=Hedge(min_delay=0.02, max_extra_calls=1)) as pool:
        with pytest.raises(AllTargetsFailed) as caught:
            await ask(pool, face, "q")
        assert [(a.target, a.kind) for a in caught.value.attempts] == [("a", Kind.AUTH), ("b", Kind.AUTH)]
