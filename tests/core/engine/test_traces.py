"""One engine: the same script through threads, asyncio and trio leaves the same trace, event for event."""

import random
from collections.abc import Awaitable, Callable, Generator
from typing import Any

import anyio
from hotspare import AllTargetsFailed, ChatChunk, ChatRequest, Kind, Outcome, Pool, StreamInterrupted
from hotspare.events import Event
from hotspare.testing import ManualClock, ScriptedError, ScriptedTarget
from hypothesis import given, settings
from hypothesis import strategies as st

BROKEN = "broken off"
STEPS: list[str | Outcome] = [
    "a whole answer",
    "a whole answer",
    BROKEN,
    Outcome(Kind.SERVER, "down", 500),
    Outcome(Kind.TRANSPORT, "refused", before_connect=True),
    Outcome(Kind.TIMEOUT, "no first token"),
    Outcome(Kind.RATE_LIMITED, "slow down", 429, retry_after=2),
    Outcome(Kind.AUTH, "no such key", 401),
    Outcome(Kind.NOT_FOUND, "no such model", 404),
    Outcome(Kind.CONTEXT_LENGTH, "too long", 400),
    Outcome(Kind.INVALID, "bad", 400),
    Outcome(Kind.CONTENT_FILTER, "no", 400),
]
SCRIPTS = st.lists(st.sampled_from(STEPS), min_size=1, max_size=8)
CALLS = st.lists(st.tuples(st.booleans(), st.floats(0, 8)), min_size=1, max_size=25)
POLICIES = st.fixed_dictionaries({
    "deadline": st.sampled_from([0.5, 8, 40]), "max_attempts": st.integers(1, 6), "when_all_down": st.sampled_from(["wait", "fail"]),
    "retry_same_target": st.sampled_from(["auto", "always", "never"]), "on_break": st.sampled_from(["resume", "restart", "raise"]),
    "completion": st.sampled_from(["wait", "stream"]), "strategy": st.sampled_from(["ordered", "weighted"]), "max_retry_after_wait": st.sampled_from([0, 3]),
})  # fmt: skip


class Breaking(ScriptedTarget):
    """A scripted target whose stream can also break after its first word."""

    def stream(self, request: ChatRequest, *, timeout: float, stall: float) -> Generator[ChatChunk]:
        for chunk in super().stream(request, timeout=timeout, stall=stall):
            if chunk.text == "off":
                raise ScriptedError(Outcome(Kind.SERVER, "broke off"))
            yield chunk


class World:
    """A pool of three targets in virtual time, played through one driver; `trace` is all that can be seen of it."""

    def __init__(self, scripts: list[list[str | Outcome]], policy: dict[str, Any]) -> None:
        self.clock = ManualClock()
        targets = [
            Breaking(name, script, clock=self.clock, seconds=0.2, id=f"p{place % 2}/m", region=f"r{place}").target
            for place, (name, script) in enumerate(zip("abc", scripts, strict=True))
        ]
        self.trace: list[Event | str] = []
        self.pool = Pool(targets, clock=self.clock, rng=random.Random(3), listeners=[self.trace.append], **policy)
        self.pool._rest = lambda command: self.clock.advance(command.seconds)  # type: ignore[method-assign]
        self.pool._arest = self._arest  # type: ignore[method-assign]

    async def _arest(self, command: Any) -> None:
        self.clock.advance(command.seconds)

    def play(self, calls: list[tuple[bool, float]]) -> list[Event | str]:
        """Through threads."""
        for streaming, pause in calls:
            self.clock.advance(pause)
            try:
                text = "".join(c.text for c in self.pool.stream("q")) if streaming else self.pool.chat("q").text
                self.trace.append(text)
            except (AllTargetsFailed, StreamInterrupted) as error:
                self.trace.append(str(error))
        return self.ended()

    async def aplay(self, calls: list[tuple[bool, float]]) -> list[Event | str]:
        """Through an event loop."""
        for streaming, pause in calls:
            self.clock.advance(pause)
            try:
                ask: Callable[[], Awaitable[str]] = self._astream if streaming else self._achat
                self.trace.append(await ask())
            except (AllTargetsFailed, StreamInterrupted) as error:
                self.trace.append(str(error))
        return self.ended()

    async def _achat(self) -> str:
        return (await self.pool.achat("q")).text

    async def _astream(self) -> str:
        return "".join([chunk.text async for chunk in self.pool.astream("q")])

    def ended(self) -> list[Event | str]:
        """The trace, with the pool's state and the time at its end. No permit is out."""
        health = self.pool.health()
        assert (health.attempts, health.waiting) == (0, 0)
        return [*self.trace, str(health), str(self.clock())]


@settings(max_examples=200)
@given(scripts=st.lists(SCRIPTS, min_size=3, max_size=3), policy=POLICIES, calls=CALLS)
def test_every_driver_leaves_the_identical_trace(
    scripts: list[list[str | Outcome]], policy: dict[str, Any], calls: list[tuple[bool, float]]
) -> None:
    """Attempts, failovers, states, waits, errors and texts, in the same order, at the same times."""
    trace = World(scripts, policy).play(calls)
    for backend in ("asyncio", "trio"):
        assert anyio.run(World(scripts, policy).aplay, calls, backend=backend) == trace
