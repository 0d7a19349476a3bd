"""Makes pools usable after a fork: a thread that does not exist in the child may have held a pool's lock."""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    import sqlite3


@runtime_checkable
class HasLocks(Protocol):
    """An object with locks that a child process must replace."""

    def after_fork(self) -> None:
        """Make new locks."""
        ...


_watched: weakref.WeakSet[HasLocks] = weakref.WeakSet()
_parents_connections: list[sqlite3.Connection] = []
"""Connections that a forked child must neither use nor close: closing them would release the parent's locks."""


def watch(*parts: HasLocks) -> None:
    """Make these parts of a pool usable in children of this process."""
    for part in parts:
        _watched.add(part)


def keep_open(connection: sqlite3.Connection | None) -> None:
    """In a child process: keep the parent's connection from being closed here."""
    if connection is not None:
        _parents_connections.append(connection)


def _in_child() -> None:
    for part in list(_watched):
        part.after_fork()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_in_child)
