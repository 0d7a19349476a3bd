"""The `hotspare` command. Exit codes: 0 done, 1 a target or the drill failed, 2 wrong use or configuration."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command, or say how to install what it needs."""
    try:
        from hotspare._cli.app import app
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in ("typer", "rich", "click"):
            raise
        print("the command needs an optional dependency: pip install 'hotspare[cli]'", file=sys.stderr)
        sys.exit(2)
    from hotspare.errors import CallError, HotspareError

    try:
        app()
    except CallError as error:
        print(error, file=sys.stderr)
        sys.exit(1)
    except HotspareError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
