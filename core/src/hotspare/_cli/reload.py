"""`hotspare reload`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hotspare._cli.operations import AppOption, operate

HELP = """Switch a running application to another configuration, or re-read its own file, and print what changes.

An invalid configuration changes nothing. The application must have called pool.serve_status().
"""


_CONFIG_HELP = "TOML, YAML or JSON file. Default: the file that the application was built from."


def run(
    config: Annotated[Path | None, typer.Argument(help=_CONFIG_HELP)] = None,
    app: AppOption = None,
) -> None:
    """See `HELP`."""
    operate("reload", app, config=None if config is None else str(config.resolve()))
