"""Calls of a function or object that supplies an API key. Such a call may wait for a server, and may hang."""

from __future__ import annotations

import inspect
import os
import threading
from asyncio import CancelledError
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, wait
from contextvars import Context, copy_context
from functools import partial

from hotspare._drivers.stray import STRAY, failure, is_cancelled
from hotspare.errors import AttemptTimeout
from hotspare.secret import KeyFunction, held_by, may_wait, source_name

MAX_THREADS = 16
"""Threads per function. Further calls wait for one of them, so that a function that hangs does not use up the process's threads."""
_SHARE = 0.9
"""Share of an attempt's time that its key may take. The key's timeout comes before the attempt's own, so that the error names the key."""


class KeyCalls:
    """Calls a function in daemon threads, from sync and async code: one that hangs delays its caller by at most `timeout` seconds, and
    blocks neither the event loop nor the end of the process. An async function runs in the caller's loop. If the function returns an
    object with `get_secret_value`, that method is called in a thread too. `name`: of the source, for messages."""

    def __init__(self, function: KeyFunction, name: str = "") -> None:
        self._function, self._name = function, name or source_name(function)
        self._is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)
        self._after_fork()

    def _after_fork(self) -> None:
        self._pid, self._lock = os.getpid(), threading.Lock()
        self._threads = 0
        self._waiting: dict[Future[object], tuple[Context, Callable[[], object]]] = {}

    def get(self, timeout: float) -> object:
        """The function's result; an async one runs in a new event loop. Raises AttemptTimeout, and whatever the function raises."""
        answer = self._start(self._call)
        try:
            wait((answer,), timeout * _SHARE)
        finally:
            self._withdraw(answer)
        if not answer.done():
            raise self._late(timeout)
        return answer.result()

    async def aget(self, timeout: float) -> object:
        """The same in async code."""
        import anyio

        with anyio.move_on_after(timeout * _SHARE):
            try:
                given = self._function() if self._is_async else await self._in_thread(self._function)
                key = await given if inspect.isawaitable(given) else given
                return await self._in_thread(partial(held_by, key)) if may_wait(key) else held_by(key)
            except CancelledError as error:
                if is_cancelled():
                    raise
                raise failure(error) from error
        raise self._late(timeout)

    async def _in_thread(self, call: Callable[[], object]) -> object:
        import anyio

        from hotspare._drivers.wake import from_any_thread

        ended = anyio.Event()
        wake, answer = from_any_thread(ended.set), self._start(call)
        answer.add_done_callback(lambda _: wake())
        try:
            await ended.wait()
        finally:
            self._withdraw(answer)
        return answer.result()

    def _late(self, timeout: float) -> AttemptTimeout:
        return AttemptTimeout(f"{self._name} gave no key within {timeout * _SHARE:.2f} s")

    def _call(self) -> object:
        given: object = self._function()
        if inspect.isawaitable(given):
            import asyncio

            given = asyncio.run(_result_of(given))
        return held_by(given)

    # --- threads -------------------------------------------------------------------------------------------------

    def _start(self, call: Callable[[], object]) -> Future[object]:
        if self._pid != os.getpid():  # the threads are the parent's, and one of them may have held the lock
            self._after_fork()
        answer: Future[object] = Future()
        with self._lock:
            self._waiting[answer] = copy_context(), call
            is_free = self._threads < MAX_THREADS
            self._threads += is_free
        if is_free:
            try:
                threading.Thread(target=self._run, name="hotspare-key", daemon=True).start()
            except RuntimeError:  # the system has no further thread now
                self._withdraw(answer)
                with self._lock:
                    self._threads -= 1
                raise
        return answer

    def _withdraw(self, answer: Future[object]) -> None:
        """Remove a call whose caller no longer waits."""
        with self._lock:
            self._waiting.pop(answer, None)

    def _run(self) -> None:
        """Make the waiting calls, until none is left."""
        while True:
            with self._lock:
                answer = next(iter(self._waiting), None)
                if answer is None:
                    self._threads -= 1
                    return
                context, call = self._waiting.pop(answer)
            try:
                answer.set_result(context.run(call))
            except (StopIteration, *STRAY) as error:  # a coroutine must not raise StopIteration
                answer.set_exception(failure(error))
            except BaseException as error:  # for the caller, KeyboardInterrupt included
                answer.set_exception(error)


async def _result_of(given: Awaitable[object]) -> object:
    return await given
