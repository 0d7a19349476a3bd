"""The time that monitoring adds to a call: python -m benchmarks.monitoring [rounds]

Calls over real sockets to the embedded provider, which runs in a separate process, in blocks that alternate between pools: without listeners,
with each part, and with all parts: ledger, alerts, Prometheus, OpenTelemetry (SDK with spans and metrics, kept in memory).

* caller: CPU time of the calling thread, with answers that arrive immediately (the worst case).
* all threads: CPU time of the process, until all parts have processed the events. Most of this work happens while the caller waits for
  the network.
* Time of a call that takes 50 ms, as the caller measures it.

Each figure is the lower quartile of many short blocks, so that other load on the machine counts little. On a busy machine, two pools
without listeners still differ by about 3 %. The last line is the time that events take in a call without listeners.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import quantiles
from timeit import timeit

from hotspare import ChatRequest, Pool, Target
from hotspare._engine.call import Call
from hotspare.drill.provider import KEY, Provider
from hotspare.ledger import Ledger
from hotspare.monitor import Monitor
from hotspare.policy import Policy
from hotspare.telemetry.opentelemetry import instrument
from hotspare.telemetry.prometheus import PrometheusMetrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
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
    meters = MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)
    return instrument(pool, tracer_provider=tracers, meter_provider=meters).flush


PARTS: dict[str, Callable[[Pool, Path], Callable[[], object]]] = {
    "ledger": _ledger, "alerts": _monitor, "Prometheus": _prometheus, "OpenTelemetry": _opentelemetry,
}  # fmt: skip
"""Functions that attach a part to a pool. Each returns a function that waits until the part has processed all events."""
SETS: dict[str, tuple[str, ...]] = {
    "none": (), **{name: (name,) for name in PARTS}, "all but OpenTelemetry": tuple(PARTS)[:-1], "all": tuple(PARTS),
}  # fmt: skip


def _serve(there: Connection) -> None:
    with Provider(["fast", "slow"]) as provider:
        provider.fault("slow", "latency", seconds=LATENCY)
        there.send({name: provider.base_url(name, "openai") for name in ("fast", "slow")})
        there.recv()


def block(pool: Pool, flushes: Iterable[Callable[[], object]], calls: int) -> tuple[float, float, float]:
    """Seconds of one call, averaged over a block: CPU of this thread, CPU of all threads until all events are processed, and wall time."""
    everything, start, here = time.process_time(), time.perf_counter(), time.thread_time()
    for _ in range(calls):
        pool.chat("hello")
    here, seen = time.thread_time() - here, time.perf_counter() - start
    for flush in flushes:
        flush()
    return here / calls, (time.process_time() - everything) / calls, seen / calls


def compare(url: str, sets: Iterable[str], rounds: int, calls: int) -> Mapping[str, list[tuple[float, float, float]]]:
    """The results of `block` with each set of parts, by round."""
    target = Target("openai/m", name="a", base_url=url, api_key=KEY)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        pools = {name: stack.enter_context(Pool(target)) for name in sets}
        flushes: dict[str, list[Callable[[], object]]] = {}
        for name, pool in pools.items():
            (there := Path(folder) / name).mkdir()
            flushes[name] = [PARTS[part](pool, there) for part in SETS[name]]
            block(pool, flushes[name], calls)  # modules that a first call imports, and connections
        found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in pools}
        for _ in range(rounds):
            for name, pool in pools.items():
                found[name].append(block(pool, flushes[name], calls))
    return found


def more(found: Mapping[str, list[tuple[float, float, float]]], name: str, what: int) -> str:
    """The figure of this set, and its increase over that without listeners."""
    value, base = (quantiles((one[what] for one in found[which]), n=4)[0] for which in (name, "none"))
    return f"{value * 1e6:6.0f} us {value / base - 1:+6.1%}"


def unobserved() -> float:
    """Seconds that events take in a call without listeners, for which none are created."""
    pool = Pool(Target("openai/m", name="a", api_key=KEY))
    scheduler, request = pool._scheduler, ChatRequest(messages=[{"role": "user", "content": "q"}])  # pyright: ignore[reportPrivateUsage]
    call = Call("c", request, (), False, 0.0, 1.0, 1, Policy())
    plain = min(timeit(lambda: scheduler.call_started(0.0), number=500, timer=time.thread_time) for _ in range(200))
    reported = min(
        timeit(
            lambda: (scheduler.call_started(0.0, call), scheduler.record_call_end(call, 1.0)),
            number=500,
            timer=time.thread_time,
        )
        for _ in range(200)
    )
    return (reported - plain) / 500


def main() -> None:
    """Print the figures."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    context = get_context("spawn")
    here, there = context.Pipe()
    context.Process(target=_serve, args=(there,), daemon=True).start()
    urls = here.recv()
    fast = compare(urls["fast"], SETS, rounds, 20)
    print(f"{'':22}{'caller':>17}{'all threads':>18}")
    for name in SETS:
        print(f"{name:22}{more(fast, name, 0)} {more(fast, name, 1)}")
    slow = compare(urls["slow"], ("none", "all"), rounds, 10)
    print(f"time of a call of {LATENCY * 1e3:.0f} ms: {more(slow, 'none', 2)}, with all of it {more(slow, 'all', 2)}")
    print(f"events take {unobserved() * 1e6:.2f} us in a call without listeners")
    here.send("done")


if __name__ == "__main__":
    main()
