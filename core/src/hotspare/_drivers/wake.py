"""How a thread wakes what waits in an event loop."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress

import anyio


def from_any_thread(wake: Callable[[], object]) -> Callable[[], object]:
    """`wake`, callable from any thread. Does nothing if the event loop has ended."""
    if "trio" in sys.modules and anyio.get_cancelled_exc_class().__module__.startswith("trio"):
        from trio import RunFinishedError
        from trio.lowlevel import current_trio_token

        token = current_trio_token()

        def wake_in_trio() -> None:
            with suppress(RunFinishedError):
                token.run_sync_soon(wake)  # pyright: ignore[reportUnknownMemberType] - trio leaves it open

        return wake_in_trio
    import asyncio

    loop = asyncio.get_running_loop()

    def wake_in_asyncio() -> None:
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(wake)

    return wake_in_asyncio
