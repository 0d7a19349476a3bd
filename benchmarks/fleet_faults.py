"""A real Redis and a real Valkey, killed, paused, flushed, made read-only, filled and restarted under load: `make fleet-faults`.

Two pools share the server, with limits, hard budgets and open breakers. A third pool shares nothing and is called in turns with the
first: its times show the part that is not caused by sharing. Calls use the network for the store only.
"""

from __future__ import annotations

import argparse
from collections import Counter

from tests.support.redis_server import newest, oldest, redis_server
from tests.support.store_faults import FAULTS, Fault, Seen, strike

MOST = {"failed": 0.0, "up": 0.002, "down": 0.06, "converged": 3.0}
"""The upper bound of each column, in calls or seconds."""


def row(fault: Fault, seen: Seen) -> tuple[str, bool]:
    """A line of the table, and whether everything in it is within its bounds."""
    (up, alone), (down, quiet) = seen.up, seen.percentile(99)
    values = {"failed": float(seen.failed), "up": up - alone, "down": down - quiet, "converged": seen.converged}
    news = [Counter(one) for one in seen.news]
    each_once = all(one["StoreLost"] == one["StoreBack"] <= 1 for one in news)
    if fault.loses:
        each_once = each_once and all(one["StoreLost"] for one in news)
    calls = sum(len(shared) for shared, _ in seen.seconds.values())
    told = ", ".join(f"{one['StoreLost']}/{one['StoreBack']}" for one in news)
    line = (
        f"{calls:>6} {seen.failed:>7} {1000 * values['up']:>9.2f} ms {1000 * values['down']:>9.1f} ms "
        f"{values['converged']:>9.2f} s   {told}"
    )
    return line, each_once and all(value <= MOST[name] for name, value in values.items())


def main() -> None:
    """Print the table; exit with 1 if something is out of its bounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="length of each fault (default 10)")
    seconds, held = float(parser.parse_args().seconds), True
    print(
        f"{'server':<14} {'fault':<10} {'calls':>6} {'failed':>7} {'up, p50':>12} {'away, p99':>12} {'converged':>11}   lost/back"
    )
    for server in (oldest(), newest()):
        for name, fault in FAULTS.items():
            with redis_server(server) as redis:
                seen = strike(redis, fault, down=seconds, threads=4, rate=50, up=seconds / 2)
            line, is_within = row(fault, seen)
            held = held and is_within
            print(f"{server.name:<14} {name:<10} {line}{'' if is_within else '   NOT WITHIN ITS BOUNDS'}", flush=True)
    print(
        "within the bounds" if held else "not within the bounds",
        "(up and away: added by sharing, at most 2 ms and 60 ms; converged: 3 s)",
    )
    raise SystemExit(not held)


if __name__ == "__main__":
    main()
