"""The driver for event loops, asyncio and trio: cancel scopes bound what runs, and never stand across a yield."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress

import anyio

from hotspare.call import Attempt
from hotspare.drive.stream import Opened, first_of
from hotspare.engine import WOKE, Event, Finished, Flow, Start, Wait
from hotspare.errors import AttemptTimeout, IncompleteAnswer
from hotspare.outcome import OK, Outcome


async def drive(
    flow: Flow, launch: Callable[[Attempt], Awaitable[Outcome]], rest: Callable[[Wait], Awaitable[object]]
) -> Attempt:
    """Run a flow to its winner. `launch` makes an attempt, `rest` waits."""
    attempt: Attempt | None = None
    event: Event | None = None
    try:
        while True:
            command = flow.send(event)
            event = None
            if isinstance(command, Start):
                attempt = command.attempt
            elif command.seconds is not None:
                await rest(command)
                event = WOKE
            elif attempt is not None:
                event = Finished(await launch(attempt))
    except StopIteration as end:
        winner: Attempt = end.value
        return winner
    finally:
        flow.close()


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


async def send(attempt: Attempt) -> Outcome:
    """Ask for a whole answer."""
    backend = attempt.member.backend
    try:
        with anyio.move_on_after(attempt.timeout) as scope:
            attempt.result = await backend.asend(attempt.request, timeout=attempt.timeout)
        if scope.cancelled_caught:
            raise AttemptTimeout(f"no whole answer within {attempt.timeout:.1f} s")
    except Exception as error:
        return backend.classify(error)
    return OK


async def open_stream(attempt: Attempt) -> Outcome:
    """Ask for a stream and read it up to its first content."""
    backend = attempt.member.backend
    if attempt.folded and not attempt.member.streams:
        outcome = await send(attempt)
        if outcome.ok:
            attempt.result = Opened.aof(attempt.result)
        return outcome
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
        return backend.classify(error)
    finally:
        if not opened:
            with anyio.CancelScope(shield=True):
                await chunks.aclose()
