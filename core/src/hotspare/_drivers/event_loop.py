"""The driver for event loops, asyncio and trio: cancel scopes bound what runs, and never stand across a yield."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

import anyio
from anyio.abc import TaskGroup

from hotspare._engine.call import Attempt
from hotspare._engine.flow import WOKE, Event, Finished, Flow, Start, Wait
from hotspare._engine.streaming import Opened, first_of, outcome_of
from hotspare.errors import AttemptTimeout, IncompleteAnswer
from hotspare.outcome import OK, Outcome


async def drive(flow: Flow, tell: Callable[[], object], wait: Callable[[Wait], Awaitable[object]]) -> Attempt:
    """Run a flow to its winner. `tell` is called when the flow may have changed something, `wait` where nothing runs.

    An attempt that is waited for without limit runs in the caller's own task; only where the flow wants to decide
    something meanwhile do attempts get tasks of their own.
    """
    attempt: Attempt | None = None
    event: Event | None = None
    try:
        while True:
            command = flow.send(event)
            event = None
            tell()
            if isinstance(command, Start):
                attempt = command.attempt
            elif attempt is None:
                await wait(command)
                event = WOKE
            elif command.seconds is None and command.ticket is None:
                event = Finished(attempt, await launch(attempt))
                attempt = None
            else:
                return await _race(flow, attempt, command, tell)
    except StopIteration as end:
        winner: Attempt = end.value
        return winner
    finally:
        flow.close()
        tell()


async def _race(flow: Flow, first: Attempt, command: Wait, tell: Callable[[], object]) -> Attempt:
    """The rest of a flow whose attempts run side by side, to its winner. The others are cancelled and awaited."""
    winner: Attempt | None = None
    failure: Exception | None = None
    async with _Field() as field:
        field.enter(first)
        try:
            while winner is None:
                step: Start | Wait = flow.send(await field.next(command))
                tell()
                while isinstance(step, Start):
                    field.enter(step.attempt)
                    step = flow.send(None)
                command = step
        except StopIteration as end:
            winner = field.winner = end.value
        except Exception as error:  # a group would wrap it
            failure = error
    if winner is None:
        raise failure or AssertionError("a flow ends with a winner or an error")
    return winner


class _Field:
    """Attempts in tasks of their own. At its end whoever is not the winner is cancelled, and its stream is closed."""

    def __init__(self) -> None:
        self.winner: Attempt | None = None
        self._entered: list[Attempt] = []
        self._ended: deque[Finished] = deque()
        self._bell = anyio.Event()
        self._group: TaskGroup = anyio.create_task_group()

    def enter(self, attempt: Attempt) -> None:
        self._entered.append(attempt)
        self._group.start_soon(self._run, attempt)

    async def _run(self, attempt: Attempt) -> None:
        self._ended.append(Finished(attempt, await launch(attempt)))
        self._bell.set()

    async def next(self, command: Wait) -> Event:
        """What comes first: the end of an attempt, the ticket's ring, the time."""
        if not self._ended:
            self._bell = anyio.Event()
            if command.ticket is not None:
                command.ticket.wake = _from_any_thread(self._bell.set)
            if command.ticket is None or not command.ticket.woken:
                with anyio.move_on_after(command.seconds):
                    await self._bell.wait()
        return self._ended.popleft() if self._ended else WOKE

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._group.cancel_scope.cancel()
        try:
            await self._group.__aexit__(kind, error, trace)
        finally:
            for attempt in self._entered:
                if attempt is not self.winner and isinstance(attempt.result, Opened):
                    with anyio.CancelScope(shield=True):
                        await attempt.result.chunks.aclose()


async def rest(command: Wait) -> None:
    """Sleep, or until the ticket is rung, from whatever thread."""
    if command.ticket is None:
        await anyio.sleep(command.seconds or 0)
        return
    ready = anyio.Event()
    command.ticket.wake = _from_any_thread(ready.set)
    if not command.ticket.woken:
        with anyio.move_on_after(command.seconds):
            await ready.wait()


def _from_any_thread(wake: Callable[[], object]) -> Callable[[], object]:
    """`wake`, to be called from any thread; a loop that has ended meanwhile has nobody left to be woken."""
    if "trio" in sys.modules and anyio.get_cancelled_exc_class().__module__.startswith("trio"):
        from trio import RunFinishedError
        from trio.lowlevel import current_trio_token

        token = current_trio_token()

        def ring_trio() -> None:
            with suppress(RunFinishedError):
                token.run_sync_soon(wake)  # pyright: ignore[reportUnknownMemberType] - trio leaves it open

        return ring_trio
    import asyncio

    loop = asyncio.get_running_loop()

    def ring() -> None:
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(wake)

    return ring


async def launch(attempt: Attempt) -> Outcome:
    """Make an attempt: to its whole answer, or to its stream's first content."""
    return await (_send(attempt) if attempt.unary else _open_stream(attempt))


async def _send(attempt: Attempt) -> Outcome:
    """Ask for a whole answer."""
    backend = attempt.target_state.backend
    try:
        with anyio.move_on_after(attempt.timeout) as scope:
            attempt.result = await backend.asend(attempt.request, timeout=attempt.timeout)
        if scope.cancelled_caught:
            raise AttemptTimeout(f"no whole answer within {attempt.timeout:.1f} s")
    except Exception as error:
        return outcome_of(error, attempt)
    return OK


async def _open_stream(attempt: Attempt) -> Outcome:
    """Ask for a stream and read it up to its first content."""
    backend = attempt.target_state.backend
    chunks = backend.astream(attempt.request, timeout=attempt.timeout, stall=attempt.stall)
    opened = False
    try:
        with anyio.move_on_after(attempt.timeout) as scope:
            async for chunk in chunks:
                if first_of(chunk):
                    attempt.result = Opened(chunks, chunk)
                    opened = True
                    return OK
        if scope.cancelled_caught:
            raise AttemptTimeout(f"no first token within {attempt.timeout:.1f} s")
        raise IncompleteAnswer("the stream ended with nothing in it")
    except Exception as error:
        return outcome_of(error, attempt)
    finally:
        if not opened:
            with anyio.CancelScope(shield=True):
                await chunks.aclose()
