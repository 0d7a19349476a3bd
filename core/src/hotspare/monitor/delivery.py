"""Delivers notices, with a thread and a bounded queue per channel, so that a hanging channel does not delay others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from queue import Full, Queue

from hotspare.events import AlertUndelivered
from hotspare.monitor.channels import Channel, Notice

MAX_QUEUED = 100
"""Size of a channel's queue; further notices are reported as undelivered."""
RETRIES = 6
"""Retries of a delivery, after pauses of 1, 2, 4, 8, 16 and 32 s: about a minute, enough for the restart of a mail server."""
FIRST_PAUSE = 1.0
"""Seconds before the first retry; each further pause is twice as long."""


class Delivery:
    """Delivers notices to one channel. `publish`: emits an event for a notice that was not delivered."""

    def __init__(self, channel: Channel, publish: Callable[[AlertUndelivered], object]) -> None:
        self.channel = channel
        self._publish = publish
        self._queue: Queue[Notice | None] = Queue(MAX_QUEUED)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"hotspare-{channel.name}", daemon=True)
        self._thread.start()

    def put(self, notice: Notice) -> None:
        """Queue a notice. Never blocks."""
        try:
            self._queue.put_nowait(notice)
        except Full:
            self._publish(AlertUndelivered(self.channel.name, "its queue is full"))

    def close(self, timeout: float) -> None:
        """Try each queued notice once more, within `timeout` seconds."""
        end = time.monotonic() + timeout
        self._closing.set()
        try:
            self._queue.put(None, timeout=timeout)
        except Full:  # its channel hangs
            return
        self._thread.join(max(0.0, end - time.monotonic()))

    def _run(self) -> None:
        while (notice := self._queue.get()) is not None:
            self._deliver(notice)

    def _deliver(self, notice: Notice) -> None:
        pause, reason = FIRST_PAUSE, ""
        for left in range(RETRIES, -1, -1):
            try:
                self.channel.send(notice)
                return
            except BaseException as error:  # a custom channel may raise anything
                reason = f"{type(error).__name__}: {error}"[:200]
            if not left or self._closing.wait(pause):
                break
            pause *= 2
        self._publish(AlertUndelivered(self.channel.name, reason))
