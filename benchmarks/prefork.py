"""Worker processes of one host that share a limit through a Valkey on a Unix socket, or an SQLite file: ``python -m benchmarks.prefork``.

Each process makes the most frequent request of a pool's agent, `take` of a bucket (the generic cell rate algorithm on one number), a few
times a second, as an agent does. The table shows the time of a request.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from hotspare._shared.memory import take_from
from hotspare._shared.redis_store import RedisStore
from hotspare._shared.store import Bucket

from tests.support.redis_server import newest, redis_server

BUCKET = Bucket("limit", 6e5, 60, 1e4)


def by_file(path: str) -> Callable[[], object]:
    """Takes from a bucket in an SQLite file, with the fastest settings: WAL, no sync to the disk."""
    connection = sqlite3.connect(path, timeout=10, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute("CREATE TABLE IF NOT EXISTS bucket (name TEXT PRIMARY KEY, at REAL)")

    def take() -> None:
        connection.execute("BEGIN IMMEDIATE")
        now = time.monotonic()
        found = connection.execute("SELECT at FROM bucket WHERE name = 'limit'").fetchone()
        arrival, _ = take_from(BUCKET, (found[0] if found else now) - now, 5, 1, 0, 0.5)
        connection.execute("INSERT OR REPLACE INTO bucket VALUES ('limit', ?)", (now + arrival,))
        connection.execute("COMMIT")

    return take


def by_server(url: str) -> Callable[[], object]:
    """Takes from a bucket in a Redis or Valkey."""
    store = RedisStore(url)
    return lambda: store.take(BUCKET, 5, 1, 0, 0.5)


def worker(
    make: Callable[[str], Callable[[], object]],
    where: str,
    rate: float,
    seconds: float,
    results: multiprocessing.Queue[tuple[list[float], float]],
) -> None:
    """One process: takes at random times, `rate` a second (0: without pauses), and reports the time of each take and its CPU time."""
    take, found = make(where), list[float]()
    take()
    until, cpu = time.monotonic() + seconds, time.process_time()
    while time.monotonic() < until:
        if rate:
            time.sleep(random.expovariate(rate))
        began = time.perf_counter()
        take()
        found.append(time.perf_counter() - began)
    results.put((found, time.process_time() - cpu))


def measured(
    make: Callable[[str], Callable[[], object]], where: str, processes: int, rate: float, seconds: float
) -> tuple[list[float], float]:
    """The times of all requests, and the CPU time of all processes."""
    results: multiprocessing.Queue[tuple[list[float], float]] = multiprocessing.Queue()
    started = [
        multiprocessing.Process(target=worker, args=(make, where, rate, seconds, results)) for _ in range(processes)
    ]
    for process in started:
        process.start()
    found = [results.get() for _ in started]
    for process in started:
        process.join()
    return sorted(one for times, _ in found for one in times), sum(cpu for _, cpu in found)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    seconds = float(parser.parse_args().seconds)
    print("| processes | requests/s | store | median | p99 | longest |\n|---:|---:|---|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder, redis_server(newest(), "--unixsocket", f"{folder}/socket") as redis:
        del redis
        for processes, rate in ((8, 5.0), (50, 5.0), (8, 0.0)):
            for name, make, where in (
                ("Valkey, Unix socket", by_server, f"unix://{folder}/socket"),
                ("SQLite file", by_file, str(Path(folder) / f"{os.getpid()}.db")),
            ):
                times, _ = measured(make, where, processes, rate, seconds)
                p99 = times[int(len(times) * 0.99)]
                print(
                    f"| {processes} | {len(times) / seconds:,.0f} | {name} | {statistics.median(times) * 1e3:.2f} ms "
                    f"| {p99 * 1e3:.1f} ms | {times[-1] * 1e3:.0f} ms |"
                )


if __name__ == "__main__":
    main()
