"""Measures the effect of hedging on tail latency: the time to first token with and without it. Takes about a minute.

    python benchmarks/hedging.py            # 2,000 streams each, 60 a second
    python benchmarks/hedging.py --calls 400

A separate process schedules the streams, and a stream's time is measured from its scheduled arrival.

The primary target answers after 0.4 s, and every twentieth call after ten times that. The second target, in another region,
answers after 0.15 s. `extra attempts` is the cost of hedging: attempts above one per call, counted at the providers.
"""

import argparse
import asyncio
import time

from hotspare import Hedge, Pool, Target
from hotspare.drill.load import ScriptStep, run_load
from hotspare.drill.metrics import quantile
from hotspare.drill.provider import Provider
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

USUAL, SLOWER, SECOND, EVERY, RATE = 0.4, 10, 0.15, 20, 60


def pool_of(provider: Provider, hedge: Hedge | None, calls: int) -> Pool:
    """A pool of a primary and a second target, with their latencies set at the provider."""
    provider.reset()
    for number in range(EVERY - 1, calls, EVERY):
        provider.fault("a", "delay", seconds=USUAL * (SLOWER - 1), skip=number, count=1)
    provider.fault("a", "latency", seconds=USUAL, gap=0.0)
    provider.fault("b", "latency", seconds=SECOND, gap=0.0)
    targets = [Target("openai/m", name=e, region=e, base_url=provider.base_url(e), api_key="test-key") for e in "ab"]
    return Pool(targets, hedge=hedge, deadline=30)


async def measure(pool: Pool, provider: Provider, calls: int, progress: Progress, name: str) -> list[float]:
    """Seconds to the first token of each stream, from its arrival, sorted."""
    found: list[float] = []
    shown = progress.add_task(name, total=calls)
    steps = [ScriptStep(number / RATE) for number in range(calls)]

    async def stream(number: int, start: float) -> None:
        first: float | None = None
        async for _ in pool.astream(f"question {number} tokens=3"):
            first = first or time.perf_counter() - start - steps[number].at
        found.append(first or 0.0)
        progress.advance(shown)

    async with pool, run_load(steps, provider) as (start, announced), asyncio.TaskGroup() as group:
        async for number in announced:
            group.create_task(stream(number, start))
    return sorted(found)


def main() -> None:
    """Measure both pools and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=2_000, help="number of streams for each pool (default 2000)")
    calls = parser.parse_args().calls
    table = Table("", "p50", "p95", "p99", "extra attempts", title=f"time to first token of {calls} streams")
    tails: list[float] = []
    with Provider("ab") as provider, Progress(transient=True) as progress:
        for name, hedge in (("without hedging", None), ("Hedge(max_extra_calls=0.05)", Hedge(max_extra_calls=0.05))):
            times = asyncio.run(measure(pool_of(provider, hedge, calls), provider, calls, progress, name))
            extra = sum(provider.stats(e).requests for e in "ab") / calls - 1
            shown = [f"{quantile(times, share) or 0:.2f} s" for share in (0.5, 0.95, 0.99)]
            table.add_row(name, *shown, f"{extra:.2%}")
            tails.append(quantile(times, 0.99) or 0.0)
    console = Console()
    console.print(table)
    console.print(f"p99 without hedging / p99 with hedging: {tails[0] / tails[1]:.1f}")


if __name__ == "__main__":
    main()
