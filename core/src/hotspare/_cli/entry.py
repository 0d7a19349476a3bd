"""Entry point of the `hotspare` command."""

from __future__ import annotations

import logging
import os
import sys

from hotspare._cli.output import printable, replace_unprintable
from hotspare.errors import CallError, HotspareError, MissingExtra

_EXTRA = frozenset({"typer", "rich", "click"})


def main() -> None:
    """Run the command. Exit codes: 0 success, 1 a call failed, 2 wrong usage or configuration, 130 interrupted."""
    replace_unprintable()
    logging.getLogger("hotspare").addHandler(
        logging.NullHandler()
    )  # errors are printed anyway; HOTSPARE_LOG adds the log
    try:
        from hotspare._cli.app import app

        app()
    except CallError as error:
        print(f"{printable(str(error))}\nSee {error.docs}", file=sys.stderr)
        sys.exit(1)
    except HotspareError as error:
        print(f"{printable(str(error))}\nSee {error.docs}", file=sys.stderr)
        sys.exit(2)
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        print(MissingExtra("the hotspare command", "cli"), file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # the output's reader has ended, as in `hotspare chat … | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at exit
        sys.exit(1)
