"""`hotspare drill`."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from hotspare._cli.options import JsonOption
from hotspare.drill import terminal
from hotspare.drill.html import report_page
from hotspare.drill.metrics import as_dict
from hotspare.drill.run import run_scenario
from hotspare.drill.scenarios import SCENARIOS, Scenario
from hotspare.drill.svg import draw_timeline
from hotspare.errors import ConfigError, Problem, did_you_mean

_MAX_SCALE = 100
HELP = (
    "Rehearse an outage with real HTTP calls to an embedded provider: no API key, no network, under a minute.\n\n"
    "Every answer is compared with the expected text. The results are printed, and written to a report with a timeline. "
    "Scenarios:\n\n" + "\n\n".join(f"{name}: {scenario.about}" for name, scenario in SCENARIOS.items())
)


def run(
    scenario: Annotated[str, typer.Option(help=f"One of {', '.join(SCENARIOS)}.")] = "outage",
    scale: Annotated[float, typer.Option(help="Factor on the length of every phase.", min=0.1)] = 1.0,
    report: Annotated[
        str, typer.Option(help="File of the report: .html, or .svg for the timeline alone; '' for none.")
    ] = "drill-report.html",
    baseline: Annotated[bool, typer.Option("--baseline", help="Also play it with a client without failover.")] = False,
    as_json: JsonOption = False,
    live: Annotated[bool, typer.Option("--live/--no-live", help="Show the progress.")] = True,
) -> None:
    """See `HELP`. Exit code 1 if any call of a pool was lost or got a wrong answer."""
    played = _scenario(scenario, scale)
    _check_report(report)
    results = run_scenario(played, baseline=baseline, watch=lambda: terminal.watch(live and not as_json))
    if as_json:
        print(json.dumps({result.name: as_dict(result) for result in results}))
    else:
        terminal.print_tables(results)
    if report:
        draw = draw_timeline if report.endswith(".svg") else report_page
        Path(report).write_text(draw(results), encoding="utf-8")
        if not as_json:
            terminal.console().print("Report with timeline:", report, markup=False, highlight=False)
    pools = results[: len(played.pools)]
    raise typer.Exit(0 if all(result.succeeded for result in pools) else 1)


def _check_report(report: str) -> None:
    """Before the drill, which takes a minute."""
    folder = Path(report).parent
    if report and (Path(report).is_dir() or not os.access(folder, os.W_OK)):
        raise ConfigError(Problem.at("report", report, "cannot be written: name a file in a folder that exists"))


def _scenario(name: str, scale: float) -> Scenario:
    if name not in SCENARIOS:
        hint = did_you_mean(name, tuple(SCENARIOS), f"use one of {', '.join(SCENARIOS)}")
        raise ConfigError(Problem.at("scenario", name, f"is unknown; {hint}"))
    if not scale < _MAX_SCALE:
        raise ConfigError(Problem.at("scale", scale, f"must be a number from 0.1 to {_MAX_SCALE}"))
    scenario = SCENARIOS[name]
    return replace(
        scenario, phases=tuple(replace(phase, seconds=max(1.0, phase.seconds * scale)) for phase in scenario.phases)
    )
