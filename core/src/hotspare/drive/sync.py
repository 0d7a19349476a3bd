"""The driver for ordinary threads: makes each attempt in the caller's own."""

from __future__ import annotations

import threading
from collections.abc import Callable

from hotspare.call import Attempt
from hotspare.drive.stream import Opened, first_of
from hotspare.engine import WOKE, Event, Finished, Flow, Start, Wait
from hotspare.errors import AttemptTimeout, IncompleteAnswer
from hotspare.outcome import OK, Outcome


def drive(flow: Flow, launch: Callable[[Attempt], Outcome], rest: Callable[[Wait], object]) -> Attempt:
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
                rest(command)
                event = WOKE
            elif attempt is not None:
                event = Finished(launch(attempt))
    except StopIteration as end:
        winner: Attempt = end.value
        return winner
    finally:
        flow.close()


def rest(command: Wait) -> None:
    """Sleep, or until the ticket is rung."""
    ready = threading.Event()
    if command.ticket is not None:
        command.ticket.wake = ready.set
        if command.ticket.woken:
            return
    ready.wait(command.seconds)


def send(attempt: Attempt) -> Outcome:
    """Ask for a whole answer."""
    backend = attempt.member.backend
    try:
        attempt.result = backend.send(attempt.request, timeout=attempt.timeout)
    except Exception as error:
        return backend.classify(error)
    return OK


def open_stream(attempt: Attempt, clock: Callable[[], float]) -> Outcome:
    """Ask for a stream and read it up to its first content."""
    backend = attempt.member.backend
    if attempt.folded and not attempt.member.streams:
        outcome = send(attempt)
        if outcome.ok:
            attempt.result = Opened.of(attempt.result)
        return outcome
    chunks = backend.stream(attempt.request, timeout=attempt.timeout, stall=attempt.stall)
    limit = clock() + attempt.timeout
    try:
        for chunk in chunks:
            if first_of(chunk):
                attempt.result = Opened(chunks, chunk)
                return OK
            if clock() > limit:
                raise AttemptTimeout(f"no first token within {attempt.timeout:.1f} s")
        raise IncompleteAnswer("the stream ended with nothing in it")
    except Exception as error:
        chunks.close()
        return backend.classify(error)
    except BaseException:
        chunks.close()
        raise
