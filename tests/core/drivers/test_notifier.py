"""Events are handed to listeners in order, by one thread at a time, and no thread waits for another one's listeners."""

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hotspare import Kind, Outcome, Pool
from hotspare.events import CallEnded, Event, FailedOver
from hotspare.testing import ScriptedTarget

SECONDS = 60.0
"""What a busy machine may take for something that takes milliseconds."""


def ended(events: list[Event]) -> list[str]:
    """The calls that have ended, by id."""
    return [event.call for event in events if isinstance(event, CallEnded)]


def test_a_slow_listener_delays_no_other_thread() -> None:
    """While it is at work in one thread, the calls of others go on; their events follow, in order."""
    entered, release = threading.Event(), threading.Event()
    events: list[Event] = []

    def listener(event: Event) -> None:
        events.append(event)
        if not entered.is_set():
            entered.set()
            assert release.wait(SECONDS)

    pool = Pool([ScriptedTarget("a").target], listeners=[listener])
    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(pool.chat, "q")
        assert entered.wait(SECONDS)
        assert [pool.chat("q").text for _ in range(3)] == ["ok"] * 3
        assert len(events) == 1, "the listener was called from two threads at once"
        release.set()
        assert slow.result(SECONDS).text == "ok"
    assert sorted(ended(events)) == ["call-1", "call-2", "call-3", "call-4"]
    assert ended(events)[-3:] == sorted(ended(events)[-3:])


def test_a_listener_may_use_the_pool() -> None:
    """The events of the call that it makes come after the one that it is called with."""
    events: list[Event] = []

    def listener(event: Event) -> None:
        events.append(event)
        if isinstance(event, FailedOver) and event.call == "call-1":
            assert pool.chat("q").target == "b"

    down = Outcome(Kind.TRANSPORT, "refused", before_connect=True)
    pool = Pool([ScriptedTarget("a", down).target, ScriptedTarget("b").target], listeners=[listener])
    assert pool.chat("q").target == "b"
    assert sorted(ended(events)) == ["call-1", "call-2"]


def test_a_listener_that_raises_harms_neither_the_call_nor_other_listeners(caplog: pytest.LogCaptureFixture) -> None:
    """The error is logged, and every event is handed out."""
    events: list[Event] = []

    def broken(event: Event) -> None:
        raise ValueError("broken listener")

    pool = Pool([ScriptedTarget("a").target], listeners=[broken, events.append])
    assert pool.chat("q").text == "ok"
    assert ended(events) == ["call-1"]
    assert "a listener raised on CallEnded" in caplog.text


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_process_hands_out_events() -> None:
    """Also if another thread was handing out events when the process was forked."""
    events: list[Event] = []
    pool = Pool([ScriptedTarget("a").target], listeners=[events.append])
    with pool._notify._handing_out, pool._notify._taking:
        child = os.fork()
        if not child:
            signal.alarm(60)  # a deadlock ends the child
            pool.chat("q")
            os._exit(ended(events) != ["call-1"])
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
