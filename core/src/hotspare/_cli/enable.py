"""`hotspare enable`."""

from __future__ import annotations

from hotspare._cli.by_hand import AppOption, TargetArgument, operate

HELP = """Take a target of a running application back into use.

The application has called pool.serve_status().
"""


def run(target: TargetArgument, app: AppOption = None) -> None:
    """See `HELP`."""
    operate("enable", app, target=target)
