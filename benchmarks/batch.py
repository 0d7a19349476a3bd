"""`hotspare batch` during an outage, stopped in the middle and started again: how much is answered, and how much is paid twice.

    python benchmarks/batch.py

2,000 lines, 16 at a time, two providers. The first one goes down after a quarter of the answers; the command is stopped after
two fifths, and started again. The embedded provider counts its answers, which are those to pay for. Takes about a minute.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hotspare.drill.provider import KEY, Provider

LINES, AT_ONCE = 2_000, 16
LATENCY = 0.05
"""Seconds of each answer, long enough that some are in flight when the command is stopped."""


def config_of(provider: Provider, folder: Path) -> Path:
    """Two targets, the second one for outages."""
    path = folder / "hotspare.toml"
    targets = (
        f'[[targets]]\nid = "openai/gpt-4.1"\nname = "{name}"\nbase_url = "{provider.base_url(name)}"\napi_key = "{KEY}"\n'
        for name in ("a", "b")
    )
    path.write_text("".join(targets) + '[routes]\ndefault = ["a", "b"]\n', encoding="utf-8")
    return path


def answered(path: Path) -> list[str]:
    """The ids in the file of answers."""
    if not path.exists():
        return []
    return [
        str(json.loads(line)["custom_id"])
        for line in path.read_bytes().splitlines(keepends=True)
        if line.endswith(b"\n")
    ]


def wait_for(path: Path, lines: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until this many lines are answered, or the process has ended."""
    while process.poll() is None and len(answered(path)) < lines:
        time.sleep(0.02)


def paid(provider: Provider) -> int:
    """The number of answers that the providers gave."""
    return sum(provider.stats(name).outcomes.get("ok", 0) for name in ("a", "b"))


def run_batch(provider: Provider, how: signal.Signals, lines: int = LINES) -> tuple[int, int]:
    """Run the whole batch, stopped once by the signal `how`. Returns the number of paid answers, and of lines in the output (0 if a line is in
    it twice)."""
    provider.reset()
    provider.fault(("a", "b"), "latency", seconds=LATENCY)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source, output = folder / "in.jsonl", folder / "out.jsonl"
        source.write_text(
            "".join(f'{{"custom_id": "{n}", "prompt": "q{n} tokens=5"}}\n' for n in range(lines)), encoding="utf-8"
        )
        command = [
            sys.executable,
            "-m",
            "hotspare",
            "batch",
            str(source),
            str(output),
            "--config",
            str(config_of(provider, folder)),
        ]
        command += ["--concurrency", str(AT_ONCE), "--no-progress"]
        environment = os.environ | {"HOTSPARE_LEDGER": str(folder / "ledger.db")}
        first = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=environment)
        wait_for(output, lines // 4, first)
        provider.fault("a", "status", status=503)
        wait_for(output, lines * 2 // 5, first)
        first.send_signal(how)
        first.wait()
        second = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=environment)
        wait_for(output, lines * 4 // 5, second)
        provider.clear("a")
        second.wait()
        found = answered(output)
    return paid(provider), len(found) if len(set(found)) == len(found) else 0


def main(lines: int = LINES) -> None:
    """Run it with SIGTERM (as at a shutdown), SIGINT (Ctrl-C) and SIGKILL."""
    print(f"{lines:,} lines, {AT_ONCE} at a time, an outage, and stopped in the middle")
    print(f"{'stopped by':12}{'answered once':>16}{'paid':>8}{'paid twice':>12}{'seconds':>9}")
    with Provider(["a", "b"]) as provider:
        for how in (signal.SIGTERM, signal.SIGINT, signal.SIGKILL):
            began = time.perf_counter()
            bought, once = run_batch(provider, how, lines)
            print(f"{how.name:12}{once:16,}{bought:8,}{bought - once:12,}{time.perf_counter() - began:9.0f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else LINES)
