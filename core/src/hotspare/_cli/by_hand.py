"""What `hotspare disable`, `enable`, `drain` and `reset` share."""

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
        help="The store of a fleet, in place of one application: its URL, or a configuration that names it in `shared`, so that no"
        " password stands in the list of processes.",
    ),
]


def operate(command: str, app: Path | None, shared: str | None = None, **values: Any) -> Any:
    """Have the running application, or the whole fleet, do this, and print what it says."""
    if shared is None:
        answer = ask(command, status_file(app), **values)
    else:
        from hotspare._cli import fleet

        answer = fleet.ask(fleet.open_fleet(shared), command, **values)
    print(printable(str(answer["done"])))
    return answer
