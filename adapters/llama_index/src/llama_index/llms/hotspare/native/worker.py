"""Bounded waiting for a native LLM's sync calls.

SDKs keep a read timeout, which keep-alive comments defeat, and some of them start an event loop of their own, which fails
inside a running one. A thread of its own per call cures both: its caller waits exactly as long as it was told.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import copy_context
from queue import Empty, SimpleQueue
from typing import Any

from hotspare.errors import AttemptTimeout


class Worker:
    """A thread that does one thing after another for its caller, who may stop waiting for it."""

    def __init__(self) -> None:
        self._todo: SimpleQueue[Callable[[], Any] | None] = SimpleQueue()
        self._done: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
        # Daemon: a provider that never answers must not keep the interpreter from ending.
        thread = threading.Thread(target=copy_context().run, args=(self._work,), name="hotspare-native", daemon=True)
        thread.start()

    def do(self, task: Callable[[], Any], timeout: float) -> Any:
        """The task's result, or what it raised. Raises AttemptTimeout after `timeout` seconds; the task goes on unheard."""
        self._todo.put(task)
        try:
            result, error = self._done.get(timeout=max(0.0, timeout))
        except Empty:
            raise AttemptTimeout("no answer came in time") from None
        if error is not None:
            raise error
        return result

    def end(self, last: Callable[[], Any] | None = None) -> None:
        """Let the thread do `last` once it is free, and end. Does not wait."""
        if last is not None:
            self._todo.put(last)
        self._todo.put(None)

    def _work(self) -> None:
        while (task := self._todo.get()) is not None:
            try:
                self._done.put((task(), None))
            except BaseException as error:
                self._done.put((None, error))
