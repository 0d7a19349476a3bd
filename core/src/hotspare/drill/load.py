"""The load of a scenario, from a separate process, so that a busy client cannot delay the calls' arrivals or the faults.

The process runs a script. At each step's time it sends a command to the embedded provider if the step has one, and then
announces the step on stdout. The client starts a call when it reads the announcement, and measures the call's duration from
the step's time in the script, so that the delay of a late client is part of the duration.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE
from typing import Any

from hotspare.drill.provider import Provider, send_command

_LEAD = 0.05
"""Seconds from the first announcement, which states the start of the script, to that start."""

Command = tuple[str, Sequence[str], Mapping[str, Any]]
"""A command of the embedded provider, its endpoints and its options, see `send_command`."""


@dataclass(frozen=True, slots=True)
class ScriptStep:
    """One step of a script. `at`: seconds since its start. Without a command it is only announced: a call arrives."""

    at: float
    command: Command | None = None


@asynccontextmanager
async def run_load(steps: Sequence[ScriptStep], provider: Provider) -> AsyncGenerator[tuple[float, AsyncIterator[int]]]:
    """Run the steps in their order. Yields the start, a value of `time.perf_counter`, and an iterator of the indices of finished steps.

    The iterator raises RuntimeError if the process ends before the script.
    """
    path = os.pathsep.join(p for p in (str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")) if p)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "hotspare.drill.load", stdin=PIPE, stdout=PIPE, start_new_session=True,
        env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    assert process.stdin is not None and process.stdout is not None
    try:
        script = {"control_port": provider.control_port, "steps": [(step.at, step.command) for step in steps]}
        process.stdin.write(json.dumps(script).encode())
        process.stdin.close()
        yield float(await process.stdout.readline() or "nan"), _announced(process.stdout, len(steps))
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _announced(lines: asyncio.StreamReader, expected: int) -> AsyncIterator[int]:
    done = 0
    async for line in lines:
        yield int(line)
        done += 1
    if done < expected:
        raise RuntimeError(f"the load ended after {done} of {expected} steps; its error is on stderr")


def main() -> None:
    """The process: read a script from stdin and run it."""
    script = json.load(sys.stdin)
    start = time.perf_counter() + _LEAD
    _announce(start)
    for index, (at, command) in enumerate(script["steps"]):
        time.sleep(max(0.0, start + at - time.perf_counter()))
        if command is not None:
            send_command(script["control_port"], *command)
        _announce(index)


def _announce(value: float) -> None:
    sys.stdout.write(f"{value}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:  # the client has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
