"""Spans and metrics through OpenTelemetry's own SDK, by the names of the published conventions."""

from typing import Any

import anyio
import pytest
from hotspare import Budget, Kind, Limits, Pool, Price, Usage
from hotspare.outcome import Outcome
from hotspare.telemetry.opentelemetry import Instrumentation, instrument
from hotspare.telemetry.prometheus import PrometheusMetrics
from hotspare.testing import ScriptedTarget, VirtualClock, answer, break_after, fail, hang, scripted_pool
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes import error_attributes, gen_ai_attributes, http_attributes
from opentelemetry.semconv._incubating.metrics import gen_ai_metrics

from tests.support.calls import Ask, run_calls

REFUSED = Outcome(Kind.TRANSPORT, "refused", before_connect=True)
FACES = [(face, streaming) for face in ("sync", "asyncio", "trio") for streaming in (False, True)]
KNOWN = {
    value
    for module in (gen_ai_attributes, http_attributes, error_attributes, gen_ai_metrics)
    for name, value in vars(module).items()
    if name.isupper() and isinstance(value, str)
}
"""The names of the conventions."""


class Sent:
    """A pool's instrumentation, and what it sends."""

    def __init__(self, pool: Pool) -> None:
        self._exporter, self._reader = InMemorySpanExporter(), InMemoryMetricReader()
        self.tracers = TracerProvider(shutdown_on_exit=False)
        self.tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        self._meters = MeterProvider([self._reader], shutdown_on_exit=False)
        self.hotspare: Instrumentation = instrument(pool, tracer_provider=self.tracers, meter_provider=self._meters)

    def spans(self) -> dict[str, ReadableSpan]:
        """By name."""
        assert self.hotspare.flush(30.0)
        return {span.name: span for span in self._exporter.get_finished_spans()}

    def metrics(self) -> dict[str, Any]:
        """The data of each metric."""
        assert self.hotspare.flush(30.0)
        data = self._reader.get_metrics_data()
        assert data is not None
        return {
            one.name: one.data.data_points for r in data.resource_metrics for s in r.scope_metrics for one in s.metrics
        }


def rescued_pool(clock: VirtualClock) -> Pool:
    """The first target refuses, the second answers."""
    a = ScriptedTarget("a", fail(REFUSED, delay=0.5), id="openai/gpt-4.1")
    b = ScriptedTarget("b", answer("hi", usage=Usage(10, 5), delay=0.5), id="gemini/gemini-2.5-flash")
    return scripted_pool(a, b, clock=clock, retry_same_target="never")


@pytest.mark.parametrize(("face", "streaming"), FACES)
def test_one_trace_a_call_with_the_failed_attempt_and_the_rescue(face: str, streaming: bool) -> None:
    """Below the caller's own span, through each face; provider, model, tokens and error by the conventions."""
    clock = VirtualClock()
    pool = rescued_pool(clock)
    sent = Sent(pool)
    with trace.get_tracer("app", tracer_provider=sent.tracers).start_as_current_span("request"):
        run_calls(face, pool, clock, [Ask(streaming=streaming, options={"labels": {"team": "search"}})])
    spans = sent.spans()
    call, first, second = spans["hotspare default"], spans["chat gpt-4.1"], spans["chat gemini-2.5-flash"]
    assert call.parent is not None and call.parent.span_id == spans["request"].context.span_id
    assert {one.parent.span_id for one in (first, second) if one.parent} == {call.context.span_id}
    assert first.attributes is not None and second.attributes is not None and call.attributes is not None
    assert (first.attributes["error.type"], first.status.is_ok) == ("transport", False)
    assert second.attributes["gen_ai.provider.name"] == "gcp.gemini"
    assert second.attributes["gen_ai.usage.input_tokens"] == 10 and second.status.is_ok
    assert call.attributes["hotspare.rescued"] and call.attributes["hotspare.label.team"] == "search"
    assert [event.name for event in call.events] == ["hotspare.failover"]
    names = {name for span in spans.values() for name in span.attributes or ()}
    assert {name for name in names if not name.startswith("hotspare.")} <= KNOWN


def test_metrics_by_the_conventions() -> None:
    """Duration, tokens and time to the first chunk have the conventions' names, attributes and units; hotspare's own beside them."""
    clock = VirtualClock()
    pool = rescued_pool(clock)
    sent = Sent(pool)
    run_calls("sync", pool, clock, [Ask()])
    found = sent.metrics()
    assert {name for name in found if name.startswith("gen_ai.")} <= KNOWN
    tokens = {point.attributes["gen_ai.token.type"]: point.sum for point in found["gen_ai.client.token.usage"]}
    assert tokens == {"input": 10, "output": 5}
    assert {point.attributes.get("error.type") for point in found["gen_ai.client.operation.duration"]} == {
        None,
        "transport",
    }
    assert [point.value for point in found["hotspare.calls.rescued"]] == [1]
    assert {point.attributes["hotspare.level"] for point in found["hotspare.breaker.state"]} >= {"target", "provider"}
    assert "gen_ai.client.operation.time_to_first_chunk" in found and "hotspare.failovers" in found


def test_what_is_left_of_limits_and_budgets() -> None:
    """A limit by target; of a budget that counts each tenant apart the least that is left, since tenants have no bound."""
    target = ScriptedTarget("a", answer("hi", usage=Usage(1_000_000, 0)), price=Price(1.0, 1.0), limits=Limits(rpd=10))
    pool = scripted_pool(target, budgets=[Budget(usd=5, per="day", labels={"tenant": "*"})], calendar=lambda: 0.0)
    sent = Sent(pool)
    for tenant in ("x", "y", "y"):
        pool.chat("q", labels={"tenant": tenant})
    found = sent.metrics()
    assert [(one.attributes["hotspare.limit"], one.value) for one in found["hotspare.limit.left"]] == [
        ("10 requests a day", 7.0)
    ]
    assert [(one.attributes["hotspare.budget"], one.value) for one in found["hotspare.budget.left"]] == [
        ("day tenant=*", 3.0)
    ]
    gauges = PrometheusMetrics(pool).registry.get_sample_value
    assert gauges("hotspare_budget_left_usd", {"budget": "day tenant=*"}) == 3.0


def test_a_stream_that_breaks_and_is_continued() -> None:
    """The broken part's span is an error and ends with the break; the continuation has its own."""
    clock = VirtualClock()
    a = ScriptedTarget("a", break_after(1, ["one ", "two"]), id="p/a")
    b = ScriptedTarget("b", answer("two"), id="p/b", prefill=True)
    pool = scripted_pool(a, b, clock=clock)
    sent = Sent(pool)
    run_calls("sync", pool, clock, [Ask()])
    spans = sent.spans()
    assert not spans["chat a"].status.is_ok
    assert dict(spans["chat b"].attributes or {})["hotspare.attempt.continues"] is True


def test_the_loser_of_a_race_is_no_error_of_the_call() -> None:
    """Both attempts are spans of the call, in threads of their own."""
    clock = VirtualClock()
    a, b = ScriptedTarget("a", hang(), id="p/a"), ScriptedTarget("b", "ok", id="q/b")
    pool = scripted_pool(a, b, clock=clock, on_slow="race")
    sent = Sent(pool)
    assert pool.chat("q").target == "b"
    spans = sent.spans()
    assert spans["hotspare default"].status.is_ok and set(spans) == {"hotspare default", "chat a", "chat b"}
    sent.hotspare.close()
    pool.chat("q")
    assert len(sent.spans()) == 3


def test_async_callers_keep_their_own_traces() -> None:
    """Calls side by side on one event loop: each below its own span."""
    pool = scripted_pool("a")
    sent = Sent(pool)
    tracer = trace.get_tracer("app", tracer_provider=sent.tracers)

    async def one(name: str) -> None:
        with tracer.start_as_current_span(name):
            await pool.achat("q", labels={"name": name})

    async def both() -> None:
        async with anyio.create_task_group() as group:
            for name in ("x", "y"):
                group.start_soon(one, name)

    anyio.run(both)
    assert sent.hotspare.flush(30.0)
    spans = sent._exporter.get_finished_spans()
    parents = {span.context.span_id: span.name for span in spans}
    calls = [span for span in spans if span.name == "hotspare default"]
    assert {(parents[one.parent.span_id], (one.attributes or {})["hotspare.label.name"]) for one in calls if one.parent} == {
        ("x", "x"), ("y", "y"),
    }  # fmt: skip
