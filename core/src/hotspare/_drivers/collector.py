"""The thread that turns a pool's events into metrics and spans, many events at a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from hotspare import events
from hotspare._drivers.listeners import ListenerQueue
from hotspare._engine.call import Call
from hotspare._engine.call_report import events_of
from hotspare.telemetry.logging import log

Handler = Callable[[int, events.Event], object]
"""Called with the nanoseconds since 1970 at which the event happened, and the event."""

BATCH = 20
"""Number of calls or events that are handled without a pause, about 1 ms. Then the thread yields: otherwise a call that returns from the
network would wait for the interpreter's switch interval of 5 ms."""


class _Answered(NamedTuple):
    call: Call
    ended: float


class Background:
    """An internal listener for `Pool.subscribe`, which shares one thread with the others of its pool. No call waits for it."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.collector: Collector | None = None

    def __call__(self, event: events.Event) -> None:
        """Handle an event in the thread of the caller."""
        self.handler(time.time_ns(), event)

    def flush(self, seconds: float) -> bool:
        """Wait until all events so far are handled. Returns False if `seconds` were not enough."""
        return self.collector is None or self.collector.flush(seconds)


class Collector(ListenerQueue):
    """The queue and the thread of a pool's `Background` listeners. It holds events, and calls whose events are made here."""

    def __init__(self) -> None:
        super().__init__(lambda event: None, is_slow=True)
        self.handlers: tuple[Handler, ...] = ()

    def add_answered(self, call: Call, ended: float) -> None:
        """Add an answered call, whose events are created later in this thread."""
        self._enqueue(_Answered(call, ended))

    def _entry(self, item: Any) -> tuple[int, Any]:
        return time.time_ns(), item

    def _handle_some(self) -> None:
        batch = [self._items.popleft() for _ in range(min(len(self._items), BATCH))]
        for at, item in batch:
            if isinstance(item, _Answered):
                self._handle_answered(item, at)
            else:
                self._handle(at, item)
        self._has_handled(len(batch))
        time.sleep(0)

    def _handle_answered(self, answered: _Answered, at: int) -> None:
        call, ended = answered
        report, attempt = events_of(call, ended), call.attempts[0]
        began = attempt.permit.started
        times = (call.started, began, began + (attempt.record.seconds if attempt.record else 0.0), ended)
        for when, event in zip(times, report, strict=False):
            self._handle(at - int((ended - when) * 1e9), event)

    def _handle(self, at: int, event: events.Event) -> None:
        for handler in self.handlers:
            try:
                handler(at, event)
            except BaseException:  # SystemExit would end this thread, and with it the events
                log.exception("a telemetry handler raised on %s", type(event).__name__)
