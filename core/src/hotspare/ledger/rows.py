"""Events as rows of the ledger."""

from __future__ import annotations

import json
from typing import Any

from hotspare import events
from hotspare.events import AttemptEnded, CallEnded, Event

INSERTS = {
    "calls": "INSERT OR IGNORE INTO calls VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    "attempts": "INSERT OR IGNORE INTO attempts VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    "events": "INSERT OR IGNORE INTO events VALUES (NULL, ?, ?, ?, ?, ?, ?)",
}
"""The statement for each table. Rows are unique, so that a batch can be written again if it is unknown whether its commit succeeded."""

_SKIPPED = frozenset(
    {events.CallStarted, events.AttemptStarted, events.CallQueued, events.LedgerFailed, events.LedgerRecovered}
)


def is_kept(event: Event) -> bool:
    """Whether the ledger has a row for this event."""
    return type(event) not in _SKIPPED


def row_of(run: str, number: int, at: float, event: Event) -> tuple[str, tuple[Any, ...]]:
    """The table and the row of an event. `run`: the pool and process it comes from. `at`: seconds since 1970."""
    if isinstance(event, CallEnded):
        return "calls", _call(run, at, event)
    if isinstance(event, AttemptEnded):
        one = event.attempt
        return "attempts", (
            run, event.call, one.number, at - one.seconds, one.seconds, one.target, str(one.kind), str(one.reason),
            one.status, one.code, one.message, one.ttft,
        )  # fmt: skip
    values = events.as_dict(event)
    name = values.pop("event")
    subject = values.get("subject") or values.get("target") or ""
    return "events", (run, number, at, name, subject, json.dumps(values, ensure_ascii=False))


def _call(run: str, at: float, event: CallEnded) -> tuple[Any, ...]:
    usage = event.usage
    return (
        run, event.call, at - event.seconds, event.seconds, str(event.result), event.target, event.model, event.route,
        event.streaming, _labels(event), event.ttft,
        usage and usage.input_tokens, usage and usage.output_tokens, usage and usage.cached_tokens, event.cost,
        event.wasted_tokens, event.waited, event.rescued, len(event.attempts), event.error,
        event.wasted, event.saved, event.saved_tokens,
    )  # fmt: skip


def _labels(event: CallEnded) -> str:
    return json.dumps(dict(event.labels), ensure_ascii=False, sort_keys=True) if event.labels else "{}"
