"""The queue of calls that wait for a target to become available. The scheduler holds the lock for every method."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
    attempts end: after a success as many as the target admits, oldest first. Without a leader, another call is woken to take its
    place. A woken call that finds no free place enters again, which costs a decision. Therefore calls that were woken and have not left
    yet (`_woken`: each with the target that had free places) are subtracted from those to wake. Any of them may become the leader.
    """

    def __init__(self) -> None:
        self.to_wake: list[Waiter] = []
        self.leader: Waiter | None = None
        self.waiting: dict[Waiter, None] = {}
        self._woken: dict[Waiter, object] = {}

    def __len__(self) -> int:
        return len(self.waiting)

    def enter(self, call: Call, latest: float) -> Waiter:
        """Join the queue; without a leader, as its leader."""
        waiter = Waiter(call, latest)
        self.waiting[waiter] = None
        self.leader = self.leader or waiter
        return waiter

    def leave(self, waiter: Waiter) -> None:
        """Leave the queue, woken or not. Without a leader, and if no other woken call may become it, the oldest of the others is woken."""
        self.waiting.pop(waiter, None)
        self._woken.pop(waiter, None)
        if self.leader is waiter:
            self.leader = None
        if self.leader is None and self.waiting and not self._woken:
            self.wake(1)

    def wake(self, count: float, *, at: object = None) -> None:
        """Wake up to `count` calls, oldest first: they check again. `at`: the target that has so many free places; calls woken for it
        before that have not left yet take some of them."""
        if at is not None:
            count = max(0, count - sum(1 for one in self._woken.values() if one is at))
        if count >= len(self.waiting):
            self._wake(list(self.waiting), at)
        else:
            self._wake(nsmallest(int(count), self.waiting, key=lambda one: one.call.started), at)

    def wake_one(self, waiter: Waiter) -> None:
        """Wake this call, if it still waits."""
        if waiter in self.waiting:
            self._wake([waiter], None)

    def _wake(self, chosen: Sequence[Waiter], at: object) -> None:
        for waiter in chosen:
            del self.waiting[waiter]
            self._woken[waiter] = at
            if self.leader is waiter:
                self.leader = None
        self.to_wake += chosen  # each of them calls `leave`

    def clear(self) -> None:
        """Remove all calls."""
        self.waiting.clear()
        self._woken.clear()
        self.leader = None
