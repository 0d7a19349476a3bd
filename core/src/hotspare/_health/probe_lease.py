"""Which process of a fleet may probe a target whose break is over: the one that has the lease. Pure; the scheduler holds the lock.

The lease is asked for by a separate thread, and only where a call wanted to probe. Without an answer within `LEASE_WAIT` a process probes
without it: a store that is away delays a recovery by a second.
"""

from __future__ import annotations

from math import inf

LEASE_WAIT = 1.0
"""Seconds after the end of a break, or of another process's lease, in which a process waits to have the lease."""
UNUSED_LEASE = 2.0
"""Seconds for which a process has the lease before its probe begins: it has asked since it has calls, and the next one comes soon."""


class ProbeLease:
    """What one process knows of the lease of one target or account. Times are on the pool's clock.

    `own_until`, `other_until`: for how long it is this process's, or another one's. `wanted`: a call would have probed, had it been this
    process's. `in_use`: a probe of this process is in flight.
    """

    __slots__ = ("in_use", "other_until", "own_until", "wanted")

    def __init__(self, now: float) -> None:
        self.own_until = -inf
        self.other_until = now
        self.wanted = self.in_use = False

    def ready_at(self, over: float, now: float) -> float:
        """When this process may probe, after a break that is over at `over`."""
        return over if self.own_until > now else max(over, self.other_until) + LEASE_WAIT

    def want(self, now: float) -> bool:
        """A call would probe. Returns whether the lease is to be asked for, and was not yet."""
        if self.wanted or self.own_until > now or self.other_until > now:
            return False
        self.wanted = True
        return True

    def settle(self, until: float, now: float, *, own: bool) -> None:
        """The store has said whose it is, and until when. One that is over now is free."""
        self.wanted = False
        if own:
            self.own_until = until
        else:
            self.own_until, self.other_until = -inf, max(until, now)
