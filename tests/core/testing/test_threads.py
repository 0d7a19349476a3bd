"""How a virtual clock sees from outside that a thread stands still."""

# pyright: reportPrivateUsage=false

import subprocess
import sys
import threading
from types import SimpleNamespace
from typing import Any

import pytest
from hotspare.testing import _threads
from hotspare.testing._threads import MAX_SETTLES, MIN_POLLS, Quiet, Threads, _runnable

SETTLE = 0.01


class Watched:
    """A `Quiet` that looks at one thread, in made-up time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.runnable = False
        self.quiet = Quiet()
        monkeypatch.setattr(_threads, "time", SimpleNamespace(monotonic=lambda: self.now))
        monkeypatch.setattr(_threads, "_runnable", self._runnable)

    def _runnable(self, thread: threading.Thread) -> bool:
        return self.runnable

    def look(self, state: object, times: int, every: float) -> list[bool]:
        """Check `times` times; the result of each check."""
        seen: list[bool] = []
        for _ in range(times):
            seen.append(self.quiet.lasts(state, [threading.current_thread()], SETTLE))
            self.now += every
        return seen


def test_what_stays_the_same_for_long_enough_is_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long enough in time, and in looks."""
    assert Watched(monkeypatch).look("same", 12, SETTLE / 10) == [False] * 10 + [True] * 2
    assert Watched(monkeypatch).look("same", MIN_POLLS + 2, SETTLE * 100) == [False] * MIN_POLLS + [True] * 2


def test_any_progress_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each time."""
    watched = Watched(monkeypatch)
    for state in ("one", "two", "one"):
        assert not any(watched.look(state, MIN_POLLS, SETTLE))
    assert watched.look("one", 1, SETTLE) == [True]


def test_a_thread_that_the_system_runs_is_not_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Although it shows no progress; but not for ever, for a system may be wrong."""
    watched = Watched(monkeypatch)
    watched.runnable = True
    assert not any(watched.look("same", MAX_SETTLES, SETTLE))
    assert any(watched.look("same", 10, SETTLE))
    watched = Watched(monkeypatch)
    watched.runnable = True
    watched.look("same", 20, SETTLE)
    watched.runnable = False
    assert watched.look("same", MIN_POLLS + 1, SETTLE)[-1]


def test_another_place_in_the_code_is_progress() -> None:
    """A thread that waited here and waits there now has done something meanwhile."""
    first, second = threading.Lock(), threading.Lock()
    first.acquire()
    second.acquire()
    passed = threading.Event()

    def run() -> None:
        first.acquire()
        passed.set()
        second.acquire()

    states: list[object] = []

    def keep(state: object, running: list[threading.Thread], settle: float) -> bool:
        states.append(state)
        return False

    threads = Threads()
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    look: Any = SimpleNamespace(lasts=keep)
    threads.idle(look, 0, SETTLE)
    first.release()
    passed.wait()
    threads.idle(look, 0, SETTLE)
    second.release()
    thread.join()
    assert states[0] != states[1]


def test_a_thread_that_the_system_does_not_know_does_not_run() -> None:
    """It has just ended, or the system does not say; one that is just being started does run."""
    unknown: Any = SimpleNamespace(native_id=-1)
    starting: Any = SimpleNamespace(native_id=None)
    assert (_runnable(unknown), _runnable(starting)) == (False, True)


_COLLECTIONS_WHILE_THREADS_START = """
import gc, sys, threading, weakref
from hotspare.testing._threads import Quiet, Threads

class Node: ...

def make_garbage():
    node = Node()
    node.itself = node
    references.append(weakref.ref(node, lambda _: [None for _ in range(50)]))
    del references[:-100]

def start_threads():
    while not ended.is_set():
        thread = threading.Thread(target=make_garbage)
        thread.start()
        thread.join()

references, ended, threads = [], threading.Event(), Threads()
sys.setswitchinterval(1e-6)
gc.set_threshold(5)
for _ in range(2):
    threading.Thread(target=start_threads, daemon=True).start()
for _ in range(10000):
    make_garbage()
    threads.idle(Quiet(), 0, 0.1)
ended.set()
assert gc.isenabled()
"""


def test_a_garbage_collection_while_threads_start() -> None:
    """A check of what threads do takes a lock of Python 3.11 that a starting thread needs, and a collection in between waited for both."""
    subprocess.run([sys.executable, "-c", _COLLECTIONS_WHILE_THREADS_START], check=True, timeout=120)
