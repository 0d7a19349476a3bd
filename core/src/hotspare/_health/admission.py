"""The admission window: how many concurrent attempts a target admits after a break or a rate limit. TCP's slow start (RFC 5681).

The window starts at one attempt after a rate limit, and at `AFTER_PROBE` after a probe that succeeded. It grows by one with each
success (of a stream, its end). If answers take longer than `GROWTH_SECONDS`, it also doubles after each such time without a failure;
if they are faster, successes alone double it once per round trip. Doubling by time alone would be unsafe: a process that is short of
CPU reads rejections late, and would admit more calls the later it reads them. A failure halves the window, once for all attempts in
flight; from then on it grows by only one per round. It has no effect once it exceeds the demand.

The processes of a fleet share one window: each process owns a part of its places (`Part`).
"""

from __future__ import annotations

from math import ceil, inf, log2
from typing import NamedTuple

GROWTH_SECONDS = 0.5
"""An overloaded target shows it within this time, by a 429 or a 503."""
AFTER_PROBE = 10.0
"""Concurrent attempts after a successful probe: the initial window of RFC 6928 (RFC 5681: at most 4). Calls that wait for the end of an outage
are answered one round trip sooner than with 4, and three failures still halve the window to one attempt, for the weakest targets."""
_UNBOUND = 1000.0
"""From this size on a window no longer limits anything: it is the default of `Policy.max_waiters`."""
_RECHECK_AFTER = 1.0
"""Seconds after which a call checks again when the window is full; a success or a failure wakes it earlier."""


class Part(NamedTuple):
    """The places of the window that this process owns: number `place`, and each `processes`-th one after it. The process whose probe
    succeeded has place 0; the others have random places (`place` is not an integer)."""

    processes: int = 1
    place: float = 0.0

    def behind_first(self) -> Part:
        """The part in a window whose place 0 belongs to the process whose probe succeeded."""
        return self._replace(place=1 + self.place * (1 - 1 / self.processes))


class AdmissionWindow:
    """The window of one target: `places` concurrent attempts from `since` on (seconds on the pool's clock). `halved_to`: start with this size
    instead, and grow linearly, because twice as many attempts were rate-limited. `part`: this process's part of the fleet's window.
    `fastest`: duration of the fastest whole answer in seconds (inf: unknown)."""

    def __init__(
        self, since: float, *, places: float = 1.0, halved_to: float | None = None, part: Part | None = None, fastest: float = inf
    ) -> None:  # fmt: skip
        self._part = part or Part()
        self._size = places if halved_to is None else halved_to
        self._at, self._fastest = since, fastest
        self._halved_at: float | None = None if halved_to is None else since

    def limit(self, now: float) -> float:
        """How many attempts may be in flight."""
        if not self._grows_by_time:
            return self._size
        return self._size * 2 ** min(max(0.0, now - self._at) / GROWTH_SECONDS, 20.0)

    def is_unbound(self, now: float) -> bool:
        """Whether it no longer limits anything."""
        return self.limit(now) >= _UNBOUND * self._part.processes

    def free(self, active: int, now: float) -> int:
        """How many more attempts it admits."""
        processes, place = self._part
        return max(0, ceil((ceil(self.limit(now) - 1e-9) - place) / processes) - active)

    def free_at(self, active: int, now: float) -> float:
        """When it admits one more attempt."""
        if self.free(active, now):
            return now
        if not self._grows_by_time:
            return now + _RECHECK_AFTER
        processes, place = self._part
        return self._at + GROWTH_SECONDS * log2(max((active * processes + place + 1e-6) / self._size, 1.0))

    def record_success(self, started: float, now: float) -> None:
        """One attempt has succeeded."""
        self._size = self.limit(now) + (1.0 if self._halved_at is None else 1.0 / max(1.0, self._size))
        self._at, self._fastest = now, min(self._fastest, now - started)

    def record_failure(self, started: float, now: float) -> bool:
        """One attempt has failed. Returns whether the window is now smaller than one attempt."""
        if not self.was_halved_since(started):
            self._size, self._at, self._halved_at = self.limit(now) / 2, now, now
        return self._size < 1

    def was_halved_since(self, started: float) -> bool:
        """Whether a failure has halved it since `started`: an attempt from then belongs to a round that has already been counted."""
        return self._halved_at is not None and started < self._halved_at

    @property
    def _grows_by_time(self) -> bool:
        """One process of a fleet sees its own successes only, and needs the clock."""
        return self._halved_at is None and (self._fastest > GROWTH_SECONDS or self._part.processes > 1)
