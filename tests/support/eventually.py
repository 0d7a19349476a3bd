"""Waits for a condition that another process or thread will make true. The time limit is long, for a busy machine."""

import threading
from collections.abc import Callable

import anyio

SECONDS = 60.0
"""The longest wait; what is waited for takes milliseconds on an idle machine."""
_STEP = 0.01


def eventually(holds: Callable[[], bool], what: Callable[[], object] = lambda: "") -> None:
    """Return once it holds; fail with `what()` if it never does."""
    for _ in range(int(SECONDS / _STEP)):
        if holds():
            return
        threading.Event().wait(_STEP)
    raise AssertionError(f"it did not happen within {SECONDS} s: {what()}")


async def aeventually(holds: Callable[[], bool], what: Callable[[], object] = lambda: "") -> None:
    """`eventually`, for async tests."""
    for _ in range(int(SECONDS / _STEP)):
        if holds():
            return
        await anyio.sleep(_STEP)
    raise AssertionError(f"it did not happen within {SECONDS} s: {what()}")
