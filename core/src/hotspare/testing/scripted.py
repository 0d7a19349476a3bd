"""Scripted targets: they follow a script, and record the requests that they receive. No network, no sleeping."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, Unpack, cast

from hotspare._http.abort import CURRENT
from hotspare.errors import AttemptTimeout, ConfigError, Problem
from hotspare.messages import ChatChunk, ChatReply, ChatRequest
from hotspare.outcome import Kind, Outcome
from hotspare.target import Target, TargetFields
from hotspare.testing.clock import VirtualClock
from hotspare.testing.steps import ScriptedError, Step, StepLike, actions, step_of

Script = StepLike | Iterable[StepLike] | Callable[[ChatRequest], StepLike]
"""One step, a list of steps (a list inside it is an answer in pieces), or a function of the request."""


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """A request that reached a scripted target.

    `streamed`: whether a stream was requested. `time`: seconds on the target's clock; None if it has no clock.
    """

    request: ChatRequest
    streamed: bool
    time: float | None


class ScriptedTarget:
    """A target that follows its script. Put `.target` into a pool.

    Each call takes one step: a text answers, an `Outcome` or an exception fails; see `hotspare.testing.steps` for more. The
    last step repeats forever, unless ``repeat=False``: then a further call fails with INVALID, which ends the whole
    call, and `assert_used_up` reports it.

    Args:
        name: its name in the pool.
        script: a step, a list of steps, or a function that returns the step for a request.
        clock: needed where a step takes time.
        delay: seconds before the first output of every step, failures included.
        repeat: whether the last step repeats.
        streaming: whether it can stream.
        id: ``provider/model``. Default: ``<name>/<name>``, so that each has a separate provider and failure domain.
        fields: further fields of `Target`, e.g. `region`, `price`, or `prefill`: whether it continues a
            trailing assistant message (default: no).

    Raises:
        ConfigError: naming the step or the field, and what to write instead.
    """

    def __init__(
        self,
        name: str,
        script: Script = "ok",
        *,
        clock: VirtualClock | None = None,
        delay: float = 0.0,
        repeat: bool = True,
        streaming: bool = True,
        id: str | None = None,
        **fields: Unpack[TargetFields],
    ) -> None:
        self.name = name
        self.clock = clock
        self.prefill = bool(fields.get("prefill"))
        self.streaming = streaming
        self.received: list[ReceivedRequest] = []
        self._delay = delay
        self._repeat = repeat
        self._function: Callable[[ChatRequest], StepLike] | None = None
        self._steps: list[Step] = []
        self._lock = threading.Lock()
        if callable(script):
            self._function = script
        else:
            self._steps = _steps_of(name, script)
        given: dict[str, Any] = dict(fields)
        self.target = Target(id or f"{name}/{name}", name=name, backend=self, **given)

    # --- requests received ---------------------------------------------------------------------------------------

    @property
    def requests(self) -> list[ChatRequest]:
        """The requests that reached it, in order."""
        return [one.request for one in self.received]

    @property
    def calls(self) -> int:
        """How many requests reached it."""
        return len(self.received)

    @property
    def unused(self) -> tuple[Step, ...]:
        """The steps that no call has taken yet."""
        return tuple(self._steps[self.calls :])

    def assert_used_up(self) -> None:
        """Raise AssertionError if steps are left, or, with ``repeat=False``, if there were more calls than steps."""
        if self.unused:
            raise AssertionError(f"{self.name}: {len(self.unused)} of {len(self._steps)} steps were not used")
        if self._function is None and not self._repeat and self.calls > len(self._steps):
            raise AssertionError(
                f"{self.name}: {self.calls} calls were made, but its script has {len(self._steps)} steps"
            )

    # --- the backend ---------------------------------------------------------------------------------------------

    def unsupported(self, request: ChatRequest) -> tuple[str, ...]:
        """It can send every field."""
        return ()

    def send(self, request: ChatRequest, *, timeout: float) -> ChatReply:
        """The next step of the script, as a whole answer."""
        step = self._take(request, streamed=False)
        return _whole(step, list(self._play(step, timeout, None)))

    async def asend(self, request: ChatRequest, *, timeout: float) -> ChatReply:
        """The next step of the script, as a whole answer."""
        step = self._take(request, streamed=False)
        return _whole(step, [chunk async for chunk in self._aplay(step)])

    def stream(self, request: ChatRequest, *, timeout: float, stall: float) -> Generator[ChatChunk]:
        """The next step of the script, chunk by chunk."""
        yield from self._play(self._take(request, streamed=True), timeout, stall)

    async def astream(self, request: ChatRequest, *, timeout: float, stall: float) -> AsyncGenerator[ChatChunk]:
        """The next step of the script, chunk by chunk."""
        async with aclosing(self._aplay(self._take(request, streamed=True))) as chunks:
            async for chunk in chunks:
                yield chunk

    def classify(self, error: Exception) -> Outcome:
        """The outcome that the script states; any other exception is classified as usual."""
        if isinstance(error, ScriptedError):
            return error.outcome
        from hotspare._classify.rules import classify

        return classify(error)

    # --- private -------------------------------------------------------------------------------------------------

    def _take(self, request: ChatRequest, *, streamed: bool) -> Step:
        """Record the request, and return its step."""
        now = None if self.clock is None else self.clock()
        with self._lock:
            place = self.calls
            self.received.append(ReceivedRequest(request, streamed, now))
        if self._function is not None:
            step = step_of(self._function(request))
        elif place < len(self._steps) or self._repeat:
            step = self._steps[min(place, len(self._steps) - 1)]
        else:
            raise ScriptedError(
                Outcome(Kind.INVALID, f"the script of {self.name} has {place} steps, and this is one more call")
            )
        return replace(step, delay=step.delay + self._delay)

    def _play(self, step: Step, timeout: float, stall: float | None) -> Iterator[ChatChunk]:
        """In sync code nothing cancels a target that waits. So it observes the bound of the pool's attempt itself or, when called
        without a pool, `timeout` (without `stall`: for all chunks together) and `stall`."""
        bound = self._now() + timeout
        for action in actions(step):
            if isinstance(action, ChatChunk):
                yield action
                bound = bound if stall is None else self._now() + stall
            else:
                self._sleep(action, bound)

    async def _aplay(self, step: Step) -> AsyncGenerator[ChatChunk]:
        for action in actions(step):
            if isinstance(action, ChatChunk):
                yield action
            else:
                await self._clocked().asleep(action)

    def _sleep(self, seconds: float, bound: float) -> None:
        """Wait. Raises AttemptTimeout at `bound` (a time on the clock; a pool's own bound takes precedence) if that comes first,
        ConnectionAbortedError if the pool cancelled the attempt."""
        clock, handle = self._clocked(), CURRENT.get()
        left = None if handle is None else handle.remaining()
        limit = bound if left is None else clock() + left
        late = clock() + seconds >= limit
        pause = max(0.0, limit - clock()) if late else seconds
        if clock.wait(threading.Event() if handle is None else handle.aborted, pause):
            raise ConnectionAbortedError("the attempt was cancelled")
        if late:
            raise AttemptTimeout(f"{self.name}: the time of the attempt is over")

    def _now(self) -> float:
        return 0.0 if self.clock is None else self.clock()

    def _clocked(self) -> VirtualClock:
        if self.clock is None:
            raise ConfigError(
                Problem.at(
                    f"{self.name}.clock", None, "must be the pool's VirtualClock: a step of the script takes time"
                )
            )
        return self.clock


def _whole(step: Step, chunks: list[ChatChunk]) -> ChatReply:
    from hotspare._engine.folding import reply_of

    return step.reply or reply_of(chunks)


def _steps_of(name: str, script: StepLike | Iterable[StepLike]) -> list[Step]:
    if isinstance(script, Step | str | Outcome | Exception | ChatReply):
        return [step_of(script)]
    given = list(cast("Iterable[StepLike]", script)) if isinstance(script, Iterable) else []  # pyright: ignore[reportUnnecessaryIsInstance] - callers may be untyped
    if not given:
        raise ConfigError(Problem.at(f"{name}.script", script, "must be a step, or a list with at least one"))
    return [step_of(one) for one in given]
