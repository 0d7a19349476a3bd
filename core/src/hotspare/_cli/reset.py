"""`hotspare reset`."""

from __future__ import annotations

from hotspare._cli.by_hand import AppOption, TargetArgument, operate

HELP = """Have a running application forget what a target's attempts have shown: its breaker closes, learnt limits are gone.

The application has called pool.serve_status().
"""


def run(target: TargetArgument, app: AppOption = None) -> None:
    """See `HELP`."""
    operate("reset", app, target=target)
