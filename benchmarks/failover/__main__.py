"""Runs the sixteen failover scenarios with both faces of a pool, over real sockets. Takes about six minutes.

python -m benchmarks.failover              # twenty runs, four at a time
python -m benchmarks.failover --runs 1 cut # the scenarios with this word in their name, once
"""

import argparse
import logging
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from hotspare.drill.provider import Provider

from benchmarks.failover.runner import FACES, endpoints, run_scenario
from benchmarks.failover.scenarios import SCENARIOS, Scenario

_BETWEEN = 0.04
"""Seconds between the starts of two runs: if a hundred start at the same moment, their calls wait for this process."""


def main() -> None:
    """Run the scenarios, print a table, and exit with 1 if one has failed at least once."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="words of the names of the scenarios; default: all")
    parser.add_argument("--runs", type=int, default=20, help="runs of each scenario and face (default 20)")
    parser.add_argument("--at-once", type=int, default=4, help="runs at the same time (default 4)")
    options = parser.parse_args()
    chosen = [one for one in SCENARIOS if not options.words or any(word in one.name for word in options.words)]
    logging.disable(logging.CRITICAL)
    found = [
        one
        for first in range(0, options.runs, options.at_once)
        for one in _together(chosen, range(first, min(first + options.at_once, options.runs)))
    ]
    passed = Counter((scenario.name, face) for scenario, face, problems in found if not problems)
    print("| scenario | " + " | ".join(FACES) + " |\n|---|" + "---|" * len(FACES))
    for scenario in chosen:
        print(f"| {scenario.name} |" + "".join(f" {passed[scenario.name, face]} of {options.runs} |" for face in FACES))
    for (name, face, problem), count in Counter(
        (scenario.name, face, problem) for scenario, face, problems in found for problem in problems
    ).items():
        print(f"\n{name}, {face}, {count} times: {problem}")
    raise SystemExit(any(problems for _, _, problems in found))


def _together(chosen: list[Scenario], runs: range) -> list[tuple[Scenario, str, list[str]]]:
    """Run all scenarios of some runs with both faces at the same time, each with separate targets."""

    def started(*args: Any) -> Future[list[str]]:
        time.sleep(_BETWEEN)
        return threads.submit(run_scenario, *args)

    names = {
        (one.name, face, run): f"{number}-{face}-{run}"
        for number, one in enumerate(chosen)
        for face in FACES
        for run in runs
    }
    ends = [end for name in names.values() for end in endpoints(name).values()]
    with Provider(ends) as provider, ThreadPoolExecutor(len(names)) as threads:
        futures: list[tuple[Scenario, str, Future[list[str]]]] = [
            (one, face, started(one, face, provider, names[one.name, face, run]))
            for one in chosen
            for face in FACES
            for run in runs
        ]
        return [(one, face, future.result()) for one, face, future in futures]


if __name__ == "__main__":
    main()
