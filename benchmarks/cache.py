"""The time of a call that is answered from a cache of 10,000 answers. Takes about a minute.

    python benchmarks/cache.py

Each row is one store, and one of the pool's faces. `all`: every hit of five rounds. `quickest`: the fastest of the five hits of each
key, so that other load on the machine does not count. The last line counts requests at the target.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from hotspare import Cache, ChatReply, Pool
from hotspare.testing import ScriptedTarget

KEYS, ROUNDS, AT_ONCE = 10_000, 5, 100
LENGTH = 2_000
"""Characters of an answer, about 400 tokens."""
Ask = Callable[[Pool, list[str]], list[float]]


def time_calls(pool: Pool, questions: list[str]) -> list[float]:
    """The seconds of each of these calls."""
    found: list[float] = []
    for question in questions:
        start = time.perf_counter()
        reply = pool.chat(question)
        found.append(time.perf_counter() - start)
        _check(reply)
    return found


def time_async_calls(pool: Pool, questions: list[str]) -> list[float]:
    """The same in an event loop."""

    async def ask() -> list[float]:
        found: list[float] = []
        for question in questions:
            start = time.perf_counter()
            reply = await pool.achat(question)
            found.append(time.perf_counter() - start)
            _check(reply)
        return found

    return asyncio.run(ask())


def _check(reply: ChatReply) -> None:
    if reply.cached != "hit":
        sys.exit("a call was not answered from the cache")


def row(label: str, cache: Cache, ask: Ask, keys: int) -> None:
    """Fill a cache, make the calls for each answer, and print their times."""
    target = ScriptedTarget("a", "x" * LENGTH)
    questions = [f"question {number}: {'what does this text say? ' * 20}" for number in range(keys)]
    with Pool([target.target], cache=cache) as filling:
        for question in questions:
            filling.chat(question)
        pool = (
            Pool([target.target], cache=cache) if cache.path else filling
        )  # a file is read by a pool that has not written it
        ask(pool, questions[:100])
        cpu = time.process_time()
        rounds = [ask(pool, questions) for _ in range(ROUNDS)]
        cpu = (time.process_time() - cpu) / keys / ROUNDS
    everything = sorted(seconds for one in rounds for seconds in one)
    quickest = sorted(min(hits) for hits in zip(*rounds, strict=True))
    figures = [everything[len(everything) // 2], everything[int(len(everything) * 0.95)]]
    figures += [quickest[len(quickest) // 2], quickest[int(len(quickest) * 0.95)], cpu]
    print(f"{label:24}" + "".join(f"{1e6 * one:10.0f}" for one in figures))


def at_once() -> int:
    """The number of requests for `AT_ONCE` identical concurrent calls."""
    target = ScriptedTarget("a", "x" * LENGTH)

    async def ask() -> None:
        pool = Pool([target.target], cache=Cache())
        await asyncio.gather(*(pool.achat("q") for _ in range(AT_ONCE)))

    asyncio.run(ask())
    return target.calls


def main(keys: int = KEYS) -> None:
    """All rows."""
    print(f"{keys:,} answers of {LENGTH:,} characters, microseconds per hit")
    names = ("all p50", "all p95", "quickest", "its p95", "CPU")
    print(f"{'':24}" + "".join(f"{name:>10}" for name in names))
    with tempfile.TemporaryDirectory() as folder:
        for number, (face, ask) in enumerate((("threads", time_calls), ("asyncio", time_async_calls))):
            row(f"memory, {face}", Cache(max_entries=2 * keys), ask, keys)
            row(f"SQLite, {face}", Cache(max_entries=2 * keys, path=str(Path(folder) / f"{number}.db")), ask, keys)
    print(f"{AT_ONCE} identical calls at one time: {at_once()} request")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else KEYS)
