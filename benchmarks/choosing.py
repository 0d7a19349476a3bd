"""`python -m benchmarks.choosing`: the time that hotspare itself adds to a call, with 4 and with 1,000 targets, for each strategy.

No I/O: a call is started, its target chosen, its answer recorded.
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

import random
import time

from hotspare import ChatReply, Pool, Usage
from hotspare._engine.call import Attempt
from hotspare.outcome import OK
from hotspare.testing import ScriptedTarget

STRATEGIES = ("ordered", "weighted", "latency", "cost")


def pool_of(count: int, strategy: str) -> Pool:
    """A pool of `count` targets, each at a separate provider."""
    targets = [ScriptedTarget(f"t{n}", id=f"p{n}/m").target for n in range(count)]
    return Pool(targets, rng=random.Random(1), strategy=strategy)  # type: ignore[arg-type]


def call_once(pool: Pool) -> None:
    """One call, from its request to its end, without its I/O."""
    call, scheduler = pool._call("q", {}, streaming=False), pool._scheduler
    scheduler.call_started(call.started)
    attempt = scheduler.next_step(call, pool._now())
    assert isinstance(attempt, Attempt)
    attempt.result = ChatReply(text="x", usage=Usage(1, 1))
    scheduler.settle(call, attempt, OK, pool._now())
    scheduler.record_call_end(call, pool._now())
    scheduler.take_pending()


def seconds(pool: Pool, calls: int = 200, rounds: int = 7) -> float:
    """Seconds a call: the best of several rounds."""
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(calls):
            call_once(pool)
        best = min(best, (time.perf_counter() - start) / calls)
    return best


if __name__ == "__main__":
    print(f"{'strategy':10} {'4 targets':>12} {'1,000 targets':>14}")
    for strategy in STRATEGIES:
        few, many = (1e6 * seconds(pool_of(count, strategy)) for count in (4, 1000))
        print(f"{strategy:10} {few:9.0f} µs {many:11.0f} µs   x{many / few:.2f}")
