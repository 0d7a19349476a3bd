"""Entry point of the `hotspare` command."""

from __future__ import annotations

import sys

from hotspare.errors import CallError, HotspareError, MissingExtra

_EXTRA = frozenset({"typer", "rich", "click"})


def main() -> None:
    """Run the command. Exit codes: 0 success, 1 a call failed, 2 wrong usage or configuration, 130 interrupted."""
    try:
        from hotspare._cli.app import app

        app()
    except CallError as error:
        print(error, file=sys.stderr)
        sys.exit(1)
    except HotspareError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        print(MissingExtra("the hotspare command", "cli"), file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
