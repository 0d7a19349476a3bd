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


def operate(command: str, app: Path | None, **values: Any) -> Any:
    """Have the running application do this, and print what it says."""
    answer = ask(command, status_file(app), **values)
    print(printable(str(answer["done"])))
    return answer
