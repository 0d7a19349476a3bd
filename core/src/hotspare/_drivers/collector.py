"""What makes metrics and spans of a pool's events: all of it in one thread, many events at a time."""

from __future__ import annotations

import time
from collections.abc import Callable

from hotspare import events
from hotspare._drivers.listeners import ListenerQueue
from hotspare.telemetry.logging import log

Handler = Callable[[int, events.Event], object]
"""Called with the nanoseconds since 1970 at which the event happened, and the event."""

BATCH = 50
"""Events that are handled without a pause, some 1 ms. Then other threads have their turn: else a call that comes back from the network
waits for the interpreter's switch interval of 5 ms while many are handled."""


class Background:
    """A listener of hotspare's own for `Pool.subscribe`, which shares one thread with the others of its pool. No call waits for it."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.collector: Collector | None = None

    def __call__(self, event: events.Event) -> None:
        """Handle an event in the thread of the caller."""
        self.handler(time.time_ns(), event)

    def flush(self, seconds: float) -> bool:
        """Wait until what has happened so far was handled. Returns whether it was."""
        return self.collector is None or self.collector.flush(seconds)


class Collector(ListenerQueue):
    """The queue and the thread of a pool's `Background` listeners."""

    def __init__(self) -> None:
        super().__init__(lambda event: None, is_slow=True)
        self.handlers: tuple[Handler, ...] = ()

    def _entry(self, event: events.Event) -> tuple[int, events.Event]:
        return time.time_ns(), event

    def _handle_some(self) -> None:
        batch = [self._events.popleft() for _ in range(min(len(self._events), BATCH))]
        for handler in self.handlers:
            for at, event in batch:
                try:
                    handler(at, event)
                except Exception:
                    log.exception("%s could not be counted", type(event).__name__)
        self._has_handled(len(batch))
        time.sleep(0)
