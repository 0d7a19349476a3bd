"""The virtual clock: it jumps to the next wake-up, in threads and in event loops, without sleeping."""

# pyright: reportPrivateUsage=false

import hashlib
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from math import inf
from queue import SimpleQueue

import pytest
from hotspare.testing import VirtualClock

# --- threads ---------------------------------------------------------------------------------------------------------


def test_a_lone_thread_s_sleeps_pass_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand minutes, to the second, without one real wait."""
    own, wait = threading.current_thread(), threading.Event.wait

    def elsewhere_only(event: threading.Event, timeout: float | None = None) -> bool:
        assert threading.current_thread() is not own, "a real wait"
        return wait(event, timeout)  # of a thread that another test has left behind

    monkeypatch.setattr(threading.Event, "wait", elsewhere_only)
    clock = VirtualClock(0)
    for _ in range(1000):
        clock.sleep(60)
    assert clock() == 60_000


def test_a_wait_ends_with_its_time() -> None:
    """An event that is not set is waited for as long as was said; one that is set, not at all."""
    clock, ready = VirtualClock(0), threading.Event()
    assert not clock.wait(ready, 5)
    assert clock() == 5
    ready.set()
    assert clock.wait(ready, 5)
    assert clock.wait(ready, None)
    assert not clock.wait(threading.Event(), 0)
    assert clock() == 5


def test_a_thread_that_works_is_waited_for() -> None:
    """Time does not move past a wait's end while the thread that will set the event is still at work, for real."""
    clock, ready = VirtualClock(0), threading.Event()

    def work() -> None:
        begun = time.monotonic()
        while time.monotonic() - begun < 0.2:  # without touching the clock, for longer than it settles
            sum(range(100))
        clock.sleep(3)
        ready.set()

    threading.Thread(target=work, daemon=True).start()
    assert clock.wait(ready, 10)
    assert clock() == 3
    assert clock._timeline._pending == []  # a wait that has ended leaves nothing


def test_threads_that_were_there_before_the_clock_do_not_hold_it_up() -> None:
    """As of a debugger, or of pytest-xdist, whatever they do; until they use the clock themselves."""
    begun, over, clocks = threading.Event(), threading.Event(), list[VirtualClock]()

    def run() -> None:
        begun.set()
        while not over.is_set():
            sum(range(100))
        clocks[0].sleep(5)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    begun.wait()
    clocks.append(clock := VirtualClock(0))
    clock.sleep(3600)
    assert clock() == 3600
    over.set()
    thread.join()
    assert clock() == 3605


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says that a thread runs")
def test_a_thread_that_works_outside_of_python_is_waited_for() -> None:
    """In a C library it makes no progress that Python could see."""
    clock, ready = VirtualClock(0), threading.Event()

    def work() -> None:
        hashlib.pbkdf2_hmac("sha256", b"for longer than", b"the clock settles", 40_000)
        ready.set()

    threading.Thread(target=work, daemon=True).start()
    assert clock.wait(ready, 10)
    assert clock() == 0


def test_a_thread_that_stands_still_elsewhere_is_not_waited_for_long() -> None:
    """A thread that waits for something else, here for ever, holds the clock up by `settle` real seconds only."""
    clock, never = VirtualClock(0), threading.Event()
    stuck = threading.Thread(target=never.wait, daemon=True)
    stuck.start()
    clock.sleep(3600)
    assert clock() == 3600
    never.set()
    stuck.join()


def test_threads_wake_in_the_order_of_their_times() -> None:
    """Each at its own moment, however they were started."""
    clock, log = VirtualClock(0), SimpleQueue[tuple[str, float]]()

    def sleeper(name: str, *pauses: float) -> Callable[[], None]:
        def run() -> None:
            for seconds in pauses:
                clock.sleep(seconds)
                log.put((name, clock()))

        return run

    clock.run_in_threads(sleeper("a", 7, 7), sleeper("b", 3, 3, 3), sleeper("c", 60))
    times = [("b", 3), ("b", 6), ("a", 7), ("b", 9), ("a", 14), ("c", 60)]
    assert [log.get() for _ in times] == times


def test_threads_due_at_the_same_moment_go_one_after_the_other() -> None:
    """What the first sets off comes before the second continues, every time."""
    for _ in range(50):
        clock, log, ready = VirtualClock(0), list[str](), threading.Event()

        def first(clock: VirtualClock = clock, log: list[str] = log, ready: threading.Event = ready) -> None:
            clock.sleep(5)
            log.append("first")
            ready.set()

        def second(clock: VirtualClock = clock, log: list[str] = log, ready: threading.Event = ready) -> None:
            clock.sleep(1)
            log.append("set in time" if clock.wait(ready, 4) else "late")

        clock.run_in_threads(first, second)
        assert log == ["first", "set in time"]
        assert clock() == 5


def test_many_threads_behave_the_same_each_time() -> None:
    """Twenty threads that wake each other up: the same log in every run."""

    def log_of_a_run() -> list[tuple[int, float]]:
        clock, log = VirtualClock(0), list[tuple[int, float]]()
        events = [threading.Event() for _ in range(20)]

        def run(number: int) -> None:
            for turn in range(1, 4):
                clock.sleep(1 + (number * 7 + turn) % 5)
                events[(number + turn) % 20].set()
                clock.wait(events[(number + 3) % 20], 1.5)
                log.append((number, clock()))

        clock.run_in_threads(*[lambda number=number: run(number) for number in range(20)])
        return sorted(log)

    assert len({str(log_of_a_run()) for _ in range(10)}) == 1


def test_an_executor_s_threads_keep_their_times() -> None:
    """The thread that waits for them does so outside of the clock: after a few real milliseconds it is passed over."""
    clock = VirtualClock(0)

    def run(number: int) -> list[float]:
        ends: list[float] = []
        for _ in range(3):
            clock.sleep(number)
            ends.append(clock())
        return ends

    with ThreadPoolExecutor(5) as executor:
        ends = list(executor.map(run, range(1, 6)))
    assert ends == [[number * turn for turn in (1, 2, 3)] for number in range(1, 6)]


def test_run_in_threads_gives_results_and_errors() -> None:
    """Results in the order of the calls; the first error, once all have ended."""
    clock, ended = VirtualClock(0), list[str]()

    def late() -> str:
        clock.sleep(9)
        ended.append("late")
        return "late"

    def fails() -> str:
        clock.sleep(1)
        raise KeyError("why")

    assert clock.run_in_threads(late, lambda: "early") == ["late", "early"]
    with pytest.raises(KeyError, match="why"):
        clock.run_in_threads(fails, late)
    assert ended == ["late", "late"]
    assert clock.run_in_threads() == []


def test_advance_lets_time_pass_at_once() -> None:
    """By hand, forwards only."""
    clock = VirtualClock(10)
    clock.advance(50)
    assert clock() == 60
    clock.now = 61.1
    assert clock() == clock.now == 61.1
    assert repr(clock) == "VirtualClock(61.100)"
    with pytest.raises(ValueError, match="seconds: -1 must not be negative"):
        clock.advance(-1)
    with pytest.raises(ValueError, match="must not be negative"):
        clock.now = 61
    with pytest.raises(ValueError, match="inf would never end"):
        clock.sleep(inf)


def test_without_autojump_only_advance_moves_time() -> None:
    """A thread waits until another one has advanced the clock far enough."""
    clock, log = VirtualClock(0, autojump=False), list[float]()

    def sleeper(seconds: float) -> None:
        clock.sleep(seconds)
        log.append(clock())

    short, long = (threading.Thread(target=sleeper, args=(seconds,), daemon=True) for seconds in (4, 6))
    for waiting, thread in enumerate((short, long), start=1):
        thread.start()
        while len(clock._timeline._pending) < waiting:
            time.sleep(0)  # until it waits on the clock
    clock.advance(5)
    short.join()
    assert long.is_alive() and log == [5]
    clock.advance(2)
    long.join()
    assert log == [5, 7]


def test_without_autojump_a_lone_wait_is_an_error() -> None:
    """Nothing could ever end it: that is said, instead of hanging."""
    clock = VirtualClock(0, autojump=False)
    with pytest.raises(RuntimeError, match=r"a wait of 5\.0 s never ends: this clock has autojump=False"):
        clock.sleep(5)


# --- event loops -----------------------------------------------------------------------------------------------------
