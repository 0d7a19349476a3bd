"""A thread per call, so that a caller can stop waiting for a LlamaIndex LLM.

SDKs have a read timeout only, which keep-alive comments reset, and some of them start an event loop, which fails inside a
running one. With a separate thread, the caller waits exactly as long as the attempt may take.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import copy_context
from queue import Empty, SimpleQueue
from typing import Any

from hotspare import AttemptTimeout


class Worker:
    """A thread that runs its caller's tasks one after another. The caller may stop waiting for a task."""

    def __init__(self) -> None:
        self._tasks: SimpleQueue[Callable[[], Any] | None] = SimpleQueue()
        self._results: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
        # Daemon: a provider that never answers must not keep the interpreter from exiting.
        thread = threading.Thread(
            target=copy_context().run, args=(self._work,), name="hotspare-llama-index", daemon=True
        )
        thread.start()

    def run(self, task: Callable[[], Any], timeout: float) -> Any:
        """Run the task and return its result. Raises the task's errors, and AttemptTimeout after `timeout` seconds.

        After a timeout the task continues, and its result is dropped.
        """
        self._tasks.put(task)
        try:
            result, error = self._results.get(timeout=max(0.0, timeout))
        except Empty:
            raise AttemptTimeout("no answer in time") from None
        if error is not None:
            raise error
        return result

    def close(self, last: Callable[[], Any] | None = None) -> None:
        """Run `last` after the current task, then end the thread. Does not wait."""
        if last is not None:
            self._tasks.put(last)
        self._tasks.put(None)

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            try:
                self._results.put((task(), None))
            except BaseException as error:
                self._results.put((None, error))
