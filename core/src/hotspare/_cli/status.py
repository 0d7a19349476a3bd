"""`hotspare status`."""

from __future__ import annotations

import json
from typing import Any

import typer
from rich.text import Text

from hotspare._cli.operations import AppOption, SharedOption
from hotspare._cli.options import ConfigArgument, JsonOption, ProbeDeadlineOption, config_file
from hotspare._cli.output import printable
from hotspare._cli.probe import print_probes, probe_targets
from hotspare._cli.tables import console, table
from hotspare._config.loader import load
from hotspare._control import status_file
from hotspare._control.client import ask

HELP = """Show a running application's targets, or send a short request to each target of a configuration.

With --app, or if ./hotspare-status.json or $HOTSPARE_STATUS belongs to an application that has called pool.serve_status(): the health
of its targets. With --shared: what the processes of a fleet share. With a configuration: which targets answer now.
"""


def run(
    config: ConfigArgument = None,
    app: AppOption = None,
    shared: SharedOption = None,
    deadline: ProbeDeadlineOption = 20.0,
    as_json: JsonOption = False,
) -> None:
    """See `HELP`. Exit code 1 if a target does not answer, or would not be called now."""
    if shared is not None:
        from hotspare._cli.fleet import show

        raise typer.Exit(show(shared, as_json=as_json))
    if app is not None or (config is None and status_file().exists()):
        raise typer.Exit(_show(ask("health", status_file(app)), as_json=as_json))
    found = load(config_file(config, "--app, of an application that has called pool.serve_status()"))
    raise typer.Exit(print_probes(found.targets, probe_targets(found, deadline), as_json=as_json))


def _show(health: dict[str, Any], *, as_json: bool) -> int:
    rows: list[dict[str, Any]] = health["targets"]
    if as_json:
        print(json.dumps(health, ensure_ascii=False))
    else:
        shown = table("target", "state", "since", "p50 / p95", "in flight", "limits left", "latest failure")
        for row in rows:
            shown.add_row(*(Text(printable(cell)) for cell in _cells(row)))
        console().print(shown)
    return 0 if all(row["available_in"] == 0 for row in rows) else 1


def _cells(row: dict[str, Any]) -> list[str]:
    state = f"disabled: {row['disabled']}" if row["disabled"] else str(row["state"])
    if row["rate_limited_for"]:
        state += f", rate-limited for {row['rate_limited_for']:.0f} s"
    elif row["available_in"] and not row["disabled"]:
        state += f", retry after {row['available_in']:.0f} s"
    message = row["reason"].partition(": ")[2]
    if row["reason"] and not row["disabled"] and not (message and row["last_error"].endswith(message)):
        state += f": {row['reason']}"
    whole = row["completion_p50"] is not None
    times = [row[f"{'completion' if whole else 'ttft'}_{q}"] for q in ("p50", "p95")]
    failure = f"{_ago(row['last_failure'])} ago: {row['last_error'][:120]}" if row["last_failure"] is not None else ""
    limits = ", ".join(f"{left:.0f} of {name}" for name, left in row["limits_left"].items())
    speeds = "-" if times[0] is None else " / ".join(f"{one:.2f} s" for one in times)
    return [row["target"], state, _ago(row["since"]), speeds, str(row["in_flight"]), limits, failure]


def _ago(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
