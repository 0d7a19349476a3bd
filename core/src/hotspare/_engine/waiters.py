"""The queue of calls that wait for a target to become available. The scheduler holds the lock for every method."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from hotspare._engine.call import Call


@dataclass(slots=True, eq=False)
class Waiter:
    """A call in the queue. `latest`: when it has to start its last attempt, to be answered before its deadline.

    The driver sets `wake`, and calls `wake_up` outside the lock.
    """

    call: Call
    latest: float
    woken: bool = False
    wake: Callable[[], object] | None = None

    def wake_up(self) -> None:
        """Wake the call. `woken` is set first: a driver that sets `wake` afterwards looks at it."""
        self.woken = True
        if self.wake is not None:
            self.wake()


class WaitQueue:
    """Calls that wait, and in `to_wake` those that are to be woken once the lock is released.

    One of them, the leader, wakes at the next time when a target becomes available. The others are woken by a success, so
    that a recovery is met by one probe and then by one call after the other. When the leader leaves, another call is woken
    to take its place.

    `interval`, `spread`: `Policy.wake_interval` and `Policy.wake_spread`, in seconds.
    """

    def __init__(self, interval: float, spread: float) -> None:
        self.to_wake: list[Waiter] = []
        self.leader: Waiter | None = None
        self._interval = interval
        self._spread = spread
        self._waiting: dict[Waiter, None] = {}
        self._last_resume = -inf

    def __len__(self) -> int:
        return len(self._waiting)

    def enter(self, call: Call, latest: float) -> Waiter:
        """Join the queue; without a leader, as its leader."""
        waiter = Waiter(call, latest)
        self._waiting[waiter] = None
        self.leader = self.leader or waiter
        return waiter

    def leave(self, waiter: Waiter) -> None:
        """Leave the queue. Without a leader, the first of the others is woken to become it."""
        self._waiting.pop(waiter, None)
        if self.leader is waiter:
            self.leader = None
        if self.leader is None and self._waiting:
            self.to_wake.append(next(iter(self._waiting)))

    def record_success(self, now: float) -> None:
        """A call was answered: all go on, one after the other, in the order in which they were started."""
        for waiter in sorted(self._waiting, key=lambda one: one.call.started):
            self._last_resume = max(now, self._last_resume + min(self._interval, self._spread / len(self._waiting)))
            waiter.call.resume_at = min(self._last_resume, waiter.latest)
        self.to_wake += self._waiting
        self.clear()

    def record_failure(self) -> None:
        """An attempt failed: the leader looks again when the next target becomes available."""
        if self.leader is not None:
            self.to_wake.append(self.leader)

    def clear(self) -> None:
        """Forget all of them."""
        self._waiting.clear()
        self.leader = None
