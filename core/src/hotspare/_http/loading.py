"""Loading libraries in a process that may fork meanwhile.

A child inherits the lock of a module that another thread of the parent is importing, and nothing releases it there. A fork
therefore waits until no thread is inside this lock, as it does for those of `logging`.
"""

import os
import threading

LOADING = threading.RLock()
"""Held while a library is imported at the first call."""

if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(before=LOADING.acquire, after_in_parent=LOADING.release, after_in_child=LOADING.release)
