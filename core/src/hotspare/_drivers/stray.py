"""Stray cancellations: CancelledError or GeneratorExit, raised by a caller's function or a backend although nothing was cancelled."""

from __future__ import annotations

import asyncio

STRAY = (asyncio.CancelledError, GeneratorExit)
"""In sync code, a function that raises one of them has failed."""


def failure(error: BaseException) -> RuntimeError:
    """A RuntimeError that stands for such an exception, which is its cause."""
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
