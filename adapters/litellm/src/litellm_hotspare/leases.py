"""The leases of running calls, by the request's trace id and the deployment, which LiteLLM's callbacks contain."""

from __future__ import annotations

import threading
from collections import defaultdict
from typing import NamedTuple

from hotspare import Kind, Lease, Outcome

OK = Outcome(Kind.OK)
CANCELLED = Outcome(Kind.CANCELLED)
UNUSED = Outcome(Kind.CANCELLED, before_connect=True)
"""The deployment was not called, and its limits were not used."""

_MAX_OPEN = 16_384
"""Maximum number of open leases. LiteLLM does not report cancelled calls: their leases are settled when they are the oldest."""
_MAX_FAILED = 4_096
"""Maximum number of failed leases kept for retries; the oldest is dropped."""


class _Open(NamedTuple):
    lease: Lease
    group: str


class Leases:
    """Open leases, and the last failed one of each request. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: defaultdict[tuple[str, str], list[_Open]] = defaultdict(list)
        self._count = 0
        self._failed: dict[tuple[str, str], Lease] = {}

    def add(self, lease: Lease, trace: str, group: str) -> None:
        """Keep the lease of a call that starts now. Beyond the limit, the oldest lease is settled as cancelled."""
        with self._lock:
            self._open[trace, lease.target.name].append(_Open(lease, group))
            self._count += 1
            oldest = self._pop(next(iter(self._open))) if self._count > _MAX_OPEN else None
        if oldest is not None:
            oldest.lease.settle(CANCELLED)

    def take(self, trace: str, deployment: str, *, failed: bool = False) -> Lease | None:
        """Remove and return the lease that a callback is about; None if it was taken before.

        If a trace id has several calls of one deployment (a caller may choose the id), it is the oldest one.
        """
        with self._lock:
            if (trace, deployment) not in self._open:
                return None
            found = self._pop((trace, deployment))
            if failed:
                self._failed.pop((trace, found.group), None)  # inserted again below, as the newest
                self._failed[trace, found.group] = found.lease
                if len(self._failed) > _MAX_FAILED:
                    del self._failed[next(iter(self._failed))]
            return found.lease

    def take_failed(self, trace: str, group: str) -> Lease | None:
        """Remove and return the lease of a request's last failed attempt in a model group; None if there is none."""
        with self._lock:
            return self._failed.pop((trace, group), None)

    def _pop(self, key: tuple[str, str]) -> _Open:
        leases = self._open[key]
        found = leases.pop(0)
        self._count -= 1
        if not leases:
            del self._open[key]
        return found
