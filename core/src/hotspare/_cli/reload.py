"""`hotspare reload`."""

from __future__ import annotations

from hotspare._cli.operations import AppOption, operate
from hotspare._cli.options import ConfigArgument

HELP = """Switch a running application to another configuration, or re-read its own file, and print what changes.

An invalid configuration changes nothing. The application must have called pool.serve_status().
"""


def run(config: ConfigArgument = None, app: AppOption = None) -> None:
    """See `HELP`."""
    operate("reload", app, config=None if config is None else str(config.resolve()))
