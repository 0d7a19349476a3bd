"""`hotspare disable`."""

from __future__ import annotations

from typing import Annotated

import typer

from hotspare._cli.by_hand import AppOption, SharedOption, TargetArgument, operate

HELP = """Have a running application, or with --shared every process of a fleet, send no further call to a target, until `hotspare enable`.

Calls under way go on. The application has called pool.serve_status().
"""


def run(
    target: TargetArgument,
    reason: Annotated[str, typer.Option(help="Shown by status, explain and errors.")] = "by hand",
    app: AppOption = None,
    shared: SharedOption = None,
) -> None:
    """See `HELP`."""
    operate("disable", app, shared, target=target, reason=reason)
