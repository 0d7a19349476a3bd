"""`hotspare enable`."""

from __future__ import annotations

from hotspare._cli.operations import AppOption, SharedOption, TargetArgument, operate

HELP = """Take a target of a running application, or with --shared of every process of a fleet, back into use.

The application must have called pool.serve_status().
"""


def run(target: TargetArgument, app: AppOption = None, shared: SharedOption = None) -> None:
    """See `HELP`."""
    operate("enable", app, shared, target=target)
