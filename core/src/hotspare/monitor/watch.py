"""The monitor of a pool: evaluates the rules once a second, and sends alerts that fired or resolved."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from hotspare._drivers.collector import Background
from hotspare.errors import ConfigError, Problem
from hotspare.events import AlertFired, AlertResolved, Event
from hotspare.ledger import Ledger
from hotspare.ledger.silences import silenced_rules
from hotspare.monitor.alerts import Alerts
from hotspare.monitor.channels import Channel, Notice
from hotspare.monitor.delivery import Delivery
from hotspare.monitor.rules import DEFAULT_RULES, Rule
from hotspare.monitor.samples import Samples
from hotspare.monitor.usage import Usage
from hotspare.telemetry.logging import log

if TYPE_CHECKING:
    from hotspare.pool import Pool

FLUSH_SECONDS = 0.5
"""Longest time in seconds for which an evaluation waits for the events of ended calls."""
SILENCE_INTERVAL = 5.0
"""Seconds between two reads of the ledger's silences."""


class Monitor:
    """Evaluates alert rules on a pool's events and health, and delivers notices. Never delays a call.

    Args:
        pool: the pool to watch.
        rules: the alert rules. Default: `DEFAULT_RULES`.
        channels: deliver the notices. Default: none; alerts are then only events and log lines.
        ledger: contains silences (`hotspare alerts silence`); attach it to the pool too for a history of alerts. Default: none.
        interval: seconds between two evaluations. Default 1: an outage is reported within seconds.
        prefix: put before the title of every notice, e.g. `DRILL`. Default: none.
        clock: seconds since 1970; for tests.

    Raises:
        ConfigError: two rules have the same name, or the interval is not above 0.
    """

    def __init__(
        self,
        pool: Pool,
        *,
        rules: Iterable[Rule] = DEFAULT_RULES,
        channels: Sequence[Channel] = (),
        ledger: Ledger | None = None,
        interval: float = 1.0,
        prefix: str = "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.rules = tuple(rules)
        names = [rule.name for rule in self.rules]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ConfigError([Problem.at("rules.name", name, "is used by two rules") for name in twice])
        if not interval > 0:
            raise ConfigError(Problem.at("monitor.interval", interval, "must be above 0 seconds"))
        self._pool, self._ledger, self._interval, self._clock = pool, ledger, interval, clock
        self._prefix = f"{prefix}: " if prefix else ""
        self._samples, self._usage, self._alerts = Samples(), Usage(), Alerts()
        self._deliveries = [Delivery(channel, pool.publish) for channel in channels]
        self._source = f"{socket.gethostname()} (process {os.getpid()})"
        self._silenced: frozenset[str] = frozenset()
        self._next_silence_check = 0.0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._background = Background(self._add)
        self._unsubscribe = pool.subscribe(self._background)

    @property
    def firing(self) -> frozenset[str]:
        """The rules that fire now."""
        return self._alerts.firing

    def start(self) -> Self:
        """Evaluate the rules in a separate thread, until `close`."""
        self._thread = threading.Thread(target=self._run, name="hotspare-monitor", daemon=True)
        self._thread.start()
        return self

    def evaluate(self) -> list[AlertFired | AlertResolved]:
        """Evaluate the rules now; alerts that fired or resolved are sent, published as events, and returned."""
        self._background.flush(FLUSH_SECONDS)
        now = self._clock()
        if self._ledger is not None and now >= self._next_silence_check:
            self._next_silence_check = now + SILENCE_INTERVAL
            self._silenced = silenced_rules(self._ledger.path, [rule.name for rule in self.rules], now)
        health, budgets = self._pool.health(), self._pool.budgets()
        for sampled in self._usage.add(health, budgets, now):
            self._pool.publish(sampled)
        values = self._samples.values(self.rules, health, budgets, now)
        changed = self._alerts.evaluate(values, self._silenced, now)
        for event in changed:
            self._pool.publish(event)
            if event.delivery == "sent":
                self.send(self._notice(event, now))
        return changed

    def send(self, notice: Notice) -> None:
        """Deliver a notice to every channel, in the background."""
        for delivery in self._deliveries:
            delivery.put(notice)

    def close(self, timeout: float = 5.0) -> None:
        """Stop the evaluation, and try to deliver queued notices within `timeout` seconds per channel."""
        self._unsubscribe()
        self._stop.set()
        for sampled in self._usage.take():
            self._pool.publish(sampled)
        for delivery in self._deliveries:
            delivery.close(timeout)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _add(self, at: int, event: Event) -> None:
        self._samples.add(event, self._clock())

    def _run(self) -> None:
        while not self._stop.wait(self._interval):
            try:
                self.evaluate()
            except Exception:
                log.exception("the monitor could not evaluate its rules")

    def _notice(self, event: AlertFired | AlertResolved, now: float) -> Notice:
        firing = ", ".join(sorted(self._alerts.firing - {event.rule}))
        if isinstance(event, AlertFired):
            also = f"\nAlso firing: {firing}" if firing else ""
            return Notice(
                "firing", event.severity, f"{self._prefix}{event.severity.upper()}: {event.rule}", event.message + also + self._states(),
                now, event.rule, event.value, self._source,
            )  # fmt: skip
        return Notice(
            "resolved", event.severity, f"{self._prefix}RESOLVED: {event.rule}", f"It fired for {event.seconds:.0f} s." + self._states(),
            now, event.rule, None, self._source,
        )  # fmt: skip

    def _states(self) -> str:
        lines = [
            f"{one.target}: {one.state}" + (f" ({one.reason})" if one.reason and one.state != "closed" else "")
            for one in self._pool.health().targets
        ]
        return "\n\nTargets:\n" + "\n".join(lines)
