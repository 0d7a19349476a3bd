"""Plays the storms: in virtual time, or on the real wire beside other clients.

python -m benchmarks.storms                     # every storm in virtual time, three seeds
python -m benchmarks.storms flaps               # the storms with this word in their name
python -m benchmarks.storms --wire flaps        # on the wire, the clients in turns, 40 s each
python -m benchmarks.storms --wire --seeds 3 --seconds 20 flaps
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.storms.scenarios import STORMS, Storm
from benchmarks.storms.twin import play

ROOT = Path(__file__).parents[2]


def main() -> None:
    """Play and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="words of the storms' names; default: all storms")
    parser.add_argument(
        "--wire", action="store_true", help="on the real wire, beside the peers whose environments are there"
    )
    parser.add_argument("--seeds", type=int, help="how many (default 3, on the wire 1)")
    parser.add_argument("--seconds", type=float, help="length of a storm on the wire (default: its own, 40)")
    options = parser.parse_args()
    storms = [one for one in STORMS if not options.words or any(word in one.name for word in options.words)]
    if options.wire:
        _on_the_wire(storms, options.seeds or 1, options.seconds)
    else:
        _in_virtual_time(storms, options.seeds or 3)


def _in_virtual_time(storms: list[Storm], seeds: int) -> None:
    print(f"{'':36} {'right %, by seed':^21} {'calls':>6} {'p50':>7} {'p99':>7} {'back':>6}")
    for storm in storms:
        found = [play(storm, seed) for seed in range(1, seeds + 1)]
        back = [one.back for one in found if one.back is not None]
        print(
            f"{storm.name:36} {' '.join(f'{100 * one.share:6.2f}' for one in found)} {max(one.requests for one in found):6.2f}"
            f" {max(one.p50 for one in found):6.2f}s {max(one.p99 for one in found):6.2f}s {max(back, default=0):5.1f}s"
        )


def _on_the_wire(storms: list[Storm], seeds: int, seconds: float | None) -> None:
    """The clients take turns within each storm, so that a busy machine slows all of them. The table is Markdown."""
    from benchmarks.storms.clients import CLIENTS

    there = [one for one in CLIENTS if one.environment is None or (ROOT / one.environment / "bin" / "python").exists()]
    for missing in [one.name for one in CLIENTS if one not in there]:
        print(f"left out: {missing}, which has no environment (make storms-wire makes it)", file=sys.stderr)
    print(
        "| storm | client | right | upstream calls a call | p50 | p99 | back after | late by |\n|---|---|---|---|---|---|---|---|"
    )
    for storm in storms:
        rows: dict[str, list[dict[str, Any]]] = {one.name: [] for one in there}
        for seed in range(1, seeds + 1):
            for one in there:
                python = sys.executable if one.environment is None else str(ROOT / one.environment / "bin" / "python")
                rows[one.name].append(_play(python, one.name, storm, seed, seconds or storm.seconds))
        for name, found in rows.items():
            print(f"| {storm.name} | {name} | " + " | ".join(_cells(found)) + " |", flush=True)


def _play(python: str, client: str, storm: Storm, seed: int, seconds: float) -> dict[str, Any]:
    """One storm with one client, in a process with the client's own environment."""
    command = [python, "-m", "benchmarks.storms.wire", client, storm.name, str(seed), str(seconds)]
    variables = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    done = subprocess.run(command, cwd=ROOT, env=variables, check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _cells(found: list[dict[str, Any]]) -> list[str]:
    """The worst of the seeds. `late by`: by how much the client was late to begin a call, which is part of its time."""
    right = min(one["right"] / one["calls"] for one in found)
    back = [one["back"] for one in found if one["back"] is not None]
    return [
        f"{100 * right:.2f} %", f"{max(one['requests'] for one in found):.2f}", f"{max(one['p50'] for one in found):.2f} s",
        f"{max(one['p99'] for one in found):.2f} s", f"{max(back):.1f} s" if back else "-", f"{max(one['late'] for one in found):.2f} s",
    ]  # fmt: skip


if __name__ == "__main__":
    main()
