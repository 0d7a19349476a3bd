"""`hotspare disable`."""

from __future__ import annotations

from typing import Annotated

import typer

from hotspare._cli.operations import AppOption, SharedOption, TargetArgument, operate

HELP = """Stop sending calls to a target of a running application, or with --shared of every process of a fleet, until `hotspare enable`.

Calls in flight continue. The application must have called pool.serve_status().
"""


def run(
    target: TargetArgument,
    reason: Annotated[str, typer.Option(help="Shown by status, explain and errors.")] = "by an operator",
    app: AppOption = None,
    shared: SharedOption = None,
) -> None:
    """See `HELP`."""
    operate("disable", app, shared, target=target, reason=reason)
