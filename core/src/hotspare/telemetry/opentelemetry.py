"""Spans and metrics for OpenTelemetry (extra `otel`), by the semantic conventions for generative AI.

A span a call, with a child span an attempt: a failed attempt and the rescue stand in one trace, below the span in which the caller made
the call. No prompt and no answer is in them. Spans are made in a thread of their own, with the times at which things happened.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from hotspare import events
from hotspare._drivers.listeners import ListenerQueue
from hotspare.errors import MissingExtra
from hotspare.outcome import Kind
from hotspare.telemetry.otel_metrics import Instruments

try:
    from opentelemetry import context as otel_context
    from opentelemetry import metrics, trace
    from opentelemetry.trace import Span, SpanKind, Status, StatusCode
except ImportError:
    raise MissingExtra("hotspare.telemetry.opentelemetry", "otel") from None

if TYPE_CHECKING:
    from hotspare.pool import Pool

MAX_OPEN = 10_000
"""Calls whose spans are open, at most; the oldest is forgotten: its end was lost."""
PROVIDERS = {
    "azure": "azure.ai.openai", "gemini": "gcp.gemini", "mistral": "mistral_ai", "xai": "x_ai", "openai": "openai",
    "anthropic": "anthropic", "deepseek": "deepseek", "groq": "groq",
}  # fmt: skip
"""hotspare's providers as values of `gen_ai.provider.name`; others keep their own name."""


_Stamped = tuple[int, events.Event] | events.EventsDropped
"""An event with the nanoseconds since 1970 at which it happened, or that some were lost."""


@dataclass(slots=True)
class _Call:
    span: Span
    context: otel_context.Context
    attempts: dict[int, Span] = field(default_factory=dict[int, Span])


class Instrumentation:
    """What makes spans and metrics of a pool's events. `close` ends it, after what has happened so far."""

    def __init__(self, pool: Pool, tracer: trace.Tracer, meter: metrics.Meter) -> None:
        self._tracer = tracer
        self._targets = {target.name: target for target in pool.targets}
        self._calls: dict[str, _Call] = {}
        self._instruments = Instruments(meter, pool, self._names)
        self._queue: Any = ListenerQueue(cast("Any", self._handle))  # its items are stamped events
        self._handlers: dict[type[Any], Callable[[Any, int], None]] = {
            events.CallStarted: self._call_started,
            events.AttemptStarted: self._attempt_started,
            events.AttemptEnded: self._attempt_ended,
            events.FailedOver: self._failed_over,
            events.StreamBroke: self._stream_broke,
            events.CallEnded: self._call_ended,
        }
        self._unsubscribe = pool.subscribe(lambda event: self._queue((time.time_ns(), event)), inline=True)

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until what has happened so far was recorded. Returns whether it was."""
        return bool(self._queue.flush(timeout))

    def close(self, timeout: float = 5.0) -> None:
        """Listen no longer."""
        self._unsubscribe()
        self.flush(timeout)

    def _handle(self, stamped: _Stamped) -> None:
        at, event = stamped if isinstance(stamped, tuple) else (time.time_ns(), stamped)
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event, at)
        self._instruments.record(event)

    def _names(self, target: str) -> dict[str, str]:
        known = self._targets.get(target)
        provider = known.provider if known else target
        return {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": PROVIDERS.get(provider, provider),
            "gen_ai.request.model": known.model if known else target,
        }

    def _call_started(self, event: events.CallStarted, at: int) -> None:
        parent = event.context.run(otel_context.get_current) if event.context is not None else None
        attributes: dict[str, Any] = {"hotspare.call.id": event.call, "hotspare.route": event.route}
        attributes |= {f"hotspare.label.{name}": value for name, value in event.labels.items()}
        span = self._tracer.start_span(
            f"hotspare {event.route}", context=parent, kind=SpanKind.INTERNAL, attributes=attributes, start_time=at
        )
        while len(self._calls) >= MAX_OPEN:
            self._calls.pop(next(iter(self._calls))).span.end()
        self._calls[event.call] = _Call(span, trace.set_span_in_context(span, parent))

    def _attempt_started(self, event: events.AttemptStarted, at: int) -> None:
        call = self._calls.get(event.call)
        if call is None:
            return
        names = self._names(event.target)
        call.attempts[event.number] = self._tracer.start_span(
            f"chat {names['gen_ai.request.model']}", context=call.context, kind=SpanKind.CLIENT, start_time=at,
            attributes={
                **names, "hotspare.target": event.target, "hotspare.attempt.number": event.number,
                "hotspare.attempt.reason": str(event.reason), "hotspare.attempt.continues": event.continues,
            },
        )  # fmt: skip

    def _attempt_ended(self, event: events.AttemptEnded, at: int) -> None:
        """A stream's span goes on to the end of the stream: its attempt ended with its first content."""
        call, one = self._calls.get(event.call), event.attempt
        span = call.attempts.get(one.number) if call is not None else None
        if call is None or span is None:
            return
        if one.ttft is not None:
            span.set_attribute("gen_ai.response.time_to_first_chunk", one.ttft)
        if one.status is not None:
            span.set_attribute("http.response.status_code", one.status)
        if event.usage is not None and event.usage.known:
            span.set_attribute("gen_ai.usage.input_tokens", event.usage.input_tokens)
            span.set_attribute("gen_ai.usage.output_tokens", event.usage.output_tokens)
        if one.kind is Kind.OK and event.usage is None:
            return
        if one.kind is not Kind.OK:
            _fail(span, str(one.kind), one.message)
        call.attempts.pop(one.number).end(at)

    def _failed_over(self, event: events.FailedOver, at: int) -> None:
        if (call := self._calls.get(event.call)) is not None:
            values = {"hotspare.source": event.source, "hotspare.target": event.target, "error.type": str(event.kind)}
            call.span.add_event("hotspare.failover", values, timestamp=at)

    def _stream_broke(self, event: events.StreamBroke, at: int) -> None:
        if (call := self._calls.get(event.call)) is not None and call.attempts:
            span = call.attempts.pop(max(call.attempts))
            _fail(span, str(event.kind), event.message)
            span.end(at)

    def _call_ended(self, event: events.CallEnded, at: int) -> None:
        call = self._calls.pop(event.call, None)
        if call is None:
            return
        if event.usage is not None:
            for span in (call.span, *call.attempts.values()):
                span.set_attribute("gen_ai.usage.input_tokens", event.usage.input_tokens)
                span.set_attribute("gen_ai.usage.output_tokens", event.usage.output_tokens)
        for span in call.attempts.values():
            span.end(at)
        call.span.set_attribute("hotspare.result", str(event.result))
        call.span.set_attribute("hotspare.rescued", event.rescued)
        call.span.set_attribute("hotspare.attempts", len(event.attempts))
        if event.target is not None:
            call.span.set_attribute("hotspare.target", event.target)
        if event.cost is not None:
            call.span.set_attribute("hotspare.cost_usd", event.cost)
        if event.error:
            _fail(call.span, str(event.result), event.error)
        call.span.end(at)


def _fail(span: Span, kind: str, message: str) -> None:
    span.set_attribute("error.type", kind)
    span.set_status(Status(StatusCode.ERROR, message[:200]))


def instrument(
    pool: Pool,
    *,
    tracer_provider: trace.TracerProvider | None = None,
    meter_provider: metrics.MeterProvider | None = None,
) -> Instrumentation:
    """Send this pool's calls as spans and metrics. Providers: default the global ones."""
    from hotspare import __version__

    return Instrumentation(
        pool,
        trace.get_tracer("hotspare", __version__, tracer_provider=tracer_provider),
        metrics.get_meter("hotspare", __version__, meter_provider=meter_provider),
    )
