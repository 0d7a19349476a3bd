"""A running stream for tests of what is done with its chunks: a call, its monitor and a clock that is set by hand."""

from __future__ import annotations

from typing import Any

from hotspare._engine.call import Attempt, Call
from hotspare._engine.scheduler import Scheduler
from hotspare._engine.streaming import StreamMonitor
from hotspare._health.target_state import TargetState
from hotspare.messages import ChatChunk, ChatRequest, Usage
from hotspare.policy import Policy, Timeouts
from hotspare.target import Price

from tests.support.engine import OK, FixedRandom, Now, call_of, state_of

PROMPT = ChatRequest(messages=[{"role": "user", "content": "x" * 40}])
"""Ten tokens, by estimate."""
UNWATCHED = Timeouts(throughput_window=0.0)
"""No stream is too slow."""
END = ChatChunk(finish_reason="stop", usage=Usage(10, 5))


class Stream:
    """A call whose first stream has begun at 1 on target a, its monitor, and its clock."""

    def __init__(
        self, *states: TargetState, price: Price | None = None, call: dict[str, Any] | None = None, **policy: Any
    ) -> None:
        self.states = states or tuple(state_of(name, price=price) for name in "ab")
        self.policy = Policy(**policy)
        self.scheduler = Scheduler(self.states, self.policy, FixedRandom())
        self.call: Call = call_of(*self.states, request=PROMPT, **(call or {}))
        self.now = Now()
        self.monitor = StreamMonitor(self.call, self.scheduler, self.policy, self.now)
        self.begin(1.0)

    def begin(self, at: float) -> Attempt:
        """The next attempt of the call has an answer: the monitor continues with it."""
        self.now.seconds = at
        attempt = self.scheduler.next_step(self.call, at)
        assert isinstance(attempt, Attempt), attempt
        self.scheduler.settle(self.call, attempt, OK, at)
        self.scheduler.take_pending()
        self.monitor.attach(attempt)
        return attempt

    def at(self, now: float, chunk: ChatChunk | None) -> ChatChunk | None:
        self.now.seconds = now
        return self.monitor.process(chunk)

    def text(self, now: float, *words: str) -> None:
        for word in words:
            self.at(now, ChatChunk(text=word))

    def breaks(self, now: float, error: Exception | None = None) -> None:
        self.now.seconds = now
        self.monitor.record_break(error or ConnectionError("reset"))
