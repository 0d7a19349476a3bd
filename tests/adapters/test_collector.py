"""Spans and metrics of every face at a real OpenTelemetry collector, by OTLP over a socket."""

import gc
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import litellm
import litellm_hotspare
import pytest
from hotspare import Pool, Target
from hotspare.drill.answers import answer
from hotspare.drill.provider import KEY, Provider
from hotspare.telemetry.opentelemetry import instrument
from langchain_hotspare import ChatHotspare
from llama_index.llms.hotspare import Hotspare
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.semconv._incubating.attributes import error_attributes, gen_ai_attributes, http_attributes
from opentelemetry.semconv._incubating.metrics import gen_ai_metrics

from tests.support.eventually import eventually
from tests.support.otlp import OtlpReceiver, collector, rotel

QUESTION = "what keeps a service up?"
KNOWN = {
    value
    for module in (gen_ai_attributes, http_attributes, error_attributes, gen_ai_metrics)
    for name, value in vars(module).items()
    if name.isupper() and isinstance(value, str)
}
"""The names of the conventions."""


@pytest.fixture(scope="module")
def received() -> Iterator[tuple[OtlpReceiver, str]]:
    """What leaves the collector, and the URL of the collector; without one, the receiver itself is at that URL."""
    receiver, program = OtlpReceiver(), rotel()
    with receiver.serve() as url:
        if program is None:
            yield receiver, url
        else:
            with collector(program, url) as there:
                yield receiver, there


@pytest.fixture(autouse=True)
def no_collection() -> Iterator[None]:
    """A first call imports modules whose syntax trees are read: CPython 3.11 does not bear a garbage collection in between."""
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def pool() -> Iterator[Pool]:
    """The first target is down, the second answers."""
    with Provider(["a", "b"]) as provider:
        targets = [
            Target(f"openai/{model}", name=name, base_url=provider.base_url(name, "openai"), api_key=KEY)
            for name, model in (("a", "gpt-4.1"), ("b", "gpt-4.1-mini"))
        ]
        provider.fault("a", "status", status=503)
        with Pool(targets, retry_same_target="never") as pool:
            yield pool


def with_litellm(pool: Pool) -> str:
    """Through LiteLLM, of which hotspare is a provider."""
    litellm_hotspare.register(pool)
    reply: Any = litellm.completion(model="hotspare/default", messages=[{"role": "user", "content": QUESTION}])
    return str(reply.choices[0].message.content)


FACES: dict[str, Callable[[Pool], str]] = {
    "sync": lambda pool: pool.chat(QUESTION).text,
    "async": lambda pool: anyio.run(pool.achat, QUESTION).text,
    "langchain": lambda pool: str(ChatHotspare(pool=pool).invoke(QUESTION).content),
    "llama_index": lambda pool: Hotspare(pool=pool).complete(QUESTION).text,
    "litellm": with_litellm,
}


def attributes(span: Any) -> dict[str, Any]:
    """As plain values."""
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}


@pytest.mark.parametrize("face", FACES)
def test_one_trace_a_call_at_the_collector(face: str, pool: Pool, received: tuple[OtlpReceiver, str]) -> None:
    """Below the caller's span: the call, in it the failed attempt and the rescue; metrics beside them; names by the conventions.

    The caller's span has the face's name. LiteLLM makes its calls in this thread, so that the context is the caller's there too.
    """
    receiver, url = received
    receiver.spans.clear()
    receiver.metrics.clear()
    tracers = TracerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{url}/v1/traces")))
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(f"{url}/v1/metrics"), export_interval_millis=3_600_000)
    meters = MeterProvider([reader], shutdown_on_exit=False)
    instrumentation = instrument(pool, tracer_provider=tracers, meter_provider=meters)
    with trace.get_tracer("app", tracer_provider=tracers).start_as_current_span(face) as own:
        assert FACES[face](pool) == answer(QUESTION)
    assert instrumentation.flush(30.0)
    assert tracers.force_flush() and meters.force_flush()
    trace_id = own.get_span_context().trace_id.to_bytes(16, "big")
    eventually(lambda: sum(span.trace_id == trace_id for span in receiver.spans) == 4 and bool(receiver.metrics))
    tracers.shutdown(), meters.shutdown()

    spans = {span.name: span for span in receiver.spans if span.trace_id == trace_id}
    assert spans.keys() == {face, "hotspare default", "chat gpt-4.1", "chat gpt-4.1-mini"}
    call, failed, rescue = (spans[name] for name in ("hotspare default", "chat gpt-4.1", "chat gpt-4.1-mini"))
    assert call.parent_span_id == spans[face].span_id
    assert failed.parent_span_id == rescue.parent_span_id == call.span_id
    assert (attributes(failed)["error.type"], attributes(failed)["http.response.status_code"]) == ("server", 503)
    assert attributes(rescue)["gen_ai.usage.output_tokens"] and attributes(call)["hotspare.rescued"] is True
    names = {name for span in receiver.spans for name in attributes(span)} | {one.name for one in receiver.metrics}
    assert {name for name in names if not name.startswith("hotspare.")} <= KNOWN
    assert {"gen_ai.client.operation.duration", "gen_ai.client.token.usage", "hotspare.calls.rescued"} <= names
    assert QUESTION.encode() not in b"".join(span.SerializeToString() for span in receiver.spans), "no prompt leaves"
