"""Identifies the running event loop."""

from __future__ import annotations

import sys
from typing import Any


def running_loop() -> Any:
    """What identifies the running event loop: asyncio's loop, or trio's token. Raises RuntimeError without one.

    While another thread imports trio, a part of it is in `sys.modules`, and importing from it may fail. Then no loop of trio
    can be running in this thread.
    """
    if "trio" in sys.modules:
        try:
            from trio.lowlevel import current_trio_token

            return current_trio_token()
        except (ImportError, RuntimeError):  # not imported completely, or no loop of trio runs here
            pass
    import asyncio

    return asyncio.get_running_loop()
