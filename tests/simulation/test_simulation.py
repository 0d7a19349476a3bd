"""The whole engine in virtual time: many callers, seeded outages, and oracles that must hold."""

import heapq
import random
from itertools import count

import pytest
from hotspare import AllTargetsFailed, Kind, Outcome, Pool
from hotspare._engine.call import Call
from hotspare._engine.flow import WOKE, Finished, Flow, Start, flow
from hotspare.outcome import OK
from hotspare.testing import ManualClock, ScriptedTarget

SEEDS = range(200)
DEADLINE = 20.0


class World:
    """Runs many flows on one virtual clock; a target is dead during its outage."""

    def __init__(self, seed: int, deadline: float = DEADLINE) -> None:
        self.rng = random.Random(seed)
        self.clock = ManualClock(0.0)
        self.outages: dict[str, tuple[float, float]] = {}
        names = ["us-a", "us-b", "eu-a", "eu-b"]
        self.pool = Pool(
            [ScriptedTarget(n, id=f"{n[-1]}/m", region=n[:2]).target for n in names],
            clock=self.clock, rng=random.Random(seed), deadline=deadline,
        )  # fmt: skip
        self.queue: list[tuple[float, int, object]] = []
        self.ids = count()
        self.calls: list[tuple[Call, float, bool]] = []
        self.starts: list[tuple[float, str, bool]] = []

    def dead(self, name: str) -> bool:
        begin, end = self.outages.get(name, (0.0, 0.0))
        return begin <= self.clock() < end

    def arrive(self, at: float) -> None:
        heapq.heappush(self.queue, (at, next(self.ids), "arrive"))

    def run(self) -> None:
        while self.queue:
            at, _, what = heapq.heappop(self.queue)
            self.clock.now = max(self.clock.now, at)
            if what == "arrive":
                call = self.pool._call("q", {}, streaming=self.rng.random() < 0.5)
                story = flow(call, self.pool._scheduler, self.clock)
                self.step(call, story, None)
            else:
                call, story, event, token = what  # type: ignore[misc]
                if token is None or token.pop("due", False):
                    self.step(call, story, event)
            self.ring()

    def ring(self) -> None:
        _, rings = self.pool._scheduler.take_pending()
        for ticket in rings:
            ticket.wake_up()

    def later(self, seconds: float, call: Call, story: Flow, event: object, token: object = None) -> None:
        heapq.heappush(self.queue, (self.clock() + seconds, next(self.ids), (call, story, event, token)))

    def step(self, call: Call, story: Flow, event: object) -> None:
        try:
            command = story.send(event)  # type: ignore[arg-type]
            if isinstance(command, Start):
                attempt = command.attempt
                story.send(None)
                self.starts.append((self.clock(), attempt.target_state.name, self.dead(attempt.target_state.name)))
                if self.dead(attempt.target_state.name):
                    outcome, took = Outcome(Kind.TRANSPORT, "refused", before_connect=True), 0.01
                else:
                    outcome, took = OK, self.rng.uniform(0.05, 0.4)
                assert attempt.timeout > 0
                self.later(took, call, story, Finished(attempt, outcome))
            else:
                token = {"due": True}
                self.later(command.seconds, call, story, WOKE, token)  # type: ignore[arg-type]
                if command.ticket is not None:
                    command.ticket.wake = lambda: self.later(0.0, call, story, WOKE, token)
        except StopIteration:
            self.calls.append((call, self.clock(), True))
        except AllTargetsFailed:
            self.calls.append((call, self.clock(), False))


@pytest.mark.parametrize("seed", SEEDS)
def test_one_region_dies(seed: int) -> None:
    """Everybody is answered in time, hardly a call is wasted, the return is noticed, and no permit is lost."""
    world = World(seed)
    world.outages = {"us-a": (10.0, 60.0), "us-b": (10.0, 60.0)}
    rate = world.rng.uniform(4, 12)
    for number in range(int(100 * rate)):
        world.arrive(number / rate)
    world.run()
    assert world.pool.health().in_flight == 0 and world.pool.health().waiting == 0
    assert all(won for _, _, won in world.calls), f"seed {seed}"
    assert all(end - call.started <= DEADLINE for call, end, _ in world.calls)
    assert all(len(call.records) <= 6 for call, _, _ in world.calls)
    steady = [call for call, _, _ in world.calls if 14 <= call.started < 60]
    assert sum(len(call.records) for call in steady) <= 1.2 * len(steady), f"seed {seed}"
    back = [c.started for c, _, _ in world.calls if c.started >= 60 and c.records[-1].target == "us-a"]
    assert back and back[0] <= 60 + 30 + 2, f"seed {seed}"


@pytest.mark.parametrize("seed", range(40))
def test_everything_dies_for_three_seconds(seed: int) -> None:
    """40 calls a second with a 20 s deadline: all are answered after the recovery, and not as a herd."""
    world = World(seed)
    world.outages = dict.fromkeys(("us-a", "us-b", "eu-a", "eu-b"), (2.0, 5.0))
    for number in range(400):
        world.arrive(number / 40)
    world.run()
    lost = [call for call, _, won in world.calls if not won]
    assert not lost, f"seed {seed}: {len(lost)} lost"
    assert max(len(call.records) for call, _, _ in world.calls) <= 6
    assert world.pool.health().in_flight == 0
    # Once the breakers have their evidence only probes reach the dead.
    wasted = sum(dead for at, _, dead in world.starts if at > 4)
    assert wasted <= 2 * len(world.outages), f"seed {seed}: {wasted} calls to dead targets"
    # Waiters come back one after the other: ten in a tenth of a second, beside what is newly asked.
    waited = sum(call.waited for call, _, _ in world.calls)
    back = [at for at, _, dead in world.starts if at >= 5 and not dead]
    densest = max(sum(at <= other < at + 0.1 for other in back) for at in back)
    assert waited > 50
    assert densest <= 11 + 5, f"seed {seed}: {densest} of {waited} waiters within 100 ms"


@pytest.mark.parametrize("seed", range(40))
def test_waiters_notice_the_recovery_by_themselves(seed: int) -> None:
    """Nobody new comes in to probe for them: those who wait take turns at keeping the time, and none waits for its deadline."""
    world = World(seed, deadline=60.0)
    world.outages = dict.fromkeys(("us-a", "us-b", "eu-a", "eu-b"), (1.0, 10.0))
    for number in range(30):
        world.arrive(1.0 + number * world.rng.uniform(0.0, 0.2))
    world.run()
    ends = [end for _, end, won in world.calls if won]
    assert len(ends) == 30, f"seed {seed}"
    assert max(ends) <= 10 + 15 + 3, f"seed {seed}: the last one was answered at {max(ends):.1f}"
