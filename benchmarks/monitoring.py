"""What monitoring costs a call: python -m benchmarks.monitoring [blocks]

Calls over real sockets to the embedded provider, in blocks that alternate between pools. First what a caller sees: seconds of a call that takes 50 ms,
without listeners and with everything on: ledger, alerts, Prometheus, OpenTelemetry (SDK, spans kept in memory). Then the processor's
time of a call that is answered at once, with each part, in all threads: most of it is not in the caller's way. And what an unobserved
call pays for events, in a loop of its own.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
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

LATENCY = 0.05


def _ledger(pool: Pool, folder: Path) -> Callable[[], object]:
    return Ledger(folder / "ledger.db").attach(pool).flush


def _monitor(pool: Pool, folder: Path) -> Callable[[], object]:
    Monitor(pool).start()
    return pool.flush


def _prometheus(pool: Pool, folder: Path) -> Callable[[], object]:
    PrometheusMetrics(pool)
    return pool.flush


def _opentelemetry(pool: Pool, folder: Path) -> Callable[[], object]:
    tracers = TracerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(BatchSpanProcessor(InMemorySpanExporter()))
    return instrument(pool, tracer_provider=tracers).flush


PARTS: dict[str, Callable[[Pool, Path], Callable[[], object]]] = {
    "ledger": _ledger, "alerts": _monitor, "Prometheus": _prometheus, "OpenTelemetry": _opentelemetry,
}  # fmt: skip
"""What attaches a part to a pool, and returns what waits until it has caught up."""
SETS: dict[str, tuple[str, ...]] = {
    "none": (), **{name: (name,) for name in PARTS}, "all but OpenTelemetry": tuple(PARTS)[:-1], "all": tuple(PARTS),
}  # fmt: skip


def block(pool: Pool, flushes: Iterable[Callable[[], object]], clock: Callable[[], float], calls: int) -> float:
    """Seconds of a call, over a block of them. What listens has caught up at its end."""
    start = clock()
    for _ in range(calls):
        pool.chat("hello")
    for flush in flushes:
        flush()
    return (clock() - start) / calls


def over_sockets(
    blocks: int, sets: Iterable[str], clock: Callable[[], float], calls: int, latency: float
) -> dict[str, float]:
    """Median seconds of a call with each set of parts, by this clock. Blocks alternate, so that the machine's load is the same for all."""
    with Provider(["a"]) as provider, tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        provider.fault("a", "latency", seconds=latency)
        target = Target("openai/m", name="a", base_url=provider.base_url("a", "openai"), api_key=KEY)
        pools = {name: stack.enter_context(Pool(target)) for name in sets}
        flushes: dict[str, list[Callable[[], object]]] = {}
        for name, pool in pools.items():
            (there := Path(folder) / name).mkdir()
            flushes[name] = [PARTS[part](pool, there) for part in SETS[name]]
            block(pool, flushes[name], clock, calls)  # modules that a first call imports, and connections
        taken = [
            {name: block(pool, flushes[name], clock, calls) for name, pool in pools.items()} for _ in range(blocks)
        ]
    return {name: median(one[name] for one in taken) for name in pools}


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
    blocks = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    seen = over_sockets(blocks, ("none", "all"), time.perf_counter, 10, LATENCY)
    print(
        f"a call: {seen['none'] * 1e6:.0f} us without monitoring, {seen['all'] * 1e6:.0f} us with all of it: {seen['all'] / seen['none'] - 1:+.1%}"
    )
    cpu = over_sockets(blocks, SETS, time.process_time, 50, 0.0)
    for name, seconds in cpu.items():
        print(f"CPU of a call, {name}: {seconds * 1e6:.0f} us, {seconds / cpu['none'] - 1:+.1%}")
    print(f"a call without listeners pays {unobserved() * 1e6:.2f} us for events")


if __name__ == "__main__":
    main()
