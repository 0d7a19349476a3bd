"""Plays the storms: in virtual time, or on the real wire beside other clients. Exits with 1 if hotspare misses a threshold.

python -m benchmarks.storms                     # every storm in virtual time, three seeds
python -m benchmarks.storms flaps               # the storms with this word in their name
python -m benchmarks.storms --wire flaps        # on the wire, the clients in turns, 40 s each
python -m benchmarks.storms --wire --seeds 3 --seconds 20 flaps
"""

import argparse
import json
import subprocess
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from typing import TypeVar

from rich.console import Console
from rich.progress import track

from benchmarks.clients import CLIENTS, Opening
from benchmarks.environments import ROOT
from benchmarks.storms.report import Report
from benchmarks.storms.scenarios import SECONDS, STORMS, Storm, shortened
from benchmarks.storms.thresholds import Result, thresholds
from benchmarks.storms.twin import play

T = TypeVar("T")


def main() -> None:
    """Play and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="words of the storms' names; default: all storms")
    parser.add_argument("--wire", action="store_true", help="on the real wire, beside other clients")
    parser.add_argument("--seeds", type=int, help="how many (default 3, on the wire 1)")
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, help="length of a storm (default 40; 20 is short and fair)"
    )
    options = parser.parse_args()
    chosen = [one for one in STORMS if not options.words or any(word in one.name for word in options.words)]
    if not chosen:
        parser.error(f"no storm has one of these words in its name: {', '.join(options.words)}")
    try:
        storms = [shortened(one, options.seconds) for one in chosen]
    except ValueError as error:
        parser.error(f"--seconds: {error}")
    report = _on_the_wire(storms, options.seeds or 1) if options.wire else _in_virtual_time(storms, options.seeds or 3)
    report.print()
    raise SystemExit(report.missed > 0)


def _in_virtual_time(storms: list[Storm], seeds: int) -> Report:
    report = Report()
    plays = [(storm, seed) for storm in storms for seed in range(1, seeds + 1)]
    with ProcessPoolExecutor() as processes:
        results = list(_tracked(processes.map(play, *zip(*plays, strict=True)), len(plays)))
    for number, storm in enumerate(storms):
        report.add(storm, "hotspare", results[number * seeds : (number + 1) * seeds], thresholds(storm))
    return report


def _on_the_wire(storms: list[Storm], seeds: int) -> Report:
    """The clients take turns within each storm, so that a busy machine slows all of them."""
    clients = [one for one in CLIENTS if one.failover]
    plays = [(storm, seed, one) for storm in storms for seed in range(1, seeds + 1) for one in clients]
    found: dict[tuple[str, str], list[Result]] = {}
    for storm, seed, one in _tracked(plays, len(plays)):
        found.setdefault((storm.name, one.name), []).append(_play(one, storm, seed))
    report = Report(clients=True)
    for storm in storms:
        for one in clients:
            results = found[storm.name, one.name]
            latency = max(storm.latency, *(result.p50 for result in results))  # the record is that of this machine
            report.add(storm, one.name, results, thresholds(replace(storm, latency=latency)))
    return report


def _tracked(plays: Iterable[T], total: int) -> Iterable[T]:
    return track(plays, "storms", total=total, console=Console(stderr=True), transient=True)


def _play(client: Opening, storm: Storm, seed: int) -> Result:
    """One storm with one client, in a process with the client's own environment."""
    command, variables = client.command(
        "benchmarks.storms.wire", client.name, storm.name, str(seed), str(storm.seconds)
    )
    done = subprocess.run(command, cwd=ROOT, env=variables, check=True, stdout=subprocess.PIPE, text=True)
    return Result(**json.loads(done.stdout.splitlines()[-1]))


if __name__ == "__main__":
    main()
