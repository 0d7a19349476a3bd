"""A thundering herd: two targets are down for 8 s, 400 calls wait, then both recover with little capacity. Measures the lost calls.

python -m benchmarks.storms.herd                          # five rooms, five seeds, in virtual time: half a minute
python -m benchmarks.storms.herd --wire                   # on the wire, one after the other: ten minutes
python -m benchmarks.storms.herd --rooms 5 --seeds 1 --wire

50 calls a second for 15 s, with a deadline of 30 s. From the eighth second on each target answers `room` concurrent calls, in
0.2 s, and rejects all others with a 503. Exits with 1 if 2 % of the calls of one run are lost.
"""

import argparse
import asyncio
import logging

from hotspare.drill.labels import percent
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks.storms.scenarios import Fault, Storm
from benchmarks.storms.thresholds import Result
from benchmarks.storms.twin import storm_result
from benchmarks.storms.wire import run_on_wire

ROOMS = (5, 10, 20, 40, 80)
MOST_LOST = 0.02
_TARGETS = {"a": ("p/m", "r1"), "b": ("q/m", "r2")}


def herd(room: int, *, busy: float = 0.0) -> Storm:
    """The storm. `room`: concurrent calls that each of the two targets can answer after the outage. `busy`: see `Storm`."""
    faults = (Fault("status", start=0.0, end=8.0, status=503), Fault("crowd", start=8.0, end=99.0, room=room))
    return Storm(
        f"room for {room}", dict.fromkeys(_TARGETS, faults), rate=50.0, seconds=15.0, deadline=30.0, latency=0.2, ids=_TARGETS, busy=busy,
    )  # fmt: skip


def main() -> None:
    """Run the storms, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--rooms", type=int, nargs="+", default=ROOMS, help="concurrent calls that each target can answer"
    )
    parser.add_argument("--seeds", type=int, default=5, help="how many (default 5)")
    parser.add_argument("--wire", action="store_true", help="on the real wire")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    table = Table("room", "calls", "lost", "lost, worst seed", "calls a call", "p99 s", box=SIMPLE_HEAD)
    worst = 0.0
    for room in options.rooms:
        found = [_run(herd(room), seed, wire=options.wire) for seed in range(1, options.seeds + 1)]
        lost = [1 - one.share for one in found]
        worst = max(worst, *lost)
        row = (sum(one.calls for one in found), percent(sum(lost) / len(lost)), percent(max(lost)))
        figures = (f"{max(one.requests for one in found):.3f}", f"{max(one.p99 for one in found):.2f}")
        table.add_row(str(room), *map(str, row), *figures)
    Console().print(table)
    raise SystemExit(worst >= MOST_LOST)


def _run(storm: Storm, seed: int, *, wire: bool) -> Result:
    return Result(**asyncio.run(run_on_wire("hotspare", storm, seed))) if wire else storm_result(storm, seed)


if __name__ == "__main__":
    main()
