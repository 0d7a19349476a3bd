"""The protocol of what processes share. A store keeps durations by its own clock: those of the processes may differ.

Every method may block, and raises StoreError. None is called on the path of a call: a separate thread does (`agent`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from hotspare._cost.shares import Claim, Portion
from hotspare._health.facts import Fact
from hotspare.errors import HotspareError

MEMBER_SECONDS = 10.0
"""A process that has not called `sync` for so long is not counted any more."""


class StoreError(HotspareError):
    """The store could not be reached, refused, or answered something that cannot be understood. Its text holds no key."""


class Picture(NamedTuple):
    """What `sync` gives. `facts`: all that hold now; None: nothing has changed since `version`. `members`: processes."""

    version: str
    members: int
    facts: tuple[Fact, ...] | None


class Lease(NamedTuple):
    """Which process may probe a target, and for how many more seconds."""

    holder: str
    remaining: float


@dataclass(frozen=True, slots=True)
class Bucket:
    """A limit of the whole fleet, as the generic cell rate algorithm keeps it: `limit` units in `period` seconds, at most `burst` of
    them at once. `name`: a digest of what it counts for. `is_daily`: at most `limit` units in any 24 hours, counted by the hour, instead."""

    name: str
    limit: float
    period: float
    burst: float
    is_daily: bool = False

    @property
    def interval(self) -> float:
        """Seconds in which one unit becomes free."""
        return self.period / self.limit


class Grant(NamedTuple):
    """What `take` gives: so many units, of which the first may be used `wait` seconds from now and each further one an interval later.
    Below 0, the first ones have been free for so long. Without any (`units` 0), `wait` is when to ask again."""

    units: float
    wait: float


@dataclass(frozen=True, slots=True)
class Counted:
    """One budget's count. spent: USD by all processes; reserved: by those that are spending now. limit: the next amount that acts."""

    name: str
    spent: float
    reserved: float
    limit: float


Listener = Callable[[Fact | StoreError | None], object]
"""Called with each fact that another process has written; None: from now on facts come, and some may have been missed; an error: for its
reason none come, until None comes again."""


class Store(Protocol):
    """What processes share: facts with an end, counted members, leases, buckets, counters."""

    def sync(self, member: str, since: str = "") -> Picture:
        """This process is alive; what holds, if anything has changed since the picture of that version."""
        ...

    def write(self, facts: Sequence[Fact]) -> None:
        """Write these facts, where they supersede what is there (`facts.supersedes`), and let the listeners know."""
        ...

    def lease(self, subject: str, holder: str, seconds: float, name: str = "") -> Lease:
        """Take the lease of a probe, or prolong it: it is the holder's for `seconds`, unless it is another one's."""
        ...

    def release(self, subject: str, holder: str) -> None:
        """Give a lease back, if it is the holder's."""
        ...

    def take(self, bucket: Bucket, want: float, least: float, used: float, horizon: float) -> Grant:
        """Take up to `want` units that become free within `horizon` seconds, if there are `least` of them. `used`: so many were
        used without being taken before; below 0, as many are given back."""
        ...

    def spend(self, member: str, claim: Claim) -> Portion:
        """Report what this process has spent, give its block back, and reserve another one. Raises ClockDiffers too (`money`)."""
        ...

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` from now on, in a thread of the store. Returns what ends that."""
        ...

    def leave(self, member: str) -> None:
        """This process goes: it is counted no more."""
        ...

    def close(self) -> None:
        """Close the connections; they are opened again if the store is used."""
        ...

    def after_fork(self) -> None:
        """In a child process: connections and locks are the parent's."""
        ...
