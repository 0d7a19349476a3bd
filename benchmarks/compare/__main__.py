"""Compares clients by the CPU and wall time of one call. Takes about five minutes, and longer if environments must be created.

    python -m benchmarks.compare             # print the table
    python -m benchmarks.compare --write     # and write docs/benchmarks.md and docs/benchmarks.svg

Each client runs in a separate process and environment (`benchmarks/environments.py`), in its current release. The clients take turns in
each round, so that a busy machine slows all of them; each cell is the median of the rounds. The server, in a separate process,
answers immediately.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from benchmarks.compare.report import Results, markdown, svg
from benchmarks.environments import ROOT, python_of
from benchmarks.page import write
from benchmarks.seam import provider

HERE = Path(__file__).parent
CLIENTS = {
    "aiohttp_client": ("aiohttp", "http"),
    "httpx_client": ("httpx", "http"),
    "httpx2_client": ("httpx2", "http"),
    "hotspare": ("hotspare", "http"),
    "openai_sdk": ("openai SDK", "http"),
    "chat_hotspare": ("LangChain, ChatHotspare", "langchain"),
    "chat_openai": ("LangChain, ChatOpenAI alone", "langchain"),
    "with_fallbacks": ("LangChain, with_fallbacks", "langchain"),
    "llama_index_hotspare": ("LlamaIndex, Hotspare", "llama_index"),
    "litellm_hotspare": ("LiteLLM, hotspare/default", "litellm"),
    "litellm_router": ("LiteLLM, Router", "litellm"),
    "pydantic_ai": ("Pydantic AI, FallbackModel", "pydantic_ai"),
}
"""Functions of `contenders`, with their names and environments."""
COLUMNS = {
    "whole answers, 1 at a time": ("whole", 30, 1),
    "whole answers, 100 at a time": ("whole", 100, 100),
    "streams of 50 tokens, 1 at a time": ("stream", 10, 1),
}


class Client:
    """One client in its process."""

    def __init__(self, function: str, environment: str, base: str) -> None:
        command = [python_of(environment), HERE / "contenders.py", function, base]
        settings = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LANGSMITH_TRACING": "false"}
        settings.pop("PYTHONPATH", None)
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=settings
        )

    def timed(self, kind: str, calls: int, concurrency: int) -> tuple[float, float]:
        """CPU and wall seconds of one call."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([kind, calls, concurrency]) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(self._process.communicate()[1][-2000:])
        cpu, wall = json.loads(line)
        return cpu, wall

    def close(self) -> None:
        """End its process."""
        self._process.terminate()
        self._process.communicate()


def measure(rounds: int) -> Results:
    """Times by client and column."""
    results: Results = {name: {column: [] for column in COLUMNS} for name, _ in CLIENTS.values()}
    with ExitStack() as stack:
        base = stack.enter_context(provider())
        clients: dict[str, Client] = {}
        for function, (name, environment) in CLIENTS.items():
            clients[name] = Client(function, environment, base)
            stack.callback(clients[name].close)
        for number in range(rounds + 1):  # the first one warms up
            print(f"round {number} of {rounds}", file=sys.stderr)
            for column, (kind, calls, concurrency) in COLUMNS.items():
                for name, client in clients.items():
                    times = client.timed(kind, calls, concurrency)
                    if number:
                        results[name][column].append(times)
    return results


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="rounds after the first, which warms up (default 5)")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md and docs/benchmarks.svg")
    options = parser.parse_args()
    results = measure(options.rounds)
    machine = (
        f"{os.cpu_count()} CPUs ({platform.machine()}), Python {platform.python_version()}, {options.rounds} rounds"
    )
    text = markdown(results, machine)
    print(text)
    if options.write:
        write("clients", text)
        (ROOT / "docs" / "benchmarks.svg").write_text(svg(results))
    base = statistics.median(cpu for cpu, _ in results["aiohttp"]["whole answers, 1 at a time"])
    print(f"bare aiohttp: {base * 1e6:.0f} µs of CPU a call", file=sys.stderr)


if __name__ == "__main__":
    main()
