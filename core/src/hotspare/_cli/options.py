"""Options that several subcommands share."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from hotspare.errors import ConfigError, Problem
from hotspare.ledger import default_path

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_MAX_SECONDS = 20 * 365 * 86_400
"""Longest duration. A longer one is a mistake, and its start may be before the first date of `datetime`."""
_CONFIG_HELP = "TOML, YAML or JSON file. Default: $HOTSPARE_CONFIG, else ./hotspare.toml."

ConfigArgument = Annotated[Path | None, typer.Argument(help=_CONFIG_HELP)]
ConfigOption = Annotated[Path | None, typer.Option("--config", help=_CONFIG_HELP)]
ProbeDeadlineOption = Annotated[
    float, typer.Option("--deadline", help="Seconds that each target has to answer.", min=0.1)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


LedgerOption = Annotated[
    Path | None,
    typer.Option(
        "--ledger", help="The ledger's file. Default: $HOTSPARE_LEDGER, else ~/.local/state/hotspare/ledger.db."
    ),
]
SinceOption = Annotated[
    str, typer.Option("--since", help="Start of the period: 90s, 15m, 24h, 7d ago, or an ISO time (UTC).")
]


def config_file(path: Path | None, instead: str = "") -> Path:
    """`path`, else the file that HOTSPARE_CONFIG names, else ./hotspare.toml. Raises ConfigError if it does not exist.

    `instead`: an option that makes a file unnecessary.
    """
    source = path or Path(os.environ.get("HOTSPARE_CONFIG") or "hotspare.toml")
    if not source.exists():
        hint = "does not exist; name a file, set HOTSPARE_CONFIG, or create ./hotspare.toml"
        hint += f"; or, instead of a file, use {instead}" if instead else ""
        raise ConfigError(Problem.at("config", str(source), hint))
    return source


def ledger_file(path: Path | None) -> Path:
    """`path`, else the default ledger. Raises ConfigError if HOTSPARE_LEDGER is `off`."""
    found = path or default_path()
    if found is None:
        raise ConfigError(Problem.at("HOTSPARE_LEDGER", "off", "turns the ledger off; name a file with --ledger"))
    return found


def seconds_of(option: str, duration: str, instead: str = "") -> float:
    """`90s`, `15m`, `24h` or `7d` in seconds. Raises ConfigError. `instead`: what else the option accepts, for the message."""
    try:
        seconds = float(duration[:-1]) * _UNITS[duration[-1:]]
    except (ValueError, KeyError):
        seconds = 0.0
    if not 0 < seconds <= _MAX_SECONDS:
        raise ConfigError(Problem.at(option, duration, f"must be like 90s, 15m, 24h, 7d{instead}"))
    return seconds


def since_time(since: str) -> float:
    """Seconds since 1970 of `90s`, `15m`, `24h`, `7d` ago, or of an ISO time (UTC). "": 0. Raises ConfigError."""
    try:
        if since:
            at = datetime.fromisoformat(since)
            return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except ValueError:
        return time.time() - seconds_of("--since", since, " or 2026-01-31T12:00")
    return 0.0
