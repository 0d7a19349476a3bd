"""Runs storms on the wire, several in parallel. Each run is a process with its own client, provider and load."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from rich.console import Console
from rich.progress import track

from benchmarks.clients import Opening
from benchmarks.environments import ROOT
from benchmarks.storms.report import Report, load
from benchmarks.storms.scenarios import Storm
from benchmarks.storms.thresholds import Result, thresholds


def at_once(clients: Sequence[Opening]) -> int:
    """How many storms run in parallel by default, so that they do not disturb each other.

    At 40 calls a second, hotspare, the provider and the load together use an eighth of a core; LiteLLM's Router with fallbacks uses a whole one.
    """
    cores = os.cpu_count() or 1
    return 2 * cores if [one.name for one in clients] == ["hotspare"] else max(1, cores // 2)


@dataclass(frozen=True)
class _Run:
    storm: Storm
    seed: int
    client: str
    command: Sequence[str]
    variables: Mapping[str, str]

    @classmethod
    def of(cls, storm: Storm, seed: int, client: Opening) -> _Run:
        """A run. The client's environment is created if it is missing."""
        arguments = (client.name, storm.name, str(seed), str(storm.seconds))
        return cls(storm, seed, client.name, *client.command("benchmarks.storms.wire", *arguments))

    def result(self) -> Result:
        """Execute it in a process. Raises CalledProcessError if that fails."""
        done = subprocess.run(self.command, cwd=ROOT, env=self.variables, check=True, stdout=subprocess.PIPE, text=True)
        return Result(**json.loads(done.stdout.splitlines()[-1]))


def run_all(storms: Sequence[Storm], seeds: int, clients: Sequence[Opening], parallel: int) -> Report:
    """Run every storm with every client and seed, `parallel` runs at once, and judge them at the end.

    The clients take turns within each storm, so that a busy machine slows all of them. Each run's figures are printed to stderr when it
    has ended.
    """
    runs = [_Run.of(storm, seed, one) for storm in storms for seed in range(1, seeds + 1) for one in clients]
    found: dict[tuple[str, str], list[Result]] = {}
    console = Console(stderr=True)
    with ThreadPoolExecutor(parallel) as threads:
        results = zip(runs, threads.map(_Run.result, runs), strict=True)
        for run, result in track(results, "storms", total=len(runs), console=console, transient=True):
            console.print(_line(run, result), highlight=False, soft_wrap=True)
            found.setdefault((run.storm.name, run.client), []).append(result)
    report = Report(clients=True)
    for storm in storms:
        for one in clients:
            results_of_one = found[storm.name, one.name]
            latency = max(
                storm.latency, *(result.p50 for result in results_of_one)
            )  # the latency recorded on this machine, if it is higher than the storm's
            report.add(storm, one.name, results_of_one, thresholds(replace(storm, latency=latency)))
    return report


def _line(run: _Run, result: Result) -> str:
    back = "" if result.back is None else f", back after {result.back:.2f} s"
    return (
        f"{run.storm.name}, {run.client}, seed {run.seed}: {result.right} of {result.calls} right, {result.wrong} wrong, "
        f"{result.requests:.3f} calls a call, p50 {result.p50:.2f} s, p99 {result.p99:.2f} s{back}; load {load(result)}"
    )
