"""What the adapters for LiteLLM and LlamaIndex add to a call: CPU time above the framework's own floor. Takes about three minutes.

    python -m benchmarks.floors             # print the table
    python -m benchmarks.floors --write     # and write it into docs/benchmarks.md

The floor is the framework with a custom model in the form of its documentation: whole answers are prepared, chunks are built one by one. The
targets of hotspare's pool answer from memory too. Both give the same text, with its cost, so that LiteLLM calculates none. They take short
turns: each round gives one difference and one ratio. Each framework is measured in a process of its own.
"""

import argparse
import asyncio
import gc
import importlib
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.page import write
from benchmarks.seam import in_turn

ROOT = Path(__file__).parents[2]
FRAMEWORKS = ("with_litellm", "with_llama_index")
CALLS = 4
"""Calls of each contender in a round: few, because the load of the machine changes."""
Times = dict[str, dict[str, list[float]]]
"""Milliseconds by row and contender, one for each round."""


async def _repeat(call: Callable[[], Any], framework: Any) -> None:
    for _ in range(CALLS):
        await call()
    await asyncio.sleep(0)
    await framework.flush()


def milliseconds(runner: asyncio.Runner, row: str, call: Callable[[], Any], framework: Any) -> float:
    """CPU of one call of this row, with what the framework does for it in the background."""
    start = time.process_time()
    if row.endswith(", async"):
        runner.run(_repeat(call, framework))
    else:
        for _ in range(CALLS):
            call()
    framework.wait()
    return (time.process_time() - start) / CALLS * 1e3


def measure(framework: Any, rounds: int) -> Times:
    """Measure one framework."""
    called = framework.contenders()
    gc.collect()
    gc.freeze()  # `in_turn` collects before each turn
    found: Times = {row: {name: [] for name in called} for row in called["floor"]}
    with asyncio.Runner() as runner:
        for number in range(rounds + 1):  # the first one warms up
            for row, times in found.items():
                for name, call in in_turn({name: calls[row] for name, calls in called.items()}, number):
                    spent = milliseconds(runner, row, call, framework)
                    if number:
                        times[name].append(spent)
    return found


def measured(rounds: int) -> Times:
    """Measure each framework in a process of its own."""
    found: Times = {}
    for framework in FRAMEWORKS:
        command = [sys.executable, "-m", "benchmarks.floors", "--framework", framework, "--rounds", str(rounds)]
        found |= json.loads(subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.PIPE).stdout)
    return found


def _middle(values: list[float]) -> str:
    lower, median, upper = statistics.quantiles(values, n=4)
    return f"{median:.2f} ({lower:.2f}-{upper:.2f})"


def table(found: Mapping[str, Mapping[str, list[float]]]) -> str:
    """Markdown: the lowest round of each, and medians with the lower and the upper quartile."""
    heads = [
        "ms of CPU",
        "the floor, lowest",
        "with hotspare, lowest",
        "above, lowest",
        "above, median",
        "ratio, median",
    ]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for row, times in found.items():
        pairs = list(zip(times["floor"], times["hotspare"], strict=True))
        low = min(times["floor"]), min(times["hotspare"])
        lowest = [f"{value:.2f}" for value in (*low, low[1] - low[0])]
        medians = [_middle([ours - floor for floor, ours in pairs]), _middle([ours / floor for floor, ours in pairs])]
        lines.append(f"| {row} | {' | '.join(lowest + medians)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100, help="rounds after the first, which warms up (default 100)")
    parser.add_argument("--write", action="store_true", help="write the table into docs/benchmarks.md")
    parser.add_argument("--framework", choices=FRAMEWORKS, help="measure this one in this process, and print JSON")
    options = parser.parse_args()
    if options.framework:
        results, sys.stdout = sys.stdout, sys.stderr  # libraries may print
        framework = importlib.import_module(f"benchmarks.floors.{options.framework}")
        json.dump(measure(framework, options.rounds), results)
        return
    machine = f"{os.cpu_count()} CPUs ({platform.machine()}), Python {platform.python_version()}"
    text = f"{table(measured(options.rounds))}\n\n{machine}, {options.rounds} rounds."
    print(text)
    if options.write:
        write("floors", text)


if __name__ == "__main__":
    main()
