"""`hotspare alerts`."""

from __future__ import annotations

import json
import time
from contextlib import closing
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.text import Text

from hotspare._cli.delivery import send_to_channels
from hotspare._cli.options import (
    ConfigOption,
    JsonOption,
    LedgerOption,
    SinceOption,
    ledger_file,
    seconds_of,
    since_time,
)
from hotspare._cli.output import printable
from hotspare._cli.tables import console, table
from hotspare.errors import ConfigError, Problem, did_you_mean
from hotspare.ledger.queries import last_alerts
from hotspare.ledger.schema import open_to_read
from hotspare.ledger.silences import silence, silences, unsilence
from hotspare.monitor.channels import Notice

HELP = """Test the channels of a configuration, list what fired, silence rules.

test: send a notice to every channel of the configuration. list: the latest alerts and the silences in force.
silence RULE --for 2h --reason "maintenance": suppress a rule's notices (`*`: all). unsilence RULE: end a silence.
"""
_ACTIONS = ("list", "test", "silence", "unsilence")


def run(
    action: Annotated[str, typer.Argument(help=", ".join(_ACTIONS))] = "list",
    rule: Annotated[str, typer.Argument(help="A rule's name or pattern, for silence and unsilence.")] = "",
    config: ConfigOption = None,
    ledger: LedgerOption = None,
    since: SinceOption = "",
    duration: Annotated[str, typer.Option("--for", help="How long a silence lasts: 30m, 2h, 1d.")] = "1h",
    reason: Annotated[str, typer.Option(help="Shown with the silence.")] = "",
    as_json: JsonOption = False,
) -> None:
    """See `HELP`."""
    if action not in _ACTIONS:
        hint = did_you_mean(action, _ACTIONS, f"use one of {', '.join(_ACTIONS)}")
        raise ConfigError(Problem.at("action", action, f"is unknown; {hint}"))
    if action == "test":
        notice = Notice("test", "info", "Test of hotspare's alerts", "This channel works.", time.time())
        raise typer.Exit(send_to_channels(config, notice))
    if action == "list":
        _list(since_time(since), as_json=as_json, ledger=ledger_file(ledger))
        return
    if not rule:
        raise ConfigError(Problem.at("rule", rule, "must be the name of a rule, or `*` for all"))
    if action == "silence":
        until = time.time() + seconds_of("--for", duration)
        silence(ledger_file(ledger), rule, until, reason)
        print(f"{printable(rule)} is silenced until {_shown(until)}")
    elif unsilence(ledger_file(ledger), rule):
        print(f"{printable(rule)} is no longer silenced")
    else:
        raise ConfigError(
            Problem.at("rule", rule, "is not silenced; `hotspare alerts list` shows the silences in force")
        )


def _list(since: float, *, as_json: bool, ledger: object) -> None:
    with closing(open_to_read(str(ledger))) as connection:
        alerts = [dict(row) for row in last_alerts(connection, 50, since)]
        silent = [dict(row) for row in silences(connection, time.time())]
    if as_json:
        print(json.dumps({"alerts": alerts, "silences": silent}, ensure_ascii=False))
        return
    out = console()
    for row in silent:
        out.print(printable(f"silenced until {_shown(row['until'])}: {row['rule']} {row['reason']}"), markup=False)
    shown = table("at", "event", "rule", "severity", "delivery", "message", box=None, header_style="bold")
    for row in alerts:
        shown.add_row(*(Text("" if value is None else printable(str(value))) for value in row.values()))
    out.print(shown if alerts else "no alerts")


def _shown(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")
