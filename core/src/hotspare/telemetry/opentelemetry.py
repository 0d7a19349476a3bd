"""Spans and metrics for OpenTelemetry (extra `otel`), by the semantic conventions for generative AI.

One span per call, with a child span per attempt: a failed attempt and the successful one are in one trace, below the span in which
the caller made the call. Spans contain no prompt and no answer. They are created in a separate thread, with the original times.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hotspare import events
from hotspare._drivers.collector import Background
from hotspare.errors import MissingExtra
from hotspare.messages import Usage
from hotspare.outcome import Kind
from hotspare.telemetry.otel_metrics import Instruments, Names

try:
    from opentelemetry import context as otel_context
    from opentelemetry import metrics, trace
    from opentelemetry.trace import Span, SpanKind, Status, StatusCode
except ImportError:
    raise MissingExtra("hotspare.telemetry.opentelemetry", "otel") from None

if TYPE_CHECKING:
    from hotspare.pool import Pool

MAX_OPEN = 10_000
"""Maximum number of calls in flight kept for their spans. Beyond it the oldest is dropped, because its end event was lost."""

Attributes = dict[str, Any]


@dataclass(slots=True)
class _Attempt:
    """The data of one attempt's span. `started`, `ended`: nanoseconds since 1970; `ended` None: it ends with the call. `failed`: kind and
    message; None: no error."""

    name: str
    attributes: Attributes
    started: int
    ended: int | None = None
    failed: tuple[str, str] | None = None


@dataclass(slots=True)
class _Call:
    event: events.CallStarted
    attempts: dict[int, _Attempt] = field(default_factory=dict[int, _Attempt])
    failovers: list[tuple[int, Attributes]] = field(default_factory=list[tuple[int, Attributes]])


class Instrumentation:
    """Creates spans and metrics from a pool's events. `close` records the events so far and ends the subscription.

    The spans of a call are created at its end with all attributes: setting them one by one on open spans takes the SDK twice as long.
    """

    def __init__(self, pool: Pool, tracer: trace.Tracer, meter: metrics.Meter) -> None:
        self._tracer = tracer
        self._names = Names(pool)
        self._calls: dict[str, _Call] = {}
        self._instruments = Instruments(meter, pool, self._names)
        self._handlers: dict[type[Any], Callable[[Any, int], None]] = {
            events.CallStarted: self._call_started,
            events.AttemptStarted: self._attempt_started,
            events.AttemptEnded: self._attempt_ended,
            events.FailedOver: self._failed_over,
            events.StreamBroke: self._stream_broke,
            events.CallEnded: self._call_ended,
        }
        self._background = Background(self._handle)
        self._unsubscribe = pool.subscribe(self._background)

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until all events so far are recorded. Returns whether they are."""
        return self._background.flush(timeout)

    def close(self, timeout: float = 5.0) -> None:
        """End the subscription."""
        self.flush(timeout)
        self._unsubscribe()

    def _handle(self, at: int, event: events.Event) -> None:
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event, at)
        self._instruments.record(event)

    def _call_started(self, event: events.CallStarted, at: int) -> None:
        while len(self._calls) >= MAX_OPEN:
            del self._calls[next(iter(self._calls))]
        self._calls[event.call] = _Call(event)

    def _attempt_started(self, event: events.AttemptStarted, at: int) -> None:
        if (call := self._calls.get(event.call)) is not None:
            attributes = {
                **self._names[event.target], "hotspare.target": event.target, "hotspare.attempt.number": event.number,
                "hotspare.attempt.reason": str(event.reason), "hotspare.attempt.continues": event.continues,
            }  # fmt: skip
            call.attempts[event.number] = _Attempt(f"chat {attributes['gen_ai.request.model']}", attributes, at)

    def _attempt_ended(self, event: events.AttemptEnded, at: int) -> None:
        """Complete the data of a span. That of a stream ends with the stream, although its attempt ended with the first content."""
        call, one = self._calls.get(event.call), event.attempt
        span = call.attempts.get(one.number) if call is not None else None
        if span is None:
            return
        if one.ttft is not None:
            span.attributes["gen_ai.response.time_to_first_chunk"] = one.ttft
        if one.status is not None:
            span.attributes["http.response.status_code"] = one.status
        if event.usage is not None and event.usage.known:
            _add_usage(span.attributes, event.usage)
        span.started = at - int(one.seconds * 1e9)  # its start may have been reported late
        if one.kind is not Kind.OK:
            span.failed = str(one.kind), one.message
        if one.kind is not Kind.OK or event.usage is not None:
            span.ended = at

    def _failed_over(self, event: events.FailedOver, at: int) -> None:
        if (call := self._calls.get(event.call)) is not None:
            values = {"hotspare.source": event.source, "hotspare.target": event.target, "error.type": str(event.kind)}
            call.failovers.append((at, values))

    def _stream_broke(self, event: events.StreamBroke, at: int) -> None:
        call = self._calls.get(event.call)
        if call is not None and (running := [one for one in call.attempts.values() if one.ended is None]):
            running[-1].ended, running[-1].failed = at, (str(event.kind), event.message)

    def _call_ended(self, event: events.CallEnded, at: int) -> None:
        call = self._calls.pop(event.call, None)
        if call is None:
            return
        attributes = _of_call(event)
        if event.usage is not None:
            for running in (attributes, *(one.attributes for one in call.attempts.values() if one.ended is None)):
                _add_usage(running, event.usage)
        context, failed = call.event.context, (str(event.result), event.error) if event.error else None
        parent = context.run(otel_context.get_current) if context is not None else None
        began = at - int(event.seconds * 1e9)
        span = self._span(f"hotspare {event.route}", SpanKind.INTERNAL, parent, began, attributes, failed)
        below = trace.set_span_in_context(span, parent)
        for one in call.attempts.values():
            attempt = self._span(one.name, SpanKind.CLIENT, below, one.started, one.attributes, one.failed)
            attempt.end(at if one.ended is None else one.ended)
        for when, values in call.failovers:
            span.add_event("hotspare.failover", values, timestamp=when)
        span.end(at)

    def _span(
        self, name: str, kind: SpanKind, parent: otel_context.Context | None, started: int, attributes: Attributes,
        failed: tuple[str, str] | None,
    ) -> Span:  # fmt: skip
        if failed is not None:
            attributes["error.type"] = failed[0]
        span = self._tracer.start_span(name, context=parent, kind=kind, attributes=attributes, start_time=started)
        if failed is not None:
            span.set_status(Status(StatusCode.ERROR, failed[1][:200]))
        return span


def _of_call(event: events.CallEnded) -> Attributes:
    attributes: Attributes = {
        "hotspare.call.id": event.call, "hotspare.route": event.route, "hotspare.result": str(event.result),
        "hotspare.rescued": event.rescued, "hotspare.attempts": len(event.attempts),
        **{f"hotspare.label.{name}": value for name, value in event.labels.items()},
    }  # fmt: skip
    if event.target is not None:
        attributes["hotspare.target"] = event.target
    if event.cost is not None:
        attributes["hotspare.cost_usd"] = event.cost
    return attributes


def _add_usage(attributes: Attributes, usage: Usage) -> None:
    attributes["gen_ai.usage.input_tokens"] = usage.input_tokens
    attributes["gen_ai.usage.output_tokens"] = usage.output_tokens


def instrument(
    pool: Pool,
    *,
    tracer_provider: trace.TracerProvider | None = None,
    meter_provider: metrics.MeterProvider | None = None,
) -> Instrumentation:
    """Send this pool's calls as spans and metrics. Default providers: the global ones. Close the result to stop."""
    from hotspare import __version__

    return Instrumentation(
        pool,
        trace.get_tracer("hotspare", __version__, tracer_provider=tracer_provider),
        metrics.get_meter("hotspare", __version__, meter_provider=meter_provider),
    )
