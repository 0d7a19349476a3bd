"""Concurrent identical calls: one of them makes the request, and the others wait for its answer."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from hotspare._engine.waiters import Waiter
from hotspare.messages import ChatReply


@dataclass(slots=True, eq=False)
class Flight:
    """The request of the leading call. `waiting`: the identical calls that wait for it. `reply`: its answer, once it has arrived.
    `private`: its answer must not be shared."""

    waiting: list[Waiter] = field(default_factory=list[Waiter])
    reply: ChatReply | None = None
    private: bool = False


class Flights:
    """The requests in flight, by key."""

    def __init__(self) -> None:
        self._flights: dict[str, Flight] = {}
        self.after_fork()

    def after_fork(self) -> None:
        """In a child process: replace the lock, which a thread of the parent may have held, and drop the parent's requests."""
        self._lock = threading.Lock()
        self._flights.clear()

    def join(self, key: str, waiter: Waiter) -> tuple[Flight, bool]:
        """Start a request for this key, or join the one in flight. Returns the request, and whether this call leads it.
        If not, `waiter` is woken when the request ends."""
        with self._lock:
            flight = self._flights.get(key)
            if flight is None:
                self._flights[key] = flight = Flight()
                return flight, True
            flight.waiting.append(waiter)
            return flight, False

    def end(self, key: str, flight: Flight, reply: ChatReply | None, *, cacheable: bool) -> None:
        """End the request of the leading call, and wake the waiting calls. Without an answer they join again, and the first of them leads.
        An answer that must not be cached is not shared either: each waiting call makes its own request."""
        with self._lock:
            self._flights.pop(key, None)
            flight.reply, flight.private = (reply if cacheable else None), reply is not None and not cacheable
            waiting, flight.waiting = flight.waiting, []
        for waiter in waiting:
            waiter.wake_up()
