"""The driver for threads: a single attempt runs in the caller's own thread, concurrent attempts in separate threads."""

from __future__ import annotations

import contextvars
import threading
from collections import deque
from collections.abc import Callable, Generator
from types import TracebackType
from typing import Any, Self, cast

from hotspare._drivers.clock import Clock
from hotspare._drivers.common import (
    Ended,
    advance,
    completion_timeout,
    first_token_timeout,
    is_first_content,
    outcome_of,
)
from hotspare._drivers.stray import STRAY, failure
from hotspare._engine.call import Attempt, OpenStream
from hotspare._engine.commands import LATE, WOKE, Broke, Command, Event, Finished, Flow, Read, Start, Wait
from hotspare._http.abort import CURRENT, AbortHandle
from hotspare.errors import IncompleteAnswer
from hotspare.messages import ChatChunk, ChatReply
from hotspare.outcome import OK, Outcome

Notify = Callable[[], object]
_Chunks = Generator[ChatChunk]


def complete(flow: Flow, notify: Notify, clock: Clock) -> ChatReply:
    """Run the flow of a call that does not stream. `notify` is called whenever shared state may have changed."""
    execution = _Execution(flow, notify, clock)
    try:
        command = advance(flow, None)
        while not isinstance(command, Ended):
            assert not isinstance(command, ChatChunk), "a call that does not stream yields no chunk"
            command = advance(flow, execution.read(command)) if isinstance(command, Read) else execution.next(command)
        reply = command.result()
        assert reply is not None, "a call that does not stream returns its answer"
        return reply
    finally:
        execution.finish()


def stream(flow: Flow, notify: Notify, clock: Clock, owner: object) -> Generator[ChatChunk]:
    """Run a flow and yield its chunks. Closing the generator closes the connection. `owner` is kept alive until then: a pool that
    is collected leaves its fleet and ends its checks."""
    execution = _Execution(flow, notify, clock)
    try:
        command = advance(flow, None)
        while not isinstance(command, Ended):
            if isinstance(command, ChatChunk):
                yield command
                command = advance(flow, None)
            elif isinstance(command, Read):
                command = advance(flow, execution.read(command))
            else:
                command = execution.next(command)
        command.result()
    finally:
        execution.finish()
        del owner


class _Execution:
    """A running flow: the attempt that was started last, and the open stream with its time limit."""

    __slots__ = ("_clock", "_flow", "_handle", "_notify", "_open", "_read", "_started")

    def __init__(self, flow: Flow, notify: Notify, clock: Clock) -> None:
        self._flow = flow
        self._notify = notify
        self._clock = clock
        self._started: Attempt | None = None
        self._open: Attempt | None = None
        self._handle: AbortHandle | None = None
        self._read: Read | None = None

    def next(self, command: Start | Wait) -> Command | Ended:
        """Execute a command. Returns the flow's next command."""
        if self._open is not None:
            self.close()
        self._notify()
        if isinstance(command, Start):
            if command.alone:
                return advance(self._flow, self._run_alone(command.attempt))
            self._started = command.attempt
            return advance(self._flow, None)
        attempt, self._started = self._started, None
        if attempt is None:
            return advance(self._flow, self._wait(command))
        return self._run_concurrently(attempt, command)

    def _wait(self, command: Wait) -> Event:
        """Wait while no attempt is running."""
        ready = threading.Event()
        if command.waiter is not None:
            command.waiter.wake = ready.set
            if command.waiter.woken:
                return WOKE
        self._clock.wait(ready, command.seconds)
        return WOKE

    def _run_alone(self, attempt: Attempt) -> Event:
        handle = AbortHandle(self._clock)
        token = CURRENT.set(handle)
        try:
            outcome = run_attempt(attempt, handle)
        finally:
            CURRENT.reset(token)
        if isinstance(attempt.result, OpenStream):
            self._open, self._handle = attempt, handle
        return Finished(attempt, outcome)

    def _run_concurrently(self, attempt: Attempt, command: Command | Ended) -> Command | Ended:
        """Run attempts until one has an answer or all have ended. The others are aborted."""
        with _AttemptGroup(self._clock) as group:
            group.start(attempt)
            while isinstance(command, Start | Wait):
                if isinstance(command, Start):
                    group.start(command.attempt)
                    command = advance(self._flow, None)
                else:
                    event = group.next(command)
                    if isinstance(event, Finished):
                        handle = group.remove(event.attempt)
                        if event.outcome.ok:
                            self.close()  # that of an attempt which the flow has rejected
                            self._open, self._handle = event.attempt, handle
                    command = advance(self._flow, event)
                self._notify()
            return command

    def read(self, command: Read) -> Event:
        """Read the next chunk."""
        if command is not self._read:  # once per stream: wake waiting calls before reading
            self._read = command
            self._notify()
        attempt, handle = command.attempt, self._handle
        assert isinstance(attempt.result, OpenStream) and handle is not None
        chunks: Any = attempt.result.chunks  # `_Chunks`: a `cast` for each chunk costs as much as the rest
        handle.limit(command.within)
        token = CURRENT.set(handle)
        try:
            return next(chunks, None)
        except STRAY as error:
            return LATE if handle.expired else Broke(failure(error))
        except Exception as error:
            return LATE if handle.expired else Broke(error)
        finally:
            CURRENT.reset(token)

    def close(self) -> None:
        """Close the open stream."""
        attempt, self._open = self._open, None
        if attempt is not None:
            _close(attempt)

    def finish(self) -> None:
        """End the flow, after any outcome: close the stream and settle all attempts."""
        if self._open is not None:
            self.close()
        self._flow.close()
        self._notify()


class _AttemptGroup:
    """Attempts in separate threads. A thread cannot be ended from outside, but its I/O can: at the end, the handles of all running
    attempts are aborted. A backend without a handle (a framework's own model) runs to its end."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ended: deque[Finished] = deque()
        self._raised: list[BaseException] = []
        self._ready = threading.Event()
        self._handles: dict[Attempt, AbortHandle] = {}
        self._lock = threading.Lock()  # between an ending thread and `__exit__`

    def start(self, attempt: Attempt) -> None:
        handle = self._handles[attempt] = AbortHandle(self._clock)
        context = contextvars.copy_context()
        name = f"hotspare-{attempt.state.name}"
        try:
            threading.Thread(target=context.run, args=(self._run, attempt, handle), name=name, daemon=True).start()
        except RuntimeError as error:  # the system has no further thread
            if len(self._handles) == 1:  # nothing runs beside it
                context.run(self._run, attempt, handle)
            else:
                self._ended.append(Finished(attempt, outcome_of(error, attempt)))

    def _run(self, attempt: Attempt, handle: AbortHandle) -> None:
        try:
            with handle.bind():
                outcome = run_attempt(attempt, handle)
        except BaseException as error:  # KeyboardInterrupt or SystemExit, raised again in the caller's thread
            self._raised.append(error)
            self._ready.set()
            return
        with self._lock:
            wanted = attempt in self._handles
            if wanted:
                self._ended.append(Finished(attempt, outcome))
                self._ready.set()
        if not wanted:
            _close(attempt)

    def next(self, command: Wait) -> Finished | Event:
        """Wait for the first of: the end of an attempt, the waiter's wake-up, a timeout."""
        if command.waiter is not None:
            command.waiter.wake = self._ready.set
        if not (self._ended or self._raised or (command.waiter is not None and command.waiter.woken)):
            self._clock.wait(self._ready, command.seconds)
        with self._lock:
            if self._raised:
                raise self._raised[0]
            self._ready.clear()
            if not self._ended:
                return WOKE
            event = self._ended.popleft()
            if self._ended:
                self._ready.set()
            return event

    def remove(self, attempt: Attempt) -> AbortHandle:
        """An attempt has ended: remove it from the group, which then does not close it."""
        with self._lock:
            return self._handles.pop(attempt)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            running, self._handles = self._handles, {}
            ended, self._ended = self._ended, deque()
        for handle in running.values():
            handle.abort()
        for event in ended:
            _close(event.attempt)


def _close(attempt: Attempt) -> None:
    if isinstance(attempt.result, OpenStream):
        cast("_Chunks", attempt.result.chunks).close()


def run_attempt(attempt: Attempt, handle: AbortHandle) -> Outcome:
    """Make an attempt: to its whole answer, or to the first content of its stream."""
    handle.limit(attempt.timeout, from_now=True)
    try:
        if attempt.unary:
            attempt.result = attempt.state.backend.send(attempt.request, timeout=attempt.timeout)
        else:
            _open_stream(attempt, handle)
    except (Exception, *STRAY) as error:
        if handle.expired and attempt.result is None:
            late = completion_timeout(attempt) if attempt.unary else first_token_timeout(attempt)
            late.__cause__ = error
            return outcome_of(late, attempt)
        return outcome_of(error, attempt)
    return OK


def _open_stream(attempt: Attempt, handle: AbortHandle) -> None:
    chunks = attempt.state.backend.stream(attempt.request, timeout=attempt.timeout, stall=attempt.stall)
    try:
        for chunk in chunks:
            if is_first_content(chunk):
                attempt.result = OpenStream(chunk, chunks)
                return
            if handle.expired:
                raise first_token_timeout(attempt)
        raise IncompleteAnswer("the stream ended without any content")
    finally:
        if attempt.result is None:
            chunks.close()
