"""`hotspare top`."""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Generator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.live import Live

from hotspare._cli.operations import SharedOption
from hotspare._cli.options import LedgerOption, ledger_file
from hotspare._cli.tables import console
from hotspare._control import status_file
from hotspare._control.client import ask
from hotspare.errors import ConfigError
from hotspare.ledger.recent import Recent, read_recent
from hotspare.ledger.schema import open_to_read
from hotspare.monitor.top import View

HELP = """Watch running applications: targets, states, traffic, latency, limits, spending, the latest events.

Applications must have called pool.serve_status(); traffic, spending and events come from their ledger. With
--shared: what the processes of a fleet share; d disables a target in all of them. Keys: arrows or jk select a target,
d drains it, e enables it, q quits.
"""


def run(
    app: Annotated[
        list[Path] | None,
        typer.Option(
            help="Status file of an application; may be repeated. Default: $HOTSPARE_STATUS, else ./hotspare-status.json."
        ),
    ] = None,
    shared: SharedOption = None,
    ledger: LedgerOption = None,
    interval: Annotated[float, typer.Option(help="Seconds between two refreshes.", min=0.1)] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="Print the screen once, and exit.")] = False,
) -> None:
    """See `HELP`."""
    files = app or [status_file()]
    names = [file.stem if len(files) > 1 else file.name for file in files]
    view = View({name: partial(_ask, file) for name, file in zip(names, files, strict=True)})
    if shared is not None:
        from hotspare._cli import fleet

        view = View({"fleet": partial(fleet.ask, fleet.open_fleet(shared))})
    if once or not sys.stdout.isatty():
        view.refresh()
        console().print(view.draw(_recent(ledger), keys=False))
        return
    with _keys(), Live(screen=True, auto_refresh=False) as live:
        while not view.is_over:
            view.refresh()
            live.update(view.draw(_recent(ledger)), refresh=True)
            until = time.monotonic() + interval
            while not view.is_over and (key := _key(until - time.monotonic())):
                view.press(key)
                live.update(view.draw(_recent(ledger)), refresh=True)


def _ask(file: Path, command: str, **values: object) -> object:
    return ask(command, file, **values)


def _recent(ledger: Path | None) -> Recent | None:
    """Recent data from the ledger; None without a ledger."""
    with suppress(ConfigError), closing(open_to_read(ledger_file(ledger))) as found:
        return read_recent(found, time.time())
    return None


def _key(seconds: float) -> str:
    """The key pressed within `seconds`, or ""."""
    if seconds <= 0:
        return ""
    if not sys.stdin.isatty():
        time.sleep(seconds)
        return ""
    if not select.select([sys.stdin], [], [], seconds)[0]:
        return ""
    return os.read(sys.stdin.fileno(), 8).decode(errors="replace")


@contextmanager
def _keys() -> Generator[None]:
    """Read single keys without Enter, if the terminal supports that."""
    try:
        import termios
        import tty
    except ImportError:  # Windows
        yield
        return
    if not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    try:
        tty.setcbreak(sys.stdin)
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
