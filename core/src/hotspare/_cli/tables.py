"""Tables for terminals, files and pipes."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

PIPED_WIDTH = 200
"""Width in characters if the output is a file or a pipe, which have none."""


def console() -> Console:
    """The console for stdout."""
    found = Console()
    return found if found.is_terminal else Console(width=PIPED_WIDTH)


def table(*heads: str, **options: Any) -> Table:
    """A table with these columns. Long cells wrap, so that no name is cut short."""
    made = Table(**options)
    for head in heads:
        made.add_column(head, overflow="fold")
    return made
