"""The default policy in virtual time: minutes of failures, breaks and waits, in milliseconds, equal in all three faces."""

import threading
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from hotspare import CallError, Hedge, Kind, Outcome, Pool
from hotspare._engine.attempts import MAX_FAST_PROBES
from hotspare._health.breaker import State
from hotspare.events import StateChanged
from hotspare.testing import (
    Script,
    ScriptedTarget,
    StepLike,
    VirtualClock,
    answer,
    break_after,
    fail,
    hang,
    scripted_pool,
)

DOWN = Outcome(Kind.SERVER, "down", 500)
REFUSED = Outcome(Kind.TRANSPORT, "refused", before_connect=True)


class World:
    """Calls, one after the other, to a pool of two targets with the default policy; `log` is what came of them, and when."""

    def __init__(self, a: Script, b: Script, **policy: Any) -> None:
        self.clock = VirtualClock(0)
        self.a, self.b = ScriptedTarget("a", a), ScriptedTarget("b", b)
        self.log: list[tuple[float, object]] = []
        self.pool: Pool = scripted_pool(self.a, self.b, clock=self.clock, listeners=[self.note], **policy)

    def note(self, what: object) -> None:
        """Keep the time of an event, an answer or an error."""
        self.log.append((self.clock(), what))

    def run(self, *calls: str, pause: float = 0.0) -> None:
        """`chat` or `stream`, from a thread."""
        for call in calls:
            try:
                text = self.pool.chat("q").text if call == "chat" else "".join(c.text for c in self.pool.stream("q"))
                self.note(text)
            except CallError as error:
                self.note(str(error))
            self.clock.sleep(pause)

    async def arun(self, *calls: str, pause: float = 0.0) -> None:
        """The same from an event loop."""
        for call in calls:
            try:
                if call == "chat":
                    self.note((await self.pool.achat("q")).text)
                else:
                    self.note("".join([chunk.text async for chunk in self.pool.astream("q")]))
            except CallError as error:
                self.note(str(error))
            await self.clock.asleep(pause)


def same_in_all_faces(make: Callable[[], World], *calls: str, pause: float = 0.0) -> World:
    """Make these calls through threads, asyncio and trio: the same log, to the digit. Returns the first world."""
    world = make()
    world.run(*calls, pause=pause)
    for backend in ("asyncio", "trio"):
        other = make()

        async def run(other: World = other) -> None:
            await other.arun(*calls, pause=pause)

        anyio.run(run, backend=backend)
        assert other.log == world.log
        assert [one.time for one in other.a.received] == [one.time for one in world.a.received]
        assert other.clock() == world.clock()
    health = world.pool.health()
    assert (health.in_flight, health.waiting) == (0, 0)
    return world


def texts(world: World) -> list[str]:
    """The answers and errors' first lines."""
    return [what.splitlines()[0] for _, what in world.log if isinstance(what, str)]


def test_two_targets_that_always_fail_give_up_in_time() -> None:
    """Once this never returned: the call waited for a recovery on a clock that stood still."""
    world = same_in_all_faces(lambda: World(DOWN, DOWN), "chat", "stream")
    assert all("attempts failed" in text for text in texts(world))
    assert 0 < world.clock() <= 240
    after_fast_ones = world.a.calls + world.b.calls - MAX_FAST_PROBES
    assert after_fast_ones <= 2 * (6 + 120 * 1.2), "while a call waits, about one attempt a second"


def test_five_failures_open_the_breaker_and_a_probe_closes_it() -> None:
    """The whole life of a breaker with the default settings."""
    steps: list[StepLike] = [*[fail(DOWN, delay=0.5)] * 5, "back"]
    world = same_in_all_faces(lambda: World(steps, "backup"), *["chat"] * 60, pause=1)
    assert texts(world)[:4] == ["backup"] * 4
    assert texts(world)[-1] == "back"
    moves = [(what.subject, what.before, what.after) for _, what in world.log if isinstance(what, StateChanged)]
    assert moves[:3] == [
        ("a", State.CLOSED, State.OPEN), ("a", State.OPEN, State.HALF_OPEN), ("a", State.HALF_OPEN, State.RECOVERING),
    ]  # fmt: skip
    assert world.pool.health()["a"].state is State.CLOSED


def test_a_hung_target_costs_half_the_deadline_and_no_more() -> None:
    """120 s by default: the first target gets half of it, the second one the rest."""
    world = same_in_all_faces(lambda: World(hang(), hang(), when_all_down="fail"), "chat")
    assert world.clock() == 120
    assert "no whole answer within 60.0 s" in str(world.log[-1][1])
    late = same_in_all_faces(lambda: World(hang(), answer("late but there", delay=59)), "chat", "stream")
    assert texts(late) == ["late but there"] * 2


def test_when_all_are_down_a_call_waits_for_the_recovery() -> None:
    """It is answered by the first target that is back, within its deadline."""

    def make() -> World:
        def step(request: object) -> StepLike:
            return "alive" if world.clock() >= 8 else REFUSED

        world = World(step, step)
        return world

    world = same_in_all_faces(make, "chat", "chat")
    assert texts(world) == ["alive", "alive"]
    assert 8 <= world.clock() < 30


def test_a_rate_limit_is_sat_out() -> None:
    """Retry-After of both targets, to the second."""
    limited = fail(429, "slow down", retry_after=7)
    world = same_in_all_faces(lambda: World([limited, "a again"], [limited, "b again"]), "chat")
    assert texts(world) == ["a again"]
    assert 7 <= world.clock() < 8


def test_a_stream_s_text_keeps_its_spaces() -> None:
    """Once "Hello from the primary" came out as "Hellofromtheprimary"."""
    world = same_in_all_faces(lambda: World("Hello from the primary", "b"), "stream", "chat")
    assert texts(world) == ["Hello from the primary"] * 2


def test_a_stalled_stream_is_continued_elsewhere() -> None:
    """After 30 s of silence by default; a broken one immediately. The text has neither a gap nor a repetition."""
    first = hang(2, "Once upon a time.", delay=1, gap=2)
    world = same_in_all_faces(lambda: World(first, " a time."), "stream")
    assert texts(world) == ["Once upon a time."]
    assert world.clock() == 1 + 2 + 30
    broken = same_in_all_faces(lambda: World(break_after(2, "Once upon a time.", gap=2), " a time."), "stream")
    assert texts(broken) == ["Once upon a time."]
    assert broken.clock() == 2 + 2


def test_a_whole_answer_over_a_stream_keeps_its_deadline() -> None:
    """Some words, then silence: streamed underneath or not, the call ends with its deadline."""
    step = hang(3, "one two three four", gap=1)
    world = same_in_all_faces(
        lambda: World(step, step, deadline=10, completion="stream", when_all_down="fail"), "chat", "stream"
    )
    ends = [at for at, what in world.log if isinstance(what, str)]
    assert ends[0] <= 10


def test_a_total_deadline_ends_a_steady_stream() -> None:
    """Though every chunk comes in time."""
    step = answer(["x"] * 100, gap=1)
    world = same_in_all_faces(lambda: World(step, step, total_deadline=12), "stream")
    assert world.clock() == 12
    assert "total deadline" in str(world.log[-1][1])


@pytest.mark.parametrize("call", ["chat", "stream"])
def test_slow_attempts_race(call: str) -> None:
    """The one that is slow continues beside the next one, in threads as in tasks, and the losers are cancelled."""
    world = same_in_all_faces(lambda: World(hang(), answer("b wins", delay=3), on_slow="race"), call, call)
    assert texts(world) == ["b wins"] * 2
    other = same_in_all_faces(
        lambda: World(answer("a wins after all", delay=61), answer("b", delay=55), on_slow="race"), call
    )
    assert texts(other) == ["a wins after all"]


def test_a_loser_s_thread_ends_at_once() -> None:
    """It does not wait on the clock for the rest of its time, nor hold it up."""
    before = set(threading.enumerate())
    world = World(hang(), answer("b wins", delay=3), on_slow="race")
    assert world.pool.chat("q").text == "b wins"
    for thread in set(threading.enumerate()) - before:
        thread.join(60)
        assert not thread.is_alive()
    assert world.clock() == 63


@pytest.mark.parametrize("call", ["chat", "stream"])
def test_a_late_attempt_is_hedged(call: str) -> None:
    """Eight quick answers make a record; the ninth attempt is late, and a second one beside it wins."""
    steps: list[StepLike] = [*[answer("quick", delay=0.2)] * 20, answer("late", delay=30)]
    world = same_in_all_faces(lambda: World(steps, answer("hedge", delay=1), hedge=Hedge()), *[call] * 21)
    assert texts(world)[-1] == "hedge"
    assert texts(world)[:20] == ["quick"] * 20
    assert world.clock() == pytest.approx(20 * 0.2 + 0.5 + 1)


def test_threads_wait_together_for_a_recovery() -> None:
    """Ten callers of a pool that is down: all are answered soon after it is back, and not before."""
    clock = VirtualClock(0)

    def step(request: object) -> StepLike:
        return answer("alive", delay=0.1) if clock() >= 15 else REFUSED

    pool = scripted_pool(ScriptedTarget("a", step), ScriptedTarget("b", step), clock=clock)

    def call() -> float:
        assert pool.chat("q").text == "alive"
        return clock()

    ends = clock.run_in_threads(*[call] * 10)
    assert all(15 <= end < 40 for end in ends)
    health = pool.health()
    assert (health.in_flight, health.waiting) == (0, 0)


@pytest.mark.anyio
async def test_tasks_wait_together_for_a_recovery() -> None:
    """The same in one event loop."""
    clock, ends = VirtualClock(0), list[float]()

    def step(request: object) -> StepLike:
        return answer("alive", delay=0.1) if clock() >= 15 else REFUSED

    pool = scripted_pool(ScriptedTarget("a", step), ScriptedTarget("b", step), clock=clock)

    async def call() -> None:
        assert (await pool.achat("q")).text == "alive"
        ends.append(clock())

    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(call)
    assert len(ends) == 10
    assert all(15 <= end < 40 for end in ends)
