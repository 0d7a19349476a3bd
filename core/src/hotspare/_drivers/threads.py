"""The driver for ordinary threads: makes a lone attempt in the caller's own, and attempts side by side in theirs."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue

from hotspare._engine.call import Attempt
from hotspare._engine.flow import WOKE, Event, Finished, Flow, Start, Wait
from hotspare._engine.streaming import Opened, first_of, outcome_of
from hotspare._http.abort import AbortHandle
from hotspare.errors import AttemptTimeout, IncompleteAnswer
from hotspare.outcome import OK, Outcome


def drive(
    flow: Flow, tell: Callable[[], object], wait: Callable[[Wait], object], clock: Callable[[], float]
) -> Attempt:
    """Run a flow to its winner. `tell` is called when the flow may have changed something, `wait` where nothing runs."""
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
                wait(command)
                event = WOKE
            elif command.seconds is None and command.ticket is None:
                event = Finished(attempt, launch(attempt, clock))
                attempt = None
            else:
                return _race(flow, attempt, command, tell, clock)
    except StopIteration as end:
        winner: Attempt = end.value
        return winner
    finally:
        flow.close()
        tell()


def _race(flow: Flow, first: Attempt, command: Wait, tell: Callable[[], object], clock: Callable[[], float]) -> Attempt:
    """The rest of a flow whose attempts run side by side, to its winner. The others' connections are cut."""
    field = _Field(clock)
    field.enter(first)
    try:
        while True:
            step: Start | Wait = flow.send(field.next(command))
            tell()
            while isinstance(step, Start):
                field.enter(step.attempt)
                step = flow.send(None)
            command = step
    except StopIteration as end:
        winner: Attempt = end.value
        field.leave(winner)
        return winner
    finally:
        field.close()


class _Field:
    """Attempts in threads of their own. A thread cannot be ended from outside, but what it waits for can: at the end the
    lines of all that still run are cut. A backend without a line (a framework's own model) ends by itself, unheard."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._events: SimpleQueue[Event] = SimpleQueue()
        self._lines: dict[Attempt, AbortHandle] = {}
        self._lock = threading.Lock()

    def enter(self, attempt: Attempt) -> None:
        line = self._lines[attempt] = AbortHandle()
        context = contextvars.copy_context()
        name = f"hotspare-{attempt.target_state.name}"
        threading.Thread(target=context.run, args=(self._run, attempt, line), name=name, daemon=True).start()

    def _run(self, attempt: Attempt, line: AbortHandle) -> None:
        with line.bind():
            outcome = launch(attempt, self._clock)
        with self._lock:
            heard = attempt in self._lines
            if heard:
                self._events.put(Finished(attempt, outcome))
        if not heard:
            _close(attempt)

    def next(self, command: Wait) -> Event:
        """What comes first: the end of an attempt, the ticket's ring, the time."""
        if command.ticket is not None:
            command.ticket.wake = lambda: self._events.put(WOKE)
            if command.ticket.woken:
                return WOKE
        try:
            return self._events.get(timeout=command.seconds)
        except Empty:
            return WOKE

    def leave(self, winner: Attempt) -> None:
        """Take the winner out: it stays open."""
        with self._lock:
            del self._lines[winner]

    def close(self) -> None:
        """Cut off whoever is left."""
        with self._lock:
            left, self._lines = self._lines, {}
        for line in left.values():
            line.abort()
        while not self._events.empty():
            event = self._events.get()
            if isinstance(event, Finished) and event.attempt in left:
                _close(event.attempt)


def _close(attempt: Attempt) -> None:
    if isinstance(attempt.result, Opened):
        attempt.result.chunks.close()


def rest(command: Wait) -> None:
    """Sleep, or until the ticket is rung."""
    ready = threading.Event()
    if command.ticket is not None:
        command.ticket.wake = ready.set
        if command.ticket.woken:
            return
    ready.wait(command.seconds)


def launch(attempt: Attempt, clock: Callable[[], float]) -> Outcome:
    """Make an attempt: to its whole answer, or to its stream's first content."""
    return _send(attempt) if attempt.unary else _open_stream(attempt, clock)


def _send(attempt: Attempt) -> Outcome:
    """Ask for a whole answer."""
    backend = attempt.target_state.backend
    try:
        attempt.result = backend.send(attempt.request, timeout=attempt.timeout)
    except Exception as error:
        return outcome_of(error, attempt)
    return OK


def _open_stream(attempt: Attempt, clock: Callable[[], float]) -> Outcome:
    """Ask for a stream and read it up to its first content."""
    backend = attempt.target_state.backend
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
        return outcome_of(error, attempt)
    except BaseException:
        chunks.close()
        raise
