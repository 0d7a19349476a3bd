"""After a fork: a gate's lock may have been held by a thread that does not exist in the child."""

from __future__ import annotations

import os
import weakref

from hotspare._engine.scheduler import Scheduler

_gates: weakref.WeakSet[Scheduler] = weakref.WeakSet()


def watch(gate: Scheduler) -> None:
    """Make this gate usable in children of this process."""
    _gates.add(gate)


def _in_child() -> None:
    for gate in list(_gates):
        gate.after_fork()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_in_child)
