"""Exceptions with which Python ends a task or a generator, raised by a caller's function or a backend although nothing was ended."""

from __future__ import annotations

import asyncio

STRAY = (asyncio.CancelledError, GeneratorExit)
"""In sync code nothing else raises them: a function that does has failed."""


def failure(error: BaseException) -> RuntimeError:
    """The failure that such an exception is, with the exception as its cause."""
    why = ", and nothing was cancelled" if isinstance(error, STRAY) else ""
    made = RuntimeError(f"it raised {type(error).__name__}{why}")
    made.__cause__ = error
    return made


def is_cancelled() -> bool:
    """Whether this task is being cancelled, so that asyncio's CancelledError in it has to propagate. trio's has a class of its own."""
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no asyncio loop runs
        return False
    return task is None or task.cancelling() > 0
