"""The events of a call: its beginning, its attempts and its end. The scheduler holds the lock.

If all listeners are hotspare's own metrics, spans, ledger and alerts (`SharedState.reports_late`), a call that its first attempt
answers is put into `SharedState.answered` when it ends, and the listeners' thread creates its events (`events_of`): creating them in
the thread of the call would take a tenth of its time. After a first failure or wait, a call is reported as it happens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hotspare import events
from hotspare._engine import spending
from hotspare._engine.call import Attempt, Call
from hotspare._engine.continuation import estimate_usage
from hotspare.errors import CallError, StreamInterrupted
from hotspare.events import CallResult
from hotspare.messages import ChatReply
from hotspare.outcome import AttemptRecord, Kind

if TYPE_CHECKING:
    from hotspare._engine.attempts import SharedState
    from hotspare._engine.decide import Step


def started(call: Call, shared: SharedState) -> None:
    """Report a call's beginning: immediately, or with its end."""
    if shared.reports_late:
        call.is_reported_late = True
    else:
        shared.tracker.pending_events.append(_call_started(call))


def stepped(call: Call, step: Step, shared: SharedState, now: float, *, was_queued: bool) -> None:
    """Report the beginning of an attempt, or, the first time (`was_queued` false), that the call waits in the queue."""
    if isinstance(step, Attempt):
        if not call.is_reported_late:
            shared.tracker.pending_events.append(_attempt_started(call, step))
    elif call.was_queued and not was_queued:
        catch_up(call, shared)
        shared.tracker.pending_events.append(events.CallQueued(call.id, call.time_left(now)))


def attempt_ended(call: Call, attempt: Attempt, shared: SharedState) -> None:
    """Report the end of an attempt. A failure is reported immediately."""
    if call.is_reported_late:
        if attempt.record is not None and attempt.record.kind is not Kind.OK:
            catch_up(call, shared)
    else:
        shared.tracker.pending_events += _attempt_ended(call, attempt)


def ended(call: Call, error: BaseException | None, shared: SharedState, now: float) -> Sequence[events.Event]:
    """The events to emit at a call's end. `error`: the exception raised to its caller. Called without the lock."""
    if call.is_check:
        return _check_ended(call)
    if call.is_reported_late and error is None and len(call.attempts) == 1:
        shared.answered.append((call, now))
        return ()
    so_far = _events_so_far(call) if call.is_reported_late else ()
    return (*so_far, _call_ended(call, error, now))


def catch_up(call: Call, shared: SharedState) -> None:
    """Report the events that were postponed, and from now on as they happen: the call needs more than one attempt."""
    if call.is_reported_late:
        call.is_reported_late = False
        shared.tracker.pending_events += _events_so_far(call)


def events_of(call: Call, now: float) -> Sequence[events.Event]:
    """All events of a call from `SharedState.answered`. `now`: when it ended."""
    return (*_events_so_far(call), _call_ended(call, None, now))


def _events_so_far(call: Call) -> list[events.Event]:
    found: list[events.Event] = [_call_started(call)]
    for attempt in call.attempts:
        found += (_attempt_started(call, attempt), *_attempt_ended(call, attempt))
    return found


def _attempt_started(call: Call, attempt: Attempt) -> events.AttemptStarted:
    return events.AttemptStarted(call.id, attempt.number, attempt.state.name, attempt.reason, attempt.is_continuation)


def _attempt_ended(call: Call, attempt: Attempt) -> tuple[events.AttemptEnded, ...]:
    """The event of an attempt's end; empty if it has not ended."""
    if attempt.record is None:
        return ()
    usage = attempt.result.usage if isinstance(attempt.result, ChatReply) else None
    return (events.AttemptEnded(call.id, attempt.record, usage),)


def _call_started(call: Call) -> events.CallStarted:
    return events.CallStarted(call.id, call.request.model or "", call.route, call.streaming, call.labels, call.context)


def _call_ended(call: Call, error: BaseException | None, now: float) -> events.CallEnded:
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
        error="" if error is None or is_answered else _first_line(error),
        paid=paid,
        saved_tokens=call.saved_tokens,
        wasted=None if None in wasted else sum(cost or 0.0 for cost in wasted),
        saved=spending.saved(call),
    )


def _check_ended(call: Call) -> tuple[events.TargetChecked, ...]:
    """The event of a background check's end; empty if no attempt was made because another call probed first."""
    if not call.records:
        return ()
    record = call.records[-1]
    return (events.TargetChecked(record.target, record.kind, record.seconds, call.cost, record.message),)


def result_of(call: Call, error: BaseException | None) -> CallResult:
    """How a call ended. `error`: the exception raised to its caller."""
    if call.usage is not None or error is None:  # a caller may leave with the last chunk in hand
        return CallResult.ANSWERED
    if isinstance(error, StreamInterrupted):
        return CallResult.INTERRUPTED
    return CallResult.FAILED if isinstance(error, Exception) else CallResult.ABANDONED


def _first_line(error: BaseException) -> str:
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
