"""What monitoring costs a call: python -m benchmarks.monitoring [calls]

Calls over real sockets to the embedded provider, which answers after 50 ms, in blocks that alternate between a pool without listeners and one with everything on:
ledger, alerts, Prometheus, OpenTelemetry (SDK, spans kept in memory). And what an unobserved call pays for events, in a loop of its own.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from timeit import timeit

from hotspare import ChatRequest, Pool, Target
from hotspare._engine.call import Call
from hotspare.drill.provider import KEY, Provider
from hotspare.ledger import Ledger
from hotspare.monitor import Monitor
from hotspare.policy import Policy
from hotspare.telemetry.opentelemetry import instrument
from hotspare.telemetry.prometheus import PrometheusMetrics
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

BLOCK = 10
LATENCY = 0.05


def watched(pool: Pool, folder: str) -> Pool:
    """The pool, with everything on."""
    tracers = TracerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(BatchSpanProcessor(InMemorySpanExporter()))
    ledger = Ledger(Path(folder) / "ledger.db").attach(pool)
    Monitor(pool, ledger=ledger).start()
    PrometheusMetrics(pool)
    instrument(pool, tracer_provider=tracers)
    return pool


def block(pool: Pool) -> float:
    """Seconds of a call, over a block of them."""
    start = time.perf_counter()
    for _ in range(BLOCK):
        pool.chat("hello")
    return (time.perf_counter() - start) / BLOCK


def over_sockets(calls: int) -> tuple[float, float]:
    """Median seconds of a call without and with monitoring."""
    with Provider(["a"]) as provider, tempfile.TemporaryDirectory() as folder:
        provider.fault("a", "latency", seconds=LATENCY)
        target = Target("openai/m", name="a", base_url=provider.base_url("a", "openai"), api_key=KEY)
        with Pool(target) as plain, watched(Pool(target), folder) as observed:
            for pool in (plain, observed):  # modules that a first call imports, and connections
                block(pool)
            pairs = [(block(plain), block(observed)) for _ in range(max(1, calls // BLOCK))]
    return median(one for one, _ in pairs), median(one for _, one in pairs)


def unobserved() -> float:
    """Seconds that a call without listeners pays for events that are not made."""
    pool = Pool(Target("openai/m", name="a", api_key=KEY))
    scheduler, request = pool._scheduler, ChatRequest(messages=[{"role": "user", "content": "q"}])  # pyright: ignore[reportPrivateUsage]
    call = Call("c", request, (), False, 0.0, 1.0, 1, Policy())
    plain = min(timeit(lambda: scheduler.call_started(0.0), number=20_000) for _ in range(5))
    reported = min(
        timeit(lambda: (scheduler.call_started(0.0, call), scheduler.record_call_end(call, 1.0)), number=20_000)
        for _ in range(5)
    )
    return (reported - plain) / 20_000


def main() -> None:
    """Print the figures."""
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    off, on = over_sockets(calls)
    print(f"a call: {off * 1e6:.0f} us without monitoring, {on * 1e6:.0f} us with all of it: {on / off - 1:+.1%}")
    print(f"a call without listeners pays {unobserved() * 1e6:.2f} us for events")


if __name__ == "__main__":
    main()
