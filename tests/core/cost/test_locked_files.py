"""A file that another process has locked: calls in an event loop wait for it, and nothing else in the loop does."""

import sqlite3
import threading
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import anyio
import pytest
from hotspare import Budget, Cache, CacheEntry, Pool, Price
from hotspare.testing import ScriptedTarget

BEATS = 20
"""Turns of the loop, 5 ms apart, after which the lock is given back: 0.1 s, far less than a call waits for a file."""


def beside(lock: sqlite3.Connection, call: Callable[[], Awaitable[object]], backend: str) -> int:
    """Make the call while the lock is held, until the loop itself gives it back. Returns how many times the loop had run by the end."""
    beats, is_over = 0, False

    async def calling() -> None:
        nonlocal is_over
        await call()
        is_over = True

    async def main() -> None:
        nonlocal beats
        async with anyio.create_task_group() as group:
            group.start_soon(calling)
            while not is_over:
                await anyio.sleep(0.005)
                beats += 1
                if beats == BEATS:
                    lock.execute("ROLLBACK")

    lock.execute("BEGIN IMMEDIATE")
    anyio.run(main, backend=backend)
    return beats


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_spend_file(backend: str, tmp_path: Path) -> None:
    """A call that blocked its loop would wait for the lock in vain, and what it has spent would not be kept."""
    path, target = str(tmp_path / "spent.db"), ScriptedTarget("a", price=Price(1, 1)).target
    budgets = [Budget(usd=9, per="day")]
    with (
        Pool(target, budgets=budgets, spend_file=path) as pool,
        closing(sqlite3.connect(path, isolation_level=None)) as other,
    ):
        assert beside(other, lambda: pool.achat("q"), backend) >= BEATS
        with Pool(target, budgets=budgets, spend_file=path) as again:
            assert again.spent() == pool.spent() != {}


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_cache(backend: str, tmp_path: Path) -> None:
    """The answer is written once the lock is free, and the next call finds it."""
    path, found = str(tmp_path / "cache.db"), list[str | None]()

    async def twice() -> None:
        for _ in range(2):
            found.append((await pool.achat("q")).cached)

    with Pool(ScriptedTarget("a").target, cache=Cache(path=path)) as pool:
        pool.chat("before")
    with (
        Pool(ScriptedTarget("a").target, cache=Cache(path=path)) as pool,
        closing(sqlite3.connect(path, isolation_level=None)) as other,
    ):
        assert beside(other, twice, backend) >= BEATS
    assert found == [None, "hit"]


class Waiting:
    """A store that waits for the event loop."""

    def __init__(self) -> None:
        self.ready = threading.Event()

    def get(self, key: str) -> CacheEntry | None:
        """Nothing, once the loop has gone on."""
        assert self.ready.wait(30)
        return None

    def put(self, key: str, entry: CacheEntry, keep: float) -> None:
        """Nothing is kept."""


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_store_of_the_users_own(backend: str) -> None:
    """It may block: a thread uses it, and the loop continues meanwhile."""
    store = Waiting()

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(pool.achat, "q")
            await anyio.sleep(0.05)
            store.ready.set()

    with Pool(ScriptedTarget("a").target, cache=Cache(store=store)) as pool:
        anyio.run(main, backend=backend)
    assert store.ready.is_set()
