"""`hotspare reset`."""

from __future__ import annotations

from hotspare._cli.operations import AppOption, TargetArgument, operate

HELP = """Reset a target of a running application: close its breaker, forget percentiles and learnt limits.

The application must have called pool.serve_status().
"""


def run(target: TargetArgument, app: AppOption = None) -> None:
    """See `HELP`."""
    operate("reset", app, target=target)
