"""`hotspare drill`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from hotspare import Pool
from hotspare._cli.options import JsonOption, config_file
from hotspare._config.loader import load
from hotspare.drill import terminal
from hotspare.drill.html import report_page
from hotspare.drill.metrics import as_dict
from hotspare.drill.run import run_scenario
from hotspare.drill.scenarios import SCENARIOS, Scenario
from hotspare.drill.svg import draw_timeline
from hotspare.errors import ConfigError, Problem, did_you_mean
from hotspare.ledger import Ledger

_MAX_SCALE = 100
MIN_SECONDS = 1.0
"""Shortest phase in seconds: shorter phases show no effect."""
HELP = (
    "Rehearse an outage with real HTTP calls to an embedded provider: no API key, no network, about a minute.\n\n"
    "Every answer is compared with the expected text. The results are printed, and written to a report with a timeline. "
    "Scenarios:\n\n" + "\n\n".join(f"{name}: {scenario.about}" for name, scenario in SCENARIOS.items())
)

_REPORT_HELP = "File of the report: .html, or .svg for the timeline alone; '' for none."
ReportOption = Annotated[str, typer.Option("--report", "--html", help=_REPORT_HELP)]


def run(
    scenario: Annotated[str, typer.Option(help=f"One of {', '.join(SCENARIOS)}.")] = "outage",
    scale: Annotated[float, typer.Option(help="Factor for the length of every phase.", min=0.1)] = 1.0,
    report: ReportOption = "drill-report.html",
    monitor: Annotated[
        Path | None,
        typer.Option("--monitor", help="Use the alert rules and channels of this configuration."),
    ] = None,
    baseline: Annotated[bool, typer.Option("--baseline", help="Also run it with a client without failover.")] = False,
    as_json: JsonOption = False,
    live: Annotated[bool, typer.Option("--live/--no-live", help="Show the progress.")] = True,
) -> None:
    """See `HELP`. Exit code 1 if any call of a pool was lost or got a wrong answer."""
    chosen = _scenario(scenario, scale)
    _check_report(report)
    ledger = f"{report}.ledger.db" if report else ""
    results = run_scenario(
        chosen,
        baseline=baseline,
        watch=lambda: terminal.watch(live and not as_json),
        observe=_observer(ledger, monitor),
    )
    if as_json:
        print(json.dumps({result.name: as_dict(result) for result in results}))
    else:
        terminal.print_tables(results)
    if report:
        draw = draw_timeline if report.endswith(".svg") else report_page
        Path(report).write_text(draw(results), encoding="utf-8")
        if not as_json:
            out = terminal.console()
            out.print(f"Report with timeline: {report}", markup=False, highlight=False, soft_wrap=True)
            out.print(
                f"Ledger: {ledger} (hotspare ledger, hotspare report)", markup=False, highlight=False, soft_wrap=True
            )
    pools = results[: len(chosen.pools)]
    raise typer.Exit(0 if all(result.succeeded for result in pools) else 1)


def _observer(ledger: str, config: Path | None) -> Callable[[Pool], object]:
    """A function that attaches to a pool a new ledger beside the report and, if given, the monitor of a configuration, but without
    the ledger and the metrics port of that monitor, which the application uses."""
    for suffix in ("", "-wal", "-shm"):
        if ledger:
            Path(ledger + suffix).unlink(missing_ok=True)
    if config is None:
        return lambda pool: Ledger(ledger).attach(pool) if ledger else None
    found = load(config_file(config)).monitor
    if found is None or not found.channels:
        raise ConfigError(Problem.at("--monitor", str(config), "has no [[monitor.channels]] to send alerts to"))
    watching = replace(found, ledger=ledger, prometheus="")
    return lambda pool: watching.start(pool, prefix="DRILL")


def _check_report(report: str) -> None:
    """Validate the path before the drill, which takes a minute."""
    folder = Path(report).parent
    if report and (Path(report).is_dir() or not os.access(folder, os.W_OK)):
        raise ConfigError(Problem.at("--report", report, "cannot be written: name a file in a folder that exists"))
    if report and not report.endswith((".html", ".svg")):
        raise ConfigError(Problem.at("--report", report, "must end in .html, or in .svg for the timeline alone"))


def _scenario(name: str, scale: float) -> Scenario:
    if name not in SCENARIOS:
        hint = did_you_mean(name, tuple(SCENARIOS), f"use one of {', '.join(SCENARIOS)}")
        raise ConfigError(Problem.at("--scenario", name, f"is unknown; {hint}"))
    if not scale <= _MAX_SCALE:
        raise ConfigError(Problem.at("--scale", scale, f"must be a number from 0.1 to {_MAX_SCALE}"))
    scenario = SCENARIOS[name]
    return replace(
        scenario,
        phases=tuple(replace(phase, seconds=max(MIN_SECONDS, phase.seconds * scale)) for phase in scenario.phases),
    )
