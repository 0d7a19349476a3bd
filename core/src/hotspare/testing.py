"""For users' own tests: a clock that moves by hand, and targets that do what a script says. No network, no sleeping.

::

    clock = ManualClock()
    primary = ScriptedTarget("primary", [Outcome(Kind.SERVER, "down"), "Hello"], clock=clock)
    pool = Pool([primary.target], clock=clock)
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator, Iterable
from itertools import chain, repeat
from typing import Any

from hotspare.errors import BackendError
from hotspare.messages import ChatChunk, ChatReply, ChatRequest, Usage
from hotspare.outcome import Outcome
from hotspare.target import Target


class ManualClock:
    """Seconds that pass only when told to."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


class ScriptedError(BackendError):
    """What a scripted target raises: it carries the outcome that it means."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        super().__init__(outcome.message or str(outcome.kind), status=outcome.status)


Step = str | Outcome
Script = Iterable[Step] | Callable[[ChatRequest], Step]


class ScriptedTarget:
    """A target whose answers are written down: a text answers, an `Outcome` fails. The last step repeats.

    `seconds` is what each call takes on `clock`; `calls` counts them. Put `.target` into a pool.
    """

    def __init__(
        self,
        name: str,
        script: Script = ("ok",),
        *,
        clock: ManualClock | None = None,
        seconds: float = 0.0,
        **target: Any,
    ) -> None:
        self.calls = 0
        self.prefill = False
        self.streaming = True
        self._seconds = seconds
        self._clock = clock
        if callable(script):
            self._next: Callable[[ChatRequest], Step] = script
        else:
            steps = list(script)
            endless = chain(steps, repeat(steps[-1]))
            self._next = lambda request: next(endless)
        self.target = Target(target.pop("id", f"scripted/{name}"), name=name, backend=self, **target)

    def unsupported(self, request: ChatRequest) -> tuple[str, ...]:
        """It carries everything."""
        return ()

    def send(self, request: ChatRequest, *, timeout: float) -> ChatReply:
        """The next step of the script."""
        return ChatReply(text=self._step(request), usage=Usage(1, 1))

    async def asend(self, request: ChatRequest, *, timeout: float) -> ChatReply:
        """The next step of the script."""
        return self.send(request, timeout=timeout)

    def stream(self, request: ChatRequest, *, timeout: float, stall: float) -> Generator[ChatChunk]:
        """The next step of the script, a word a chunk."""
        for word in self._step(request).split(" "):
            yield ChatChunk(text=word)
        yield ChatChunk(finish_reason="stop", usage=Usage(1, 1))

    async def astream(self, request: ChatRequest, *, timeout: float, stall: float) -> AsyncGenerator[ChatChunk]:
        """The next step of the script, a word a chunk."""
        for chunk in self.stream(request, timeout=timeout, stall=stall):
            yield chunk

    def classify(self, error: Exception) -> Outcome:
        """What the script said; an error of hotspare's own is classified as everywhere."""
        if isinstance(error, ScriptedError):
            return error.outcome
        from hotspare._classify.rules import classify

        return classify(error)

    def _step(self, request: ChatRequest) -> str:
        self.calls += 1
        if self._clock is not None:
            self._clock.advance(self._seconds)
        step = self._next(request)
        if isinstance(step, Outcome):
            raise ScriptedError(step)
        return step
