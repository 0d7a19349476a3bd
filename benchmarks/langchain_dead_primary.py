"""Measures the time that an unavailable primary target adds to each call in LangChain, with hotspare and with `with_fallbacks`.

    python benchmarks/langchain_dead_primary.py            # print the table
    python benchmarks/langchain_dead_primary.py --calls 500

All set-ups call the embedded provider over HTTP on loopback. Each set-up exists twice, with a working primary and with one
that is down, and the two are called alternately, so that other load on the machine slows both. Columns, in milliseconds:

* `healthy`: median latency of a call with a working primary
* `call 1`, `call 2`: latency of the first two calls with the primary down
* `later`: median of the second and all later calls with the primary down; `added`: `later` minus `healthy`
* `hits`: requests that still reached the primary that is down, of how many calls

The primary is down in one of two ways: `refused` (no process listens) and `503` (a response after 200 ms, like an overloaded
gateway's). With hotspare's default policy the breaker opens after five consecutive failures that span 0.2 s (refused
connections need no span), or when half of at least ten recent calls failed. `consecutive_failures=1` is a pool whose
breaker opens at the first failure.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from hotspare import Breaker, Policy, Target
from hotspare.drill.provider import KEY, Provider
from langchain_core.runnables import Runnable
from langchain_hotspare import ChatHotspare
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

Model = Runnable[Any, Any]
SLOW = 12
"""Number of calls for a set-up whose every call takes seconds."""


class Row(NamedTuple):
    """The figures of one set-up, in milliseconds."""

    name: str
    healthy: float
    first: float
    second: float
    later: float
    hits: str

    @property
    def added(self) -> float:
        """The time that the unavailable primary adds to the second and all later calls."""
        return self.later - self.healthy

    def __str__(self) -> str:
        figures = (self.healthy, self.first, self.second, self.later, self.added)
        return f"{self.name:<44}" + "".join(f"{figure:>10.2f}" for figure in figures) + f"{self.hits:>10}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=200, help="number of calls for each set-up (default 200)")
    calls = parser.parse_args().calls
    with Provider() as provider:
        for failure in ("refused", "503"):
            print(
                f"\nprimary: {failure}\n{'':<44}"
                + "".join(f"{h:>10}" for h in ("healthy", "call 1", "call 2", "later", "added", "hits"))
            )
            for name, make, many in set_ups(provider):
                print(measured(provider, name, make, failure, calls if many else min(calls, SLOW)), flush=True)


def set_ups(provider: Provider) -> list[tuple[str, Callable[[str, str], Model], bool]]:
    """Name, factory (taking the endpoints of the primary and the second target), and whether its calls are fast enough for many."""

    def native(endpoint: str, **fields: Any) -> ChatOpenAI:
        return ChatOpenAI(model="gpt-4.1", base_url=provider.base_url(endpoint), api_key=SecretStr(KEY), **fields)

    def target(endpoint: str) -> Target:
        return Target("openai/gpt-4.1", name=endpoint, base_url=provider.base_url(endpoint), api_key=KEY)

    opens_at_once = Policy(breaker=Breaker(consecutive_failures=1, failure_span=0))
    return [
        ("ChatHotspare(targets=[…])", lambda p, s: ChatHotspare(targets=[target(p), target(s)]), True),
        ("ChatHotspare(targets=[…]), consecutive_failures=1", lambda p, s: ChatHotspare(targets=[target(p), target(s)], policy=opens_at_once), True),
        ("ChatHotspare(models=[ChatOpenAI, ChatOpenAI])", lambda p, s: ChatHotspare(models=[native(p), native(s)]), True),
        ("with_fallbacks, max_retries=0", lambda p, s: native(p, max_retries=0).with_fallbacks([native(s, max_retries=0)]), True),
        ("with_fallbacks, the SDK's own retries", lambda p, s: native(p).with_fallbacks([native(s)]), False),
    ]  # fmt: skip


def measured(provider: Provider, name: str, make: Callable[[str, str], Model], failure: str, calls: int) -> Row:
    """Call the set-up with a working primary and the one whose primary is down alternately."""
    provider.reset()
    healthy, degraded = make("a", "b"), make("c", "d")
    for warm in (healthy, degraded):  # connections and imports are not part of the failover
        for _ in range(5):
            warm.invoke("tokens=5")
    make("d", "c").invoke("tokens=5")
    if failure == "refused":
        provider.fault("c", "refused")
    else:
        provider.fault("c", "delay", seconds=0.2)
        provider.fault("c", "status", status=503)
    before = provider.stats("c").requests
    with_primary: list[float] = []
    without: list[float] = []
    for _ in range(calls):
        with_primary.append(timed(healthy))
        without.append(timed(degraded))
    hits = "-" if failure == "refused" else f"{provider.stats('c').requests - before}/{calls}"
    return Row(name, statistics.median(with_primary), without[0], without[1], statistics.median(without[1:]), hits)


def timed(model: Model) -> float:
    """Latency of one call, in milliseconds."""
    start = time.perf_counter()
    model.invoke("tokens=5")
    return (time.perf_counter() - start) * 1000


if __name__ == "__main__":
    main()
