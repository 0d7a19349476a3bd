"""The queue of calls that wait for a target to become available. The scheduler holds the lock for every method."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from heapq import nsmallest

from hotspare._engine.call import Call


@dataclass(slots=True, eq=False)
class Waiter:
    """A call in the queue. `latest`: the latest start of an attempt that can be answered before the deadline.

    The driver sets `wake`, and calls `wake_up` outside the lock.
    """

    call: Call
    latest: float
    woken: bool = False
    wake: Callable[[], object] | None = None

    def wake_up(self) -> None:
        """Wake the call. `woken` is set first: a driver that sets `wake` afterwards checks it."""
        self.woken = True
        if self.wake is not None:
            self.wake()


class WaitQueue:
    """Calls that wait (`waiting`), and in `to_wake` those to wake once the lock is released.

    One of them, the leader, has a timer for the next time when a target may become available. The others are woken as
    attempts end: after a success as many as the target admits, oldest first. When the leader leaves, another call is woken
    to take its place.
    """

    def __init__(self) -> None:
        self.to_wake: list[Waiter] = []
        self.leader: Waiter | None = None
        self.waiting: dict[Waiter, None] = {}

    def __len__(self) -> int:
        return len(self.waiting)

    def enter(self, call: Call, latest: float) -> Waiter:
        """Join the queue; without a leader, as its leader."""
        waiter = Waiter(call, latest)
        self.waiting[waiter] = None
        self.leader = self.leader or waiter
        return waiter

    def leave(self, waiter: Waiter) -> None:
        """Leave the queue. Without a leader, the oldest of the others is woken to become it."""
        self.waiting.pop(waiter, None)
        if self.leader is waiter:
            self.leader = None
        if self.leader is None and self.waiting:
            self.wake(1)

    def wake(self, count: float) -> None:
        """Wake up to `count` calls, oldest first: they check again."""
        if count >= len(self.waiting):
            chosen = list(self.waiting)
        else:
            chosen = nsmallest(int(count), self.waiting, key=lambda one: one.call.started)
        for waiter in chosen:
            del self.waiting[waiter]
            if self.leader is waiter:
                self.leader = None
        self.to_wake += chosen  # each of them calls `leave`, which chooses a new leader

    def wake_one(self, waiter: Waiter) -> None:
        """Wake this call, if it still waits."""
        if waiter in self.waiting:
            self.to_wake.append(waiter)
            self.leave(waiter)

    def clear(self) -> None:
        """Remove all calls."""
        self.waiting.clear()
        self.leader = None
