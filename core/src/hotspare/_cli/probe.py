"""A short request to each target of a configuration, for `check` and `status`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from rich.console import Console
from rich.text import Text

from hotspare import AttemptRecord, CallError, Kind, Pool, Target, Timeouts
from hotspare._cli.output import printable
from hotspare._cli.tables import console, table
from hotspare._config.loader import Config

_PARALLEL = 16
_MESSAGE = 300
"""Longest error message in the table, in characters."""


def probe_targets(config: Config, deadline: float) -> list[AttemptRecord]:
    """One attempt at each target, each in a separate pool, so that a failure does not affect other targets."""

    def probe(target: Target) -> AttemptRecord:
        with Pool(
            [target], transport=config.transport, verify=config.verify, cert=config.cert, proxy=config.proxy, deadline=deadline, max_attempts=1,
            completion="wait", when_all_down="fail", timeouts=Timeouts(start_min=0),
        ) as pool:  # fmt: skip
            try:
                return pool.chat("Say ok.", max_tokens=16).attempts[-1]
            except CallError as error:
                return error.attempts[-1]

    with ThreadPoolExecutor(_PARALLEL) as threads, Console(stderr=True).status("sending a request to each target"):
        return list(threads.map(probe, config.targets))


def print_probes(targets: Sequence[Target], attempts: Sequence[AttemptRecord], *, as_json: bool) -> int:
    """Print one row per target. Returns the exit code: 0 if every target answered, else 1."""
    if as_json:
        rows = [
            {"target": one.target, "kind": one.kind, "seconds": round(one.seconds, 3), "status": one.status, "message": one.message}
            for one in attempts
        ]  # fmt: skip
        print(json.dumps(rows, ensure_ascii=False))
    else:
        shown = table("target", "region", "outcome", "latency", "message")
        for target, one in zip(targets, attempts, strict=True):
            colour = "green" if one.kind is Kind.OK else "red"
            outcome = f"{one.kind} {one.status}" if one.status else str(one.kind)
            # Text, because rich would parse a string as markup, and providers' messages may contain brackets.
            cells = (
                target.name,
                target.region or "-",
                outcome,
                f"{one.seconds:.2f} s",
                printable(one.message[:_MESSAGE]),
            )
            shown.add_row(*(Text(cell, style=colour if cell is outcome else "") for cell in cells))
        console().print(shown)
    return 0 if all(one.kind is Kind.OK for one in attempts) else 1
