"""The lease that decides which process of a fleet may probe a target whose break is over. Pure; the scheduler holds the lock.

A separate thread requests the lease, only after a call wanted to probe. Without an answer within `LEASE_WAIT` a process probes
without a lease: an unavailable store delays a recovery by at most a second.
"""

from __future__ import annotations

from math import inf

LEASE_WAIT = 1.0
"""Seconds for which a process waits for the lease after the end of a break or of another process's lease."""
UNUSED_LEASE = 2.0
"""Seconds for which a process holds the lease without starting a probe: it requested the lease for a call, so the next call is near."""


class ProbeLease:
    """The lease of one target or account, as known to this process. Times are on the pool's clock.

    `own_until`, `other_until`: until when this process, or another one, holds it. `wanted`: a call could not probe because this process
    did not hold it. `in_use`: a probe of this process is in flight.
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
        """A call wants to probe. Returns whether the lease has to be requested and was not requested yet."""
        if self.wanted or self.own_until > now or self.other_until > now:
            return False
        self.wanted = True
        return True

    def settle(self, until: float, now: float, *, own: bool) -> None:
        """The store's answer: who holds the lease, and until when. A lease that has expired is free."""
        self.wanted = False
        if own:
            self.own_until = until
        else:
            self.own_until, self.other_until = -inf, max(until, now)
