"""The thread that exchanges state between a pool and the store, so that no call waits for the store.

A round writes changes of this process, requests leases and units of limits, and every `refresh` seconds reads the complete state. Changes
by other processes arrive in between, through the store's listener. A failing store is reported once and tried again; until it is
available, the pool uses only its own observations.
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable
from math import inf

from hotspare import events
from hotspare._drivers.daemon import start_daemon
from hotspare._drivers.notifier import Notifier
from hotspare._engine.fleet import Fleet, Outbox
from hotspare._engine.scheduler import Scheduler
from hotspare._health.facts import Fact
from hotspare._routing.shared_rate import GRANT_HORIZON, interval_factor
from hotspare._shared.spending import Spending
from hotspare._shared.store import Bucket, Store, StoreError

_TICK = 0.25
"""Seconds between two rounds while limits are shared, to return unused units. Longer in a very large fleet."""
_AGAIN = 1.0
"""Seconds between two tries while the store is unavailable, jittered by a quarter."""


class Agent:
    """Exchanges state with the store. `now`: the pool's clock. `refresh`: seconds between two complete reads. `step` makes one round; `start`
    starts a thread that repeats it."""

    def __init__(
        self, store: Store, scheduler: Scheduler, notify: Notifier, now: Callable[[], float], refresh: float
    ) -> None:
        self._store, self._scheduler, self._notify, self._now = store, scheduler, notify, now
        self._refresh = refresh
        self._jitter = random.Random()
        self._new_process()
        self._is_closed = False
        self.spending: Spending | None = None
        """Set if the pool's budgets are shared."""

    def _new_process(self) -> None:
        self.member = os.urandom(6).hex()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._stop_listening: Callable[[], None] | None = None
        self._version, self._next_sync = "", -inf
        self._lost_at: float | None = None
        self._notification_error: StoreError | None = None
        self._is_connected = False
        self._slower = 1.0

    def after_fork(self) -> None:
        """In a child process: become a new member of the fleet; its first call starts a new thread."""
        self._store.after_fork()
        self._new_process()

    # --- the thread ----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the threads; in a child process, start them again."""
        if self._thread is None and not self._is_closed:
            self._thread = start_daemon("hotspare-shared", self._run, self._wake)

    def poke(self) -> None:
        """Make a round now, because something has changed. Called during calls; does not wait."""
        if self._thread is None:
            self.start()
        self._wake.set()

    def _run(self, wake: threading.Event) -> None:
        while not self._is_closed:
            wake.clear()
            wake.wait(max(0.0, self.step() - self._now()))

    def abandon(self) -> None:
        """End the threads without waiting, after the pool was garbage-collected without being closed."""
        self._is_closed = True
        self._wake.set()
        if self._stop_listening is not None:
            self._stop_listening()

    def close(self) -> None:
        """Leave the fleet: this process is no longer counted, and its leases expire."""
        self.abandon()
        if self.spending is not None:
            self.spending.leave()
        try:
            if self._is_connected:
                self._store.leave(self.member)
        except StoreError:
            pass  # without a `leave`, the store stops counting this process after `MEMBER_SECONDS`
        self._store.close()

    # --- a round -------------------------------------------------------------------------------------------------

    def step(self) -> float:
        """Make a round. Returns when the next one is due, on the pool's clock."""
        try:
            if self._stop_listening is None:
                self._stop_listening = self._store.listen(self._on_notification)
            if self._now() >= self._next_sync:
                self._sync()
            self._send()
        except StoreError as error:
            self._lost(str(error))
        except Exception as error:  # any error of the server or its data: the thread must continue
            self._lost(f"{type(error).__name__}: {error}")
        self._notify()
        if self.spending is not None:
            self.spending.step()
        tick = _TICK * self._slower if self._scheduler.shares_limits else inf
        return min(self._next_sync, self._now() + tick)

    def _sync(self) -> None:
        version, members, facts = self._store.sync(self.member, self._version)
        now = self._now()

        def take(fleet: Fleet) -> bool:
            fleet.connected(members, now)
            if facts is not None:
                fleet.merge_all(facts, now)
            return True

        self._scheduler.fleet_change(take)
        self._version, self._is_connected, self._slower = version, True, interval_factor(members)
        self._next_sync = now + self._refresh * self._jitter.uniform(0.75, 1.25)
        if self._notification_error is not None:
            self._report(f"no change notifications: {self._notification_error}")
        elif self._lost_at is not None:
            self._send()  # reading works, but writing may still fail
            lost_at, self._lost_at = self._lost_at, None
            self._notify.publish(events.StoreBack(now - lost_at))

    def _lost(self, reason: str) -> None:
        self._next_sync = self._now() + _AGAIN * self._jitter.uniform(0.75, 1.25)
        self._version, self._is_connected = "", False
        self._scheduler.fleet_change(Fleet.lost)
        self._report(reason)

    def _report(self, reason: str) -> None:
        if self._lost_at is None:
            self._lost_at = self._now()
            self._notify.publish(events.StoreLost(reason))

    def _on_notification(self, fact: Fact | StoreError | None) -> None:
        """Handle a notification of the store: a fact that another process wrote; None: some may have been missed; an error: none arrive."""
        if not isinstance(fact, Fact):
            is_new, self._notification_error = fact is None or self._notification_error is None, fact
            if is_new:
                self._next_sync = -inf
                self._wake.set()
            return
        now = self._now()
        if fact.slot == "probe" and fact.cause == self.member:
            return

        def take(fleet: Fleet) -> bool:
            if fleet.is_connected:
                fleet.merge(fact, now)
            return fact.kind in ("recovering", "enabled")

        self._scheduler.fleet_change(take)
        self._notify()

    def _send(self) -> None:
        """Send the pool's outbox: limits, then facts, then leases, so that a probe's result is written before its lease is released."""
        outbox = self._scheduler.fleet_outbox(self._now())
        try:
            self._request_limits(outbox)
            if outbox.facts:
                self._store.write(outbox.facts)
            for ask in outbox.leases:
                self._request_lease(ask.subject, ask.seconds, ask.name)
        finally:
            now = self._now()
            for rate, request in outbox.requests:  # the unanswered ones
                self._scheduler.fleet_granted(rate, request, None, now)

    def _request_lease(self, subject: str, seconds: float, name: str) -> None:
        if not seconds:
            self._store.release(subject, self.member)
            return
        holder, remaining = self._store.lease(subject, self.member, seconds, name)
        now = self._now()
        self._scheduler.fleet_change(lambda fleet: fleet.leased(subject, remaining, now, own=holder == self.member))

    def _request_limits(self, outbox: Outbox) -> None:
        while outbox.requests:
            rate, request = outbox.requests[0]
            bucket = Bucket(rate.key, rate.limit, rate.period, rate.burst, rate.is_daily)
            grant = self._store.take(bucket, request.want, request.least, request.used, GRANT_HORIZON)
            del outbox.requests[0]
            self._scheduler.fleet_granted(rate, request, grant, self._now())
