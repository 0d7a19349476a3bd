"""Options that several subcommands share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from hotspare.errors import ConfigError, Problem

_CONFIG_HELP = "TOML, YAML or JSON file. Default: $HOTSPARE_CONFIG, else ./hotspare.toml."

ConfigArgument = Annotated[Path | None, typer.Argument(help=_CONFIG_HELP)]
ConfigOption = Annotated[Path | None, typer.Option("--config", help=_CONFIG_HELP)]
ProbeDeadlineOption = Annotated[
    float, typer.Option("--deadline", help="Seconds that each target has to answer.", min=0.1)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def config_file(path: Path | None, instead: str = "") -> Path:
    """`path`, else the file that HOTSPARE_CONFIG names, else ./hotspare.toml. Raises ConfigError if it does not exist.

    `instead`: an option that makes a file unnecessary.
    """
    source = path or Path(os.environ.get("HOTSPARE_CONFIG") or "hotspare.toml")
    if not source.exists():
        hint = "does not exist; name a file, set HOTSPARE_CONFIG, or create ./hotspare.toml"
        hint += f"; or use none: {instead}" if instead else ""
        raise ConfigError(Problem.at("config", str(source), hint))
    return source
