"""The driver for event loops, asyncio and trio. Cancel scopes limit running operations, and are never open across a yield."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Self, cast

import anyio
from anyio.abc import TaskGroup

from hotspare._drivers.clock import Clock, Waits
from hotspare._drivers.common import (
    Ended,
    advance,
    completion_timeout,
    first_token_timeout,
    is_first_content,
    outcome_of,
)
from hotspare._drivers.stray import failure, is_cancelled
from hotspare._drivers.wake import from_any_thread
from hotspare._engine.call import Attempt, OpenStream
from hotspare._engine.commands import LATE, WOKE, Broke, Command, Event, Finished, Flow, Read, Start, Wait
from hotspare._engine.waiters import Waiter
from hotspare.errors import IncompleteAnswer
from hotspare.messages import ChatChunk, ChatReply
from hotspare.outcome import OK, Outcome

Notify = Callable[[], object]
_Chunks = AsyncGenerator[ChatChunk]


async def complete(flow: Flow, notify: Notify, clock: Clock) -> ChatReply:
    """Run the flow of a call that does not stream. `notify` is called whenever shared state may have changed."""
    execution = _Execution(flow, notify, clock)
    try:
        command = advance(flow, None)
        while not isinstance(command, Ended):
            assert not isinstance(command, ChatChunk), "a call that does not stream yields no chunk"
            if isinstance(command, Read):
                command = advance(flow, await execution.read(command))
            else:
                command = await execution.next(command)
        reply = command.result()
        assert reply is not None, "a call that does not stream returns its answer"
        return reply
    finally:
        await execution.finish()


async def stream(flow: Flow, notify: Notify, clock: Clock, owner: object) -> AsyncGenerator[ChatChunk]:
    """Run a flow and yield its chunks. `aclose()` closes the connection. `owner` is kept alive until then, as in `threads.stream`."""
    execution = _Execution(flow, notify, clock)
    try:
        command = advance(flow, None)
        while not isinstance(command, Ended):
            if isinstance(command, ChatChunk):
                yield command
                command = advance(flow, None)
            elif isinstance(command, Read):
                command = advance(flow, await execution.read(command))
            else:
                command = await execution.next(command)
        command.result()
    finally:
        await execution.finish()
        del owner


class _Execution:
    """A running flow: the attempt that was started last, and the open stream.

    An attempt that runs alone runs in the caller's task; attempts get their own tasks only if the flow has to make decisions while
    they run.
    """

    __slots__ = ("_clock", "_flow", "_notify", "_open", "_read", "_started", "_waits")

    def __init__(self, flow: Flow, notify: Notify, clock: Clock) -> None:
        self._flow = flow
        self._notify = notify
        self._clock = clock
        self._waits = Waits(clock)
        self._started: Attempt | None = None
        self._open: Attempt | None = None
        self._read: Read | None = None

    async def next(self, command: Start | Wait) -> Command | Ended:
        """Execute a command. Returns the flow's next command."""
        if self._open is not None:
            await self.close()
        self._notify()
        if isinstance(command, Start):
            if command.alone:
                attempt = command.attempt
                outcome = await run_attempt(attempt, self._waits.within)
                if isinstance(attempt.result, OpenStream):
                    self._open = attempt
                return advance(self._flow, Finished(attempt, outcome))
            self._started = command.attempt
            return advance(self._flow, None)
        started, self._started = self._started, None
        if started is None:
            return advance(self._flow, await self._idle(command))
        return await self._run_concurrently(started, command)

    async def _idle(self, command: Wait) -> Event:
        """Wait while no attempt is running."""
        ready = anyio.Event()
        if _sets_when_woken(command.waiter, ready):
            return WOKE
        with self._clock.move_on_after(command.seconds):
            await ready.wait()
        return WOKE

    async def _run_concurrently(self, attempt: Attempt, command: Command | Ended) -> Command | Ended:
        """Run attempts until one has an answer or all have ended. The others are cancelled and awaited."""
        async with _AttemptGroup(self._clock) as group:
            group.start(attempt)
            while isinstance(command, Start | Wait):
                if isinstance(command, Start):
                    group.start(command.attempt)
                    command = advance(self._flow, None)
                else:
                    event = await group.next(command)
                    if isinstance(event, Finished):
                        group.remove(event.attempt)
                        if event.outcome.ok:
                            await self.close()  # that of an attempt which the flow has rejected
                            self._open = event.attempt
                    command = advance(self._flow, event)
                self._notify()
        return command

    async def read(self, command: Read) -> Event:
        """Read the next chunk."""
        if command is not self._read:  # once per stream: wake waiting calls before reading
            self._read = command
            self._notify()
        opened = command.attempt.result
        assert isinstance(opened, OpenStream)
        chunks: Any = (
            opened.chunks
        )  # `_Chunks`: neither `cast` nor `anext` with a default, which cost as much as the rest
        with self._waits.within(command.within):
            try:
                chunk: ChatChunk = await chunks.__anext__()
            except StopAsyncIteration:
                return None
            except asyncio.CancelledError as error:
                if is_cancelled():
                    raise
                return Broke(failure(error))
            except Exception as error:
                return Broke(error)
            return chunk
        return LATE

    async def close(self) -> None:
        """Close the open stream."""
        attempt, self._open = self._open, None
        if attempt is not None:
            await _close(attempt)

    async def finish(self) -> None:
        """End the flow, after any outcome: close the stream and settle all attempts."""
        if self._open is not None:
            await self.close()
        self._flow.close()
        self._notify()


class _AttemptGroup:
    """Attempts in separate tasks. At the end, running attempts are cancelled and their streams closed."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._attempts: dict[Attempt, None] = {}
        self._ended: deque[Finished] = deque()
        self._ready = anyio.Event()
        self._tasks: TaskGroup = anyio.create_task_group()

    def start(self, attempt: Attempt) -> None:
        self._attempts[attempt] = None
        self._tasks.start_soon(self._run, attempt)

    async def _run(self, attempt: Attempt) -> None:
        self._ended.append(Finished(attempt, await run_attempt(attempt, self._clock.move_on_after)))
        self._ready.set()

    async def next(self, command: Wait) -> Event:
        """Wait for the first of: the end of an attempt, the waiter's wake-up, a timeout."""
        if not self._ended:
            self._ready = anyio.Event()
            if not _sets_when_woken(command.waiter, self._ready):
                with self._clock.move_on_after(command.seconds):
                    await self._ready.wait()
        return self._ended.popleft() if self._ended else WOKE

    def remove(self, attempt: Attempt) -> None:
        """An attempt has ended: remove it from the group, which then does not close it."""
        del self._attempts[attempt]

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tasks.cancel_scope.cancel()
        try:
            await self._tasks.__aexit__(kind, error, trace)
        finally:
            for attempt in self._attempts:
                await _close(attempt)


async def _close(attempt: Attempt) -> None:
    if isinstance(attempt.result, OpenStream):
        with anyio.CancelScope(shield=True):
            await cast("_Chunks", attempt.result.chunks).aclose()


def _sets_when_woken(waiter: Waiter | None, ready: anyio.Event) -> bool:
    """Let the waiter's wake-up set the event. Returns whether the waiter was woken already."""
    if waiter is None:
        return False
    waiter.wake = from_any_thread(ready.set)
    return waiter.woken


async def run_attempt(attempt: Attempt, within: Callable[[float], AbstractContextManager[object]]) -> Outcome:
    """Make an attempt: to its whole answer, or to the first content of its stream. `within` bounds a block."""
    try:
        with within(attempt.timeout):
            if attempt.unary:
                attempt.result = await attempt.state.backend.asend(attempt.request, timeout=attempt.timeout)
            else:
                await _open_stream(attempt)
        if attempt.result is None:
            raise completion_timeout(attempt) if attempt.unary else first_token_timeout(attempt)
    except asyncio.CancelledError as error:
        if is_cancelled():
            raise
        return outcome_of(error, attempt)
    except Exception as error:
        return outcome_of(error, attempt)
    return OK


async def _open_stream(attempt: Attempt) -> None:
    chunks = attempt.state.backend.astream(attempt.request, timeout=attempt.timeout, stall=attempt.stall)
    try:
        async for chunk in chunks:
            if is_first_content(chunk):
                attempt.result = OpenStream(chunk, chunks)
                return
        raise IncompleteAnswer("the stream ended without any content")
    finally:
        if attempt.result is None:
            with anyio.CancelScope(shield=True):
                await chunks.aclose()
