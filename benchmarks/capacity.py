"""The load of a fleet of 10,000 processes on its Redis, simulated in virtual time: ``python -m benchmarks.capacity``.

It counts commands, messages to subscribers, and bytes (`tests/support/large_fleet.py`), and measures the time of each command at a real
server. From both follows how much of one core of Redis the fleet needs.
"""

from __future__ import annotations

import argparse
import gc
import logging
import sys
import time
from collections.abc import Callable

from hotspare._health.facts import Fact
from hotspare._shared.redis_store import RedisStore
from hotspare._shared.store import Bucket
from hotspare.testing import fail

from tests.support.large_fleet import Count, LargeFleet
from tests.support.redis_server import newest, redis_server


def run_phases(
    processes: int, calls: float, limit: float | None, seconds: float
) -> list[tuple[str, float, Count, int]]:
    """Each phase: its name, its seconds, the counted traffic, and the number of calls that the first target got."""
    fleet = LargeFleet(processes, calls, limit)
    fleet.pass_time(5)
    found: list[tuple[str, float, Count, int]] = []
    for name, step, lasts in (
        ("steady", "ok", seconds),
        ("outage", fail(503), seconds * 3),
        ("recovery", "ok", seconds),
    ):
        fleet.step, before = step, fleet.calls
        print(f"  {name} …", end="\r", file=sys.stderr, flush=True)
        found.append((name, lasts, fleet.pass_time(lasts), fleet.calls - before))
    assert not fleet.failed
    return found


def microseconds() -> dict[str, float]:
    """The time of each command in a real server, by `INFO commandstats` (without the network)."""
    found: dict[str, float] = {}
    with redis_server(newest()) as redis:
        store, client = RedisStore(redis.url), redis.client()
        fact = Fact("subject", "health", "open", 10.0, name="target", cause="server", level=1.0)
        store.write([fact])
        version = store.sync("me").version
        bucket = Bucket("limit", 1e6, 60, 1e4)
        works: dict[str, Callable[[], object]] = {
            "sync": lambda: store.sync("me", version),
            "write": lambda: store.write([fact]),
            "lease": lambda: store.lease("subject", "me", 1.0),
            "release": lambda: store.release("subject", "other"),
            "take": lambda: store.take(bucket, 5, 1, 0, 0.5),
        }
        for name, work in works.items():
            work()
            client.config_resetstat()
            for _ in range(2000):
                work()
            stats = client.info("commandstats")["cmdstat_evalsha"]
            found[name] = stats["usec"] / 2000
    return found


def main() -> None:
    """Run the simulation, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=10_000)
    parser.add_argument("--calls", type=float, default=0.5, help="calls a second of each process (default 0.5)")
    parser.add_argument(
        "--limit",
        type=float,
        default=None,
        help="requests a minute of all processes at the first target (default: none)",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=10.0,
        help="length of the steady traffic (default 10); the outage is three times as long",
    )
    given = parser.parse_args()
    logging.getLogger("hotspare").setLevel(logging.ERROR)  # one line for each process would hide the table
    gc.disable()  # collections would take most of the time, because they visit ten thousand pools
    began = time.monotonic()
    cost = microseconds()
    cost["alive"], cost["sync"] = cost["sync"] / 2, cost["sync"] / 2
    print(
        f"{given.processes:,} processes, {given.calls:g} calls a second each"
        + (f", a limit of {given.limit:g} a minute" if given.limit else "")
    )
    print(
        "| | commands/s | a process | core of Redis | messages/s | MB/s | calls to the first target |\n|---|---:|---:|---:|---:|---:|---:|"
    )
    for name, seconds, counted, calls in run_phases(given.processes, given.calls, given.limit, given.seconds):
        busy = sum(number * cost[kind] for kind, number in counted.commands.items()) / seconds / 1e6
        print(
            f"| {name} | {counted.total / seconds:,.0f} | {counted.total / seconds / given.processes:.2f} | {busy:.0%} "
            f"| {counted.messages / seconds:,.0f} | {counted.bytes / seconds / 1e6:.1f} | {calls:,} |"
        )
        print(f"  {counted.commands}", file=sys.stderr)
    print(
        f"A command takes {', '.join(f'{name} {found:.0f}' for name, found in cost.items())} µs. Simulated in {time.monotonic() - began:.0f} s."
    )


if __name__ == "__main__":
    main()
