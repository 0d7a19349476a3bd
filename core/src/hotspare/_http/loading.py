"""Importing libraries in a process that may fork meanwhile.

If another thread is importing a module during a fork, the child inherits that module's lock, and nothing releases it there. So
imports hold this lock, and a fork waits for it, as for those of `logging`.
"""

import os
import threading

LOADING = threading.RLock()
"""Held while a library is imported at the first call."""

if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(before=LOADING.acquire, after_in_parent=LOADING.release, after_in_child=LOADING.release)
