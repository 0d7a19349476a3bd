"""The waiting room: calls that found nobody to ask, and how they come back when somebody answers. `gate` holds the lock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from hotspare._engine.call import Call

WAKE_INTERVAL = 0.01
"""Seconds between two calls that come back: what has just recovered is not met by a herd."""
WAKE_SPREAD = 3.0
"""Seconds within which all of them come back, however many they are: their deadlines run."""


@dataclass(slots=True, eq=False)
class Waiter:
    """A place in the waiting room. The driver puts in `wake` how it is woken.

    `latest`: when the call has to begin its last attempt, to be answered before its deadline.
    """

    call: Call
    latest: float
    woken: bool = False
    wake: Callable[[], object] | None = None

    def wake_up(self) -> None:
        """Wake whoever waits."""
        self.woken = True
        if self.wake is not None:
            self.wake()


class WaitQueue:
    """Those who wait. `rings` collects whom to wake, which is done outside the lock.

    One of them keeps the time of the next reopening; the others are called back by an answer, so that a recovery is met by
    one probe and then by one call after the other. Whenever the timekeeper leaves, another one is woken to take over.
    """

    def __init__(self) -> None:
        self.to_wake: list[Waiter] = []
        self.leader: Waiter | None = None
        self._waiting: dict[Waiter, None] = {}
        self._turn = -inf

    def __len__(self) -> int:
        return len(self._waiting)

    def enter(self, call: Call, latest: float) -> Waiter:
        """Take a place; whoever finds no timekeeper is it."""
        ticket = Waiter(call, latest)
        self._waiting[ticket] = None
        self.leader = self.leader or ticket
        return ticket

    def leave(self, ticket: Waiter) -> None:
        """Give the place back. If nobody keeps the time then, the first one is rung to do so."""
        self._waiting.pop(ticket, None)
        if self.leader is ticket:
            self.leader = None
        if self.leader is None and self._waiting:
            self.to_wake.append(next(iter(self._waiting)))

    def answered(self, now: float) -> None:
        """Somebody was answered: all come back, one after the other, those who came first at first."""
        for ticket in sorted(self._waiting, key=lambda one: one.call.started):
            self._turn = max(now, self._turn + min(WAKE_INTERVAL, WAKE_SPREAD / len(self._waiting)))
            ticket.call.turn = min(self._turn, ticket.latest)
        self.to_wake += self._waiting
        self.clear()

    def failed(self) -> None:
        """Somebody was asked in vain: the timekeeper looks again when the next reopening is."""
        if self.leader is not None:
            self.to_wake.append(self.leader)

    def clear(self) -> None:
        """Forget everybody."""
        self._waiting.clear()
        self.leader = None
