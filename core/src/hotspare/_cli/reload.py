"""`hotspare reload`."""

from __future__ import annotations

from hotspare._cli.by_hand import AppOption, operate
from hotspare._cli.options import ConfigArgument

HELP = """Have a running application go on with another configuration, or read its own file again, and print what changes.

A wrong configuration changes nothing. The application has called pool.serve_status().
"""


def run(config: ConfigArgument = None, app: AppOption = None) -> None:
    """See `HELP`."""
    operate("reload", app, config=None if config is None else str(config.resolve()))
