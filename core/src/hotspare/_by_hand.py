"""An operator's hand on a pool, from code and from another process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from hotspare._drivers.clock import Clock
from hotspare._drivers.notifier import Notifier
from hotspare._engine.scheduler import Scheduler
from hotspare.status import PoolHealth

if TYPE_CHECKING:
    from hotspare._control.server import StatusServer


class ByHand:
    """The methods of a pool for operators. An operator's word stands above every breaker."""

    _scheduler: Scheduler
    _notify: Notifier
    _clock: Clock
    _now: Callable[[], float]
    _at_close: list[Callable[[], object]]
    _status_server: StatusServer | None = None

    def health(self) -> PoolHealth:
        """A typed snapshot of the state of every target and domain. It changes nothing."""
        return self._scheduler.health(self._now())

    def disable(self, name: str, reason: str = "by hand") -> None:
        """Send no further call to this target until `enable`; calls under way go on. It stands above every breaker.

        Raises KeyError for a name that no target has.
        """
        self._scheduler.disable(name, reason or "by hand")
        self._notify()

    def enable(self, name: str) -> None:
        """Take a target back into use, as its health allows. Raises KeyError for a name that no target has."""
        self._scheduler.enable(name)
        self._notify()

    def drain(self, name: str, timeout: float | None = None, reason: str = "draining") -> bool:
        """Disable a target and wait until no attempt is under way there, streams included: then it can be taken away.

        Returns whether that came within `timeout` seconds (None: however long it takes). Raises KeyError for an unknown name.
        """
        self.disable(name, reason)
        ended, until = threading.Event(), None if timeout is None else self._now() + timeout
        unsubscribe = self._notify.subscribe(lambda _: ended.set(), inline=True)
        try:
            while self._scheduler.in_flight_at(name):
                left = None if until is None else until - self._now()
                if left is not None and left <= 0:
                    return False
                self._clock.wait(ended, left)
                ended.clear()
            return True
        finally:
            unsubscribe()

    async def adrain(self, name: str, timeout: float | None = None, reason: str = "draining") -> bool:
        """`drain`, for asyncio and trio."""
        from anyio.to_thread import run_sync

        return await run_sync(self.drain, name, timeout, reason, abandon_on_cancel=True)

    def reset(self, name: str) -> None:
        """Forget what this target's attempts have shown: breaker, percentiles, learnt limits, refused features. What an operator
        said and what its domains have shown stays. Raises KeyError for a name that no target has."""
        self._scheduler.reset(name, self._now())
        self._notify()

    def serve_status(self, file: str | Path | None = None) -> str:
        """Let `hotspare status`, `disable`, `enable`, `drain` and `reset` reach this pool, until it is closed. Returns its URL.

        It listens on loopback, and writes its address with a token into `file` (default: $HOTSPARE_STATUS, else
        `hotspare-status.json`), which only the owner can read. Raises ConfigError if that cannot be written.
        """
        from hotspare._control import status_file
        from hotspare._control.commands import commands_of
        from hotspare._control.server import StatusServer

        if self._status_server is None:
            self._status_server = StatusServer(status_file(file), commands_of(self))
            self._at_close.append(self._stop_serving)
        return self._status_server.url

    def _stop_serving(self) -> None:
        server, self._status_server = self._status_server, None
        if server is not None:
            server.close()
