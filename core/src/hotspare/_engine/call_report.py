"""What is reported of a call at its beginning and its end. The scheduler holds the lock."""

from __future__ import annotations

from hotspare import events
from hotspare._engine import spending
from hotspare._engine.call import Call
from hotspare._engine.continuation import estimate_usage
from hotspare.errors import CallError, StreamInterrupted
from hotspare.events import CallResult
from hotspare.outcome import AttemptRecord, Kind


def call_started(call: Call) -> events.CallStarted:
    """The event of a call's beginning."""
    return events.CallStarted(call.id, call.request.model or "", call.route, call.streaming, call.labels, call.context)


def call_ended(call: Call, error: BaseException | None, now: float) -> events.CallEnded:
    """The event of a call's end. `error`: what it raises for its caller."""
    records, result = call.records, result_of(call, error)
    paid = spending.bill(call)
    wasted = [one.cost for one in paid if one.wasted]
    is_answered = result is CallResult.ANSWERED
    target = next((record.target for record in reversed(records) if record.kind is Kind.OK), None)
    return events.CallEnded(
        call.id,
        target if is_answered or result is CallResult.ABANDONED else None,
        records,
        now - call.started,
        result,
        model=call.request.model or "",
        route=call.route,
        streaming=call.streaming,
        labels=call.labels,
        ttft=_first_content(call) if call.streaming else None,
        usage=call.usage if call.usage is not None and call.usage.known else None,
        cost=call.cost,
        wasted_tokens=_wasted_tokens(call),
        waited=call.idle_seconds,
        rescued=is_answered and _was_rescued(call, records),
        error="" if error is None or is_answered else _line(error),
        paid=paid,
        saved_tokens=call.saved_tokens,
        wasted=None if None in wasted else sum(cost or 0.0 for cost in wasted),
        saved=spending.saved(call),
    )


def checked(call: Call) -> events.TargetChecked | None:
    """The event of a background check's end; None if no attempt was made: another call was first."""
    if not call.records:
        return None
    record = call.records[-1]
    return events.TargetChecked(record.target, record.kind, record.seconds, call.cost, record.message)


def result_of(call: Call, error: BaseException | None) -> CallResult:
    """How a call ended. `error`: what it raises for its caller."""
    if call.usage is not None or error is None:  # a caller may leave with the last chunk in hand
        return CallResult.ANSWERED
    if isinstance(error, StreamInterrupted):
        return CallResult.INTERRUPTED
    return CallResult.FAILED if isinstance(error, Exception) else CallResult.ABANDONED


def _line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0] if isinstance(error, CallError) else type(error).__name__


def _first_content(call: Call) -> float | None:
    times = (
        attempt.permit.started + attempt.record.seconds - call.started
        for attempt in call.attempts
        if attempt.record is not None and attempt.record.kind is Kind.OK
    )
    return next(times, None)


def _was_rescued(call: Call, records: tuple[AttemptRecord, ...]) -> bool:
    first = records[0].kind if records else Kind.OK
    return call.emitted is not None or first not in (Kind.OK, Kind.CANCELLED)


def _wasted_tokens(call: Call) -> int:
    lost = sum(attempt.lost for attempt in call.attempts)
    return call.duplicate_tokens + (lost * estimate_usage(call, 0).input_tokens if lost else 0)
