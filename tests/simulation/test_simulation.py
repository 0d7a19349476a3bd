"""The whole engine in virtual time: many calls, seeded outages and broken streams, and properties that must hold."""

import heapq
import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest
from hotspare import (
    AllTargetsFailed,
    ChatChunk,
    Hedge,
    HotspareError,
    Kind,
    Outcome,
    Pool,
    StreamInterrupted,
    Timeouts,
    Usage,
)
from hotspare._engine.call import Attempt, Call, OpenStream
from hotspare._engine.commands import LATE, WOKE, Broke, Event, Finished, Flow, Read, Start, Wait
from hotspare._engine.flow import flow
from hotspare.messages import ChatReply
from hotspare.outcome import OK
from hotspare.testing import ScriptedTarget

SEEDS = range(30)
DEADLINE = 20.0
NAMES = ("us-a", "us-b", "eu-a", "eu-b")
WORDS = [f"word{number} " for number in range(12)]
TEXT = "".join(WORDS)
LAST = ChatChunk(finish_reason="stop", usage=Usage(1, 1))


@dataclass(eq=False)
class Running:
    """A call on its way. `wait`: the number of the current wait; a timer of an earlier one is stale."""

    call: Call
    flow: Flow
    ended: deque[Finished] = field(default_factory=deque[Finished])
    wait: int | None = None
    text: str = ""
    error: Exception | None = None
    end: float = 0.0

    @property
    def answered(self) -> bool:
        """Whether it ended without an error."""
        return self.error is None


class World:
    """Runs many flows on one virtual clock. A target is down during its outage; a part of its streams breaks or stalls."""

    def __init__(self, seed: int, deadline: float = DEADLINE, broken: float = 0.0, **policy: Any) -> None:
        self.rng = random.Random(seed)
        self.now = 0.0
        self.outages: dict[str, tuple[float, float]] = {}
        self.broken = broken
        self.pool = Pool(
            [ScriptedTarget(name, id=f"{name[-1]}/m", region=name[:2]).target for name in NAMES],
            clock=lambda: self.now, rng=random.Random(seed), deadline=deadline, **policy,
        )  # fmt: skip
        self.calls: list[Running] = []
        self.starts: list[tuple[float, str, bool]] = []
        self._queue: list[tuple[float, int, Any]] = []
        self._ids = count()
        self._plans: dict[Attempt, Iterator[tuple[float, Event]]] = {}

    def is_dead(self, name: str) -> bool:
        begin, end = self.outages.get(name, (0.0, 0.0))
        return begin <= self.now < end

    def start_call(self, at: float) -> None:
        self._later(at - self.now, self._begin)

    def run(self) -> None:
        while self._queue:
            at, _, action = heapq.heappop(self._queue)
            self.now = max(self.now, at)
            action()
            for waiter in self.pool._scheduler.take_pending()[1]:
                waiter.wake_up()
        assert (self.pool.health().in_flight, self.pool.health().waiting) == (0, 0)

    def _later(self, seconds: float, action: Any) -> None:
        heapq.heappush(self._queue, (self.now + seconds, next(self._ids), action))

    def _begin(self) -> None:
        call = self.pool._call("q", {}, streaming=self.rng.random() < 0.5)
        running = Running(call, flow(call, self.pool._scheduler, self.pool.policy, lambda: self.now))
        self.calls.append(running)
        self._send(running, None)

    def _send(self, running: Running, event: Event) -> None:
        """Send an event, and do what the flow says, until it waits for something."""
        running.wait = None
        while True:
            try:
                command = running.flow.send(event)
            except StopIteration as end:
                running.text = end.value.text if isinstance(end.value, ChatReply) else running.text
                running.end = self.now
                return
            except HotspareError as error:
                running.error, running.end = error, self.now
                return
            event = None
            if isinstance(command, ChatChunk):
                running.text += command.text
            elif isinstance(command, Start):
                self._start(running, command.attempt)
            elif isinstance(command, Read):
                self._read(running, command)
                return
            elif running.ended:
                event = running.ended.popleft()
            else:
                self._wait(running, command)
                return

    def _start(self, running: Running, attempt: Attempt) -> None:
        name, dead = attempt.state.name, self.is_dead(attempt.state.name)
        assert attempt.timeout > 0
        self.starts.append((self.now, name, dead))
        if dead:
            outcome, seconds = Outcome(Kind.TRANSPORT, "refused", before_connect=True), 0.01
        else:
            outcome, seconds = OK, self.rng.uniform(0.05, 0.4) * (20 if self.rng.random() < self.broken / 4 else 1)
        if seconds > attempt.timeout:
            outcome, seconds = Outcome(Kind.TIMEOUT, "late"), attempt.timeout
        self._later(seconds, lambda: self._end(running, attempt, outcome))

    def _end(self, running: Running, attempt: Attempt, outcome: Outcome) -> None:
        if attempt.permit.settled:  # it lost against another attempt
            return
        if outcome.ok and attempt.unary:
            attempt.result = ChatReply(text=TEXT)
        elif outcome.ok:
            # A target without prefill is asked for the rest by an instruction, and continues exactly.
            begun = running.call.emitted or ""
            words = ["".join(WORDS)[len(begun.rstrip()) :].lstrip() if begun else "", *([] if begun else WORDS)]
            chunks = [ChatChunk(text=word) for word in words if word]
            attempt.result = OpenStream(chunks[0] if chunks else LAST, None)
            self._plans[attempt] = self._plan(chunks[1:])
        event = Finished(attempt, outcome)
        if running.wait is None:
            running.ended.append(event)
        else:
            self._send(running, event)

    def _plan(self, chunks: list[ChatChunk]) -> Iterator[tuple[float, Event]]:
        """The rest of a stream: seconds before each event; a broken one ends early, with an error or with silence."""
        breaks_at = self.rng.randrange(len(chunks) + 1) if self.rng.random() < self.broken else None
        for place, chunk in enumerate([*chunks, LAST]):
            if place == breaks_at:
                yield (1e6, None) if self.rng.random() < 0.3 else (0.1, Broke(ConnectionResetError("reset")))
            yield self.rng.uniform(0.01, 0.2), chunk

    def _read(self, running: Running, command: Read) -> None:
        seconds, event = next(self._plans[command.attempt])
        if command.within is not None and seconds > command.within:
            seconds, event = command.within, LATE
        self._later(seconds, lambda: self._send(running, event))

    def _wait(self, running: Running, command: Wait) -> None:
        number = running.wait = next(self._ids)

        def wake() -> None:
            if running.wait == number:
                self._send(running, WOKE)

        if command.seconds is not None:
            self._later(command.seconds, wake)
        if command.waiter is not None:
            command.waiter.wake = lambda: self._later(0.0, wake)


def dead(names: tuple[str, ...], begin: float, end: float) -> dict[str, tuple[float, float]]:
    return dict.fromkeys(names, (begin, end))


@pytest.mark.parametrize("seed", SEEDS)
def test_one_region_is_down(seed: int) -> None:
    """Every call is answered in time, few attempts are wasted, the recovery is noticed, and no permit is lost."""
    world = World(seed)
    world.outages = dead(NAMES[:2], 10.0, 60.0)
    rate = world.rng.uniform(4, 12)
    for number in range(int(100 * rate)):
        world.start_call(number / rate)
    world.run()
    assert all(one.answered and one.text == TEXT for one in world.calls), f"seed {seed}"
    assert all(len(one.call.records) <= 6 for one in world.calls)
    steady = [one.call for one in world.calls if 14 <= one.call.started < 60]
    assert sum(len(call.records) for call in steady) <= 1.2 * len(steady), f"seed {seed}"
    back = [one.call for one in world.calls if one.call.started >= 60 and one.call.records[-1].target == "us-a"]
    assert back and back[0].started <= 60 + 30 + 2, f"seed {seed}"


@pytest.mark.parametrize("seed", range(12))
def test_all_targets_are_down_for_three_seconds(seed: int) -> None:
    """40 calls a second with a deadline of 20 s: all are answered after the recovery, spread over time."""
    world = World(seed)
    world.outages = dead(NAMES, 2.0, 5.0)
    for number in range(400):
        world.start_call(number / 40)
    world.run()
    lost = [one.call.id for one in world.calls if not one.answered]
    assert not lost, f"seed {seed}: {len(lost)} lost"
    looks = ("early_probe", "after_wait")
    assert max(sum(record.reason not in looks for record in one.call.records) for one in world.calls) <= 6
    # Once the breakers are open, only probes reach the dead targets, and a few early probes a second.
    wasted = sum(is_dead for at, _, is_dead in world.starts if at > 4)
    assert wasted <= 2 * len(world.outages) + 2, f"seed {seed}: {wasted} attempts on dead targets"
    # Waiting calls are admitted at a rate that the recovered targets can handle: a few at first, then twice as many, and so on.
    waited = sum(one.call.was_queued for one in world.calls)
    back = sorted(at for at, _, is_dead in world.starts if at >= 5 and not is_dead)
    assert waited > 50
    assert sum(at < back[0] + 0.05 for at in back) <= 12, f"seed {seed}: the recovered targets were flooded"
    assert sum(at < back[0] + 2 for at in back) >= waited, f"seed {seed}: the waiting calls went on too late"


@pytest.mark.parametrize("seed", range(12))
def test_waiting_calls_notice_the_recovery_by_themselves(seed: int) -> None:
    """No new call probes for them: one of those that wait does at each time, and none waits for its deadline."""
    world = World(seed, deadline=60.0)
    world.outages = dead(NAMES, 1.0, 10.0)
    for number in range(30):
        world.start_call(1.0 + number * world.rng.uniform(0.0, 0.2))
    world.run()
    ends = [one.end for one in world.calls if one.answered]
    assert len(ends) == 30, f"seed {seed}"
    assert max(ends) <= 10 + 15 + 3, f"seed {seed}: the last one was answered at {max(ends):.1f}"


IMPATIENT = Timeouts(first_token=1.0, first_token_min=0.5, completion=2.0, completion_min=0.5, stall=1.5, stall_min=0.5)


@pytest.mark.parametrize("on_slow", ["abandon", "race"])
@pytest.mark.parametrize("completion", ["wait", "stream"])
@pytest.mark.parametrize("seed", range(8))
def test_streams_break_while_calls_hedge_and_race(seed: int, completion: Any, on_slow: Any) -> None:
    """A fifth of all streams breaks or stalls, some attempts are slow, a region fails: what is handed out is the beginning of
    the one right text, a whole answer is right or an error, and both deadlines hold to the moment."""
    world = World(
        seed, deadline=6.0, broken=0.2, total_deadline=8.0, completion=completion, on_slow=on_slow, timeouts=IMPATIENT,
        hedge=Hedge(min_delay=0.3, max_extra_calls=0.2),
    )  # fmt: skip
    world.outages = dead(NAMES[:1], 10.0, 15.0)
    for number in range(250):
        world.start_call(number / 10)
    world.run()
    for one in world.calls:
        limit = 8.0 if one.call.streaming and one.text else 6.0
        assert one.end - one.call.started <= limit + 1e-6, f"seed {seed}: {one.call.id}"
        if one.answered:
            assert one.text == TEXT, f"seed {seed}: {one.call.id}"
        else:
            assert isinstance(one.error, AllTargetsFailed | StreamInterrupted) and TEXT.startswith(one.text)
    assert sum(one.answered for one in world.calls) >= 0.97 * len(world.calls), f"seed {seed}"
    reasons = {record.reason for one in world.calls for record in one.call.records}
    assert {"first", "failover", "hedge"} <= reasons
