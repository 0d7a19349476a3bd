"""The protocol of a store. It measures durations with its own clock, because the processes' clocks may differ.

Every method may block, and may raise StoreError. Methods are called by separate threads (`agent`, `worker`), never by that of a call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from hotspare._cost.shares import Claim, Portion
from hotspare._health.facts import Fact
from hotspare.errors import HotspareError

MEMBER_SECONDS = 10.0
"""Seconds without `sync` after which a process is no longer counted."""


class StoreError(HotspareError):
    """The store is unavailable, rejected a command, or sent an unexpected answer. The message contains no key."""


class Picture(NamedTuple):
    """The result of `sync`. `facts`: all valid facts; None: nothing has changed since version `since`. `members`: number of processes."""

    version: str
    members: int
    facts: tuple[Fact, ...] | None


class Lease(NamedTuple):
    """Which process holds the lease of a probe, and for how many more seconds."""

    holder: str
    remaining: float


@dataclass(frozen=True, slots=True)
class Bucket:
    """A fleet-wide limit for the generic cell rate algorithm: `limit` units in `period` seconds, at most `burst` of them at the same time.
    `name`: a digest of its scope. `is_daily`: instead, at most `limit` units in any 24 hours, counted per hour."""

    name: str
    limit: float
    period: float
    burst: float
    is_daily: bool = False

    @property
    def interval(self) -> float:
        """Seconds until one more unit becomes free."""
        return self.period / self.limit


class Grant(NamedTuple):
    """The result of `take`: `units` units; the first may be used `wait` seconds from now, each further one an interval later. `wait` below 0:
    the first ones have been free for that long. If `units` is 0, `wait` is the time until the next request."""

    units: float
    wait: float


@dataclass(frozen=True, slots=True)
class Counted:
    """One budget's count. spent: USD of all processes; reserved: USD in their blocks. limit: the amount at which the budget acts next."""

    name: str
    spent: float
    reserved: float
    limit: float


Listener = Callable[[Fact | StoreError | None], object]
"""Called with each fact that another process has written; with None when notifications start (earlier ones may have been missed); with an
error when they stop, until the next None."""


class Store(Protocol):
    """The shared state: facts that expire, members, leases, buckets, counters."""

    def sync(self, member: str, since: str = "") -> Picture:
        """Record that this process is alive. Returns the valid facts, if any have changed since the version `since`."""
        ...

    def write(self, facts: Sequence[Fact]) -> None:
        """Write the facts that supersede the stored ones (`facts.supersedes`), and notify the listeners."""
        ...

    def lease(self, subject: str, holder: str, seconds: float, name: str = "") -> Lease:
        """Acquire or renew the lease of a probe for `seconds`, unless another process holds it."""
        ...

    def release(self, subject: str, holder: str) -> None:
        """Release a lease, if `holder` holds it."""
        ...

    def take(self, bucket: Bucket, want: float, least: float, used: float, horizon: float) -> Grant:
        """Take up to `want` units that become free within `horizon` seconds, if there are at least `least`. `used`: units used without a
        grant; below 0: units returned."""
        ...

    def spend(self, member: str, claim: Claim) -> Portion:
        """Report this process's spending, release its block, and reserve a new one. Also raises ClockDiffers (`money`)."""
        ...

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` from now on, in a thread of the store. Returns a function that stops it."""
        ...

    def leave(self, member: str) -> None:
        """Remove this process from the members."""
        ...

    def close(self) -> None:
        """Close the connections; they are opened again if the store is used."""
        ...

    def after_fork(self) -> None:
        """In a child process: drop connections and locks, which belong to the parent."""
        ...
