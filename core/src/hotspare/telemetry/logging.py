"""Events in the log, on the logger `hotspare`, and its lines as JSON.

===========  =========================================================================================================
ERROR        a call that was not answered, or whose stream was interrupted; a key, a quota or a model that needs an operator;
             a ledger that cannot be written; a critical alert; a notification that was not delivered
WARNING      a failover; a breaker that opened; a slow target; a broken stream; a rate limit, or another limit that delays calls;
             a request at fault; an exhausted retry budget; a spending budget that is used up or at its warning level; lost events;
             any other alert
INFO         every other state change of a breaker; a target that is no longer slow or limited; a limit that was learnt;
             a background check; a target that an operator disabled, enabled or reset; a reloaded configuration;
             a ledger that is written again; a resolved alert
===========  =========================================================================================================

A record's attribute `hotspare` has the event as plain values, for your own formatters.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from hotspare import events
from hotspare._health.breaker import State
from hotspare.errors import ConfigError, Problem
from hotspare.outcome import attempt_lines

log = logging.getLogger("hotspare")


def log_event(event: events.Event) -> None:
    """Write the event to the log, if it is in the table above."""
    entry = _LINES.get(type(event))
    line = entry(event) if entry is not None else None
    if line is not None and log.isEnabledFor(line[0]):
        log.log(line[0], _printable(line[1]), extra={"hotspare": events.as_dict(event)})


def _printable(text: str) -> str:
    """One line, with control characters of a provider's message escaped."""
    return text if text.isprintable() else "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def _failed_over(event: events.FailedOver) -> tuple[int, str]:
    return logging.WARNING, f"{event.call}: failover from {event.source} to {event.target}: {event.kind}"


def _call_ended(event: events.CallEnded) -> tuple[int, str] | None:
    if event.result in (events.CallResult.ANSWERED, events.CallResult.ABANDONED):
        return None
    tried = "; ".join(attempt_lines(event.attempts)) or "no attempt was possible"
    return logging.ERROR, f"{event.call}: not answered after {event.seconds:.1f} s: {event.error}: {tried}"


def _state_changed(event: events.StateChanged) -> tuple[int, str]:
    is_open = event.after is State.OPEN
    why = f": {event.reason}, retry after {event.open_for:.1f} s" if is_open else ""
    subject = event.subject if event.level == "target" else f"{event.level} {event.subject}"
    return (
        logging.WARNING if is_open else logging.INFO,
        f"circuit breaker of {subject}: {event.before} -> {event.after}{why}",
    )


def _speed_changed(event: events.SpeedChanged) -> tuple[int, str]:
    level, what = (logging.WARNING, "is slow") if event.slow else (logging.INFO, "is no longer slow")
    return level, f"target {event.target} {what}: {event.seconds:.2f} s, usually {event.usual:.2f} s"


def _budget_reached(event: events.BudgetReached) -> tuple[int, str]:
    return logging.WARNING, f"budget {event.budget}: {event.spent:.4f} of {event.limit:g} USD spent ({event.action})"


_LINES: dict[type[Any], Callable[[Any], tuple[int, str] | None]] = {
    events.FailedOver: _failed_over,
    events.CallEnded: _call_ended,
    events.StateChanged: _state_changed,
    events.RateLimited: lambda e: (logging.WARNING, f"{e.target} is rate-limited for {e.seconds:.1f} s"),
    events.SpeedChanged: _speed_changed,
    events.BudgetReached: _budget_reached,
    events.NeedsAttention: lambda e: (logging.ERROR, f"target {e.target} needs attention: {e.kind}: {e.message}"),
    events.RequestAtFault: lambda e: (
        logging.WARNING,
        f"{e.call}: the request is at fault: {', '.join(e.targets)} failed in the same way",
    ),
    events.BudgetExhausted: lambda e: (
        logging.WARNING,
        "retry budget exhausted: calls fail over, but are not retried",
    ),
    events.StreamBroke: lambda e: (
        logging.WARNING,
        f"{e.call}: the stream of {e.target} broke: {e.kind}: {e.message}",
    ),
    events.LimitReached: lambda e: (logging.WARNING, f"{e.target}: {e.reason}, next call in {e.seconds:.1f} s"),
    events.LimitReleased: lambda e: (logging.INFO, f"{e.target}: its limits no longer delay calls"),
    events.LimitLearnt: lambda e: (logging.INFO, f"{e.target}: limit learnt: {e.limit}"),
    events.TargetDisabled: lambda e: (logging.INFO, f"{e.target} was disabled: {e.reason}"),
    events.TargetEnabled: lambda e: (logging.INFO, f"{e.target} was enabled"),
    events.ConfigReloaded: lambda e: (logging.INFO, "reloaded: " + ("; ".join(e.changes) or "nothing changed")),
    events.TargetChecked: lambda e: (
        logging.INFO,
        f"background check of {e.target} after {e.seconds:.2f} s: {e.kind}" + (f": {e.message}" if e.message else ""),
    ),
    events.TargetReset: lambda e: (logging.INFO, f"{e.target} was reset"),
    events.EventsDropped: lambda e: (logging.WARNING, f"a listener was too slow: {e.count} events were dropped"),
    events.LedgerFailed: lambda e: (logging.ERROR, f"the ledger {e.path} cannot be written: {e.reason}"),
    events.LedgerRecovered: lambda e: (
        logging.INFO,
        f"the ledger {e.path} can be written again; {e.dropped} records were dropped",
    ),
    events.AlertFired: lambda e: (
        logging.ERROR if e.severity == "critical" else logging.WARNING,
        f"alert {e.rule} ({e.severity}): {e.message}",
    ),
    events.AlertResolved: lambda e: (logging.INFO, f"alert {e.rule} resolved after {e.seconds:.0f} s"),
    events.AlertUndelivered: lambda e: (
        logging.ERROR,
        f"the channel {e.channel} did not accept a notification: {e.reason}",
    ),
}


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time (RFC 3339, UTC), level, logger, message, and the fields of the event."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        values: dict[str, Any] = {
            "time": at,
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "hotspare", {}),
        }
        if record.exc_info:
            values["error"] = self.formatException(record.exc_info)
        return json.dumps(values, ensure_ascii=False, default=str)


def configure_from_env() -> None:
    """Log to stderr in the format of HOTSPARE_LOG: `text` or `json`, from INFO on. Unset: the application's own logging is not changed.

    Raises ConfigError for another value.
    """
    wanted = os.environ.get("HOTSPARE_LOG", "")
    if not wanted or any(isinstance(one, _EnvHandler) for one in log.handlers):
        return
    if wanted not in ("text", "json"):
        raise ConfigError(Problem.at("HOTSPARE_LOG", wanted, "must be text or json"))
    handler = _EnvHandler(sys.stderr)
    handler.setFormatter(
        JsonFormatter() if wanted == "json" else logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    )
    log.addHandler(handler)
    log.propagate = False  # else every line would appear twice in an application with its own handler
    if log.level == logging.NOTSET:
        log.setLevel(logging.INFO)


@contextmanager
def without_log() -> Generator[None]:
    """Log nothing in this process until the block ends, for calls whose failures are intended. Several blocks may overlap, in any order."""

    def nothing(record: logging.LogRecord) -> bool:
        return False

    log.addFilter(nothing)
    try:
        yield
    finally:
        log.removeFilter(nothing)


class _EnvHandler(logging.StreamHandler[Any]):
    """The handler for HOTSPARE_LOG; one per process."""
