"""After a fork: a thread that does not exist in the child may have held a scheduler's lock."""

from __future__ import annotations

import os
import weakref

from hotspare._engine.scheduler import Scheduler

_schedulers: weakref.WeakSet[Scheduler] = weakref.WeakSet()


def watch(scheduler: Scheduler) -> None:
    """Make this scheduler usable in children of this process."""
    _schedulers.add(scheduler)


def _in_child() -> None:
    for scheduler in list(_schedulers):
        scheduler.after_fork()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_in_child)
