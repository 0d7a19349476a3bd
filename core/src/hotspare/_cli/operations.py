"""Shared by `hotspare disable`, `enable`, `drain`, `reload` and `reset`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hotspare._cli.output import printable
from hotspare._control import status_file
from hotspare._control.client import ask

TargetArgument = Annotated[str, typer.Argument(help="Name of the target.")]
AppOption = Annotated[
    Path | None,
    typer.Option(
        "--app", help="Status file of the application. Default: $HOTSPARE_STATUS, else ./hotspare-status.json."
    ),
]

SharedOption = Annotated[
    str | None,
    typer.Option(
        "--shared",
        help="The store of a fleet, instead of one application: its URL, or a configuration file with `shared`, so that no"
        " password appears in the process list.",
    ),
]


def operate(command: str, app: Path | None, shared: str | None = None, **values: Any) -> Any:
    """Send a command to the running application or to the fleet, and print the answer."""
    if shared is None:
        answer = ask(command, status_file(app), **values)
    else:
        from hotspare._cli import fleet

        answer = fleet.ask(fleet.open_fleet(shared), command, **values)
    print(printable(str(answer["done"])))
    return answer
