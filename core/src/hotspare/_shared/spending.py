"""Budgets that the processes of a fleet share. A call rarely waits for a block of USD, and at most `worker.SLOW` seconds."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Protocol

from hotspare import events
from hotspare._cost.shares import Claim, Portion, SharedBudgets
from hotspare._engine.call import Call
from hotspare._engine.commands import Flow, Wait
from hotspare._engine.waiters import Waiter
from hotspare._shared.money import ClockDiffers
from hotspare._shared.worker import SLOW, Worker

Locked = Callable[[Callable[[], Any]], Any]
"""Runs a function under the scheduler's lock and returns its result."""
LEAVE = 0.5
"""Seconds for which closing a pool waits until its last report is written."""


class SpendStore(Protocol):
    """The part of a store that counts spending."""

    def spend(self, member: str, claim: Claim) -> Portion:
        """Report spending, release the block, reserve a new one. Raises StoreError, ClockDiffers."""
        ...


class Spending:
    """Exchanges spending between a pool's budgets and the store. `member`: name of this process."""

    def __init__(self, store: SpendStore, member: Callable[[], str], budgets: SharedBudgets, locked: Locked) -> None:
        self._store, self._member, self._budgets, self._locked = store, member, budgets, locked
        self._worker = Worker("the store of shared budgets")
        self.after_fork()

    def after_fork(self) -> None:
        """In a child process: reset, because the thread and the blocks belong to the parent."""
        self._worker.after_fork()
        self._budgets.after_fork()
        self._lock = threading.Lock()
        self._waiting: dict[Waiter, set[str]] = {}

    # --- for the calls -------------------------------------------------------------------------------------------

    def flow(self, call: Call, inner: Flow) -> Flow:
        """The flow of a call that first waits until this process has a block for it, or the store does not answer in time."""
        keys, claims = self._locked(lambda: self._budgets.claims_before(call.route, call.labels))
        if keys:
            waiter = Waiter(call, call.deadline)
            with self._lock:
                self._waiting[waiter] = set(keys)
            if self._send(claims) and not self._worker.is_lost:
                yield Wait(SLOW, waiter)
            with self._lock:
                self._waiting.pop(waiter, None)
        return (yield from inner)

    def after_call(self, event: events.Event) -> None:
        """A listener that reports spending and reserves blocks in the background when calls end."""
        if isinstance(event, events.CallEnded) and event.paid:
            self._send(self._locked(lambda: self._budgets.claims_after(event.route, event.labels)))

    # --- for the agent -------------------------------------------------------------------------------------------

    def step(self) -> None:
        """About once a second: report spending, and release unneeded blocks."""
        self._send(self._locked(self._budgets.claims_now))

    def leave(self) -> None:
        """Report all spending, and release every block."""
        done = threading.Event()
        self._send(self._locked(lambda: self._budgets.claims_now(leaving=True)))
        if self._worker.submit(lambda: None, lambda _: done.set()):
            done.wait(LEAVE)

    # --- the store -----------------------------------------------------------------------------------------------

    def _send(self, claims: Iterable[Claim]) -> bool:
        """Queue claims for the store. Returns whether all were queued; a claim that was not counts as failed."""
        submitted = True
        for claim in claims:
            if not self._worker.submit(partial(self._spend, claim), partial(self._settled, claim)):
                self._settled(claim, False)
                submitted = False
        return submitted

    def _spend(self, claim: Claim) -> None:
        try:
            portion = self._store.spend(self._member(), claim)
        except ClockDiffers as clock:
            claim = self._locked(partial(self._budgets.shifted, claim, clock.seconds))
            portion = self._store.spend(self._member(), claim)
        self._locked(lambda: self._budgets.granted(claim, portion))

    def _settled(self, claim: Claim, done: bool) -> None:
        """Wake the calls that wait for this answer, even if there is none."""
        if not done:
            self._locked(lambda: self._budgets.failed(claim.key))
        with self._lock:
            for keys in self._waiting.values():
                keys.discard(claim.key)
            ready = [waiter for waiter, keys in self._waiting.items() if not keys]
            for waiter in ready:
                del self._waiting[waiter]
        for waiter in ready:
            waiter.wake_up()
