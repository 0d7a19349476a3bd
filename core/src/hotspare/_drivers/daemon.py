"""Threads that work beside the calls. One that cannot start is tried again later, and no call fails because of it."""

from __future__ import annotations

import threading
from collections.abc import Callable

from hotspare.telemetry.logging import log


def start_daemon(name: str, run: Callable[..., object], *args: object) -> threading.Thread | None:
    """Start a daemon thread. None, and a warning in the log, if it cannot start: the system has no further thread for this
    process, or the interpreter is shutting down."""
    thread = threading.Thread(target=run, args=args, name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError as error:
        log.warning("the thread %s cannot start: %s", name, error)
        return None
    return thread
