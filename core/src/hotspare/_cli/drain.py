"""`hotspare drain`."""

from __future__ import annotations

from typing import Annotated

import typer

from hotspare._cli.operations import AppOption, TargetArgument, operate

HELP = """Disable a target of a running application, and wait until no attempt is in flight there.

Exit code 1 if the time ends first. The application must have called pool.serve_status().
"""


def run(
    target: TargetArgument,
    timeout: Annotated[float, typer.Option(help="Seconds to wait at most.", min=0)] = 60.0,
    app: AppOption = None,
) -> None:
    """See `HELP`."""
    answer = operate("drain", app, target=target, timeout=timeout)
    raise typer.Exit(0 if answer["drained"] else 1)
