"""What a dead primary costs each call in LangChain: a hotspare pool beside `with_fallbacks`, on loopback, in a minute.

    python benchmarks/langchain_dead_primary.py            # the table
    python benchmarks/langchain_dead_primary.py --calls 500

All set-ups talk to the embedded provider over real HTTP. A healthy twin of each set-up is called in turn with the one whose
primary is dead, so that whatever slows this machine slows both. Columns, in milliseconds:

* `healthy`: median of a call while the primary lives
* `call 1`, `call 2`: what these two calls took with a dead primary
* `later`: the median of the second call and every later one; `added`: how much that is over healthy
* `hits`: requests that the dead primary still got, of so many calls

Two ways to be dead: `refused` (nobody listens) and `503` (an answer after 200 ms, as an overloaded gateway gives it). One
503 is no outage: with hotspare's default policy five of them in a row over a second, or half of the last ten calls, are.
`consecutive_failures=1` is a pool whose user would rather leave at once.
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

Model = Runnable[Any, Any]
SLOW = 12
"""Calls of a set-up that waits for seconds each time: enough to see that it does not learn."""


class Row(NamedTuple):
    """One set-up's figures, in milliseconds."""

    name: str
    healthy: float
    first: float
    second: float
    later: float
    hits: str

    @property
    def added(self) -> float:
        """What a dead primary adds to the second call and every later one."""
        return self.later - self.healthy

    def __str__(self) -> str:
        figures = (self.healthy, self.first, self.second, self.later, self.added)
        return f"{self.name:<44}" + "".join(f"{figure:>10.2f}" for figure in figures) + f"{self.hits:>10}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=200, help="calls of each set-up (default 200)")
    calls = parser.parse_args().calls
    with Provider() as provider:
        for dead in ("refused", "503"):
            print(
                f"\nprimary {dead}\n{'':<44}"
                + "".join(f"{h:>10}" for h in ("healthy", "call 1", "call 2", "later", "added", "hits"))
            )
            for name, make, many in set_ups(provider):
                print(measured(provider, name, make, dead, calls if many else min(calls, SLOW)), flush=True)


def set_ups(provider: Provider) -> list[tuple[str, Callable[[str, str], Model], bool]]:
    """Name, how it is made of a primary and a spare endpoint, and whether its calls are quick enough for many."""

    def native(endpoint: str, **fields: Any) -> ChatOpenAI:
        return ChatOpenAI(model="gpt-4.1", base_url=provider.base_url(endpoint), api_key=KEY, **fields)

    def target(endpoint: str) -> Target:
        return Target("openai/gpt-4.1", name=endpoint, base_url=provider.base_url(endpoint), api_key=KEY)

    leaves_at_once = Policy(breaker=Breaker(consecutive_failures=1, failure_span=0))
    return [
        ("ChatHotspare(targets=[…])", lambda p, s: ChatHotspare(targets=[target(p), target(s)]), True),
        ("ChatHotspare(targets=[…]), consecutive_failures=1", lambda p, s: ChatHotspare(targets=[target(p), target(s)], policy=leaves_at_once), True),
        ("ChatHotspare(models=[ChatOpenAI, ChatOpenAI])", lambda p, s: ChatHotspare(models=[native(p), native(s)]), True),
        ("with_fallbacks, max_retries=0", lambda p, s: native(p, max_retries=0).with_fallbacks([native(s, max_retries=0)]), True),
        ("with_fallbacks, the SDK's own retries", lambda p, s: native(p).with_fallbacks([native(s)]), False),
    ]  # fmt: skip


def measured(provider: Provider, name: str, make: Callable[[str, str], Model], dead: str, calls: int) -> Row:
    """Call the healthy and the bereaved twin in turn."""
    provider.reset()
    healthy, bereaved = make("a", "b"), make("c", "d")
    for warm in (healthy, bereaved):  # connections and imports are nobody's failover
        for _ in range(5):
            warm.invoke("tokens=5")
    make("d", "c").invoke("tokens=5")
    if dead == "refused":
        provider.fault("c", "refused")
    else:
        provider.fault("c", "slow", seconds=0.2)
        provider.fault("c", "status", status=503)
    before = provider.stats("c").requests
    well: list[float] = []
    ill: list[float] = []
    for _ in range(calls):
        well.append(timed(healthy))
        ill.append(timed(bereaved))
    hits = "-" if dead == "refused" else f"{provider.stats('c').requests - before}/{calls}"
    return Row(name, statistics.median(well), ill[0], ill[1], statistics.median(ill[1:]), hits)


def timed(model: Model) -> float:
    """Milliseconds of one call."""
    start = time.perf_counter()
    model.invoke("tokens=5")
    return (time.perf_counter() - start) * 1000


if __name__ == "__main__":
    main()
