"""Events are handed to listeners in order, and no listener delays, breaks or enters a call."""

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hotspare import Kind, Outcome, Pool
from hotspare._drivers import listeners
from hotspare.events import BudgetExhausted, CallEnded, Event, EventsDropped, FailedOver
from hotspare.testing import ScriptedTarget

SECONDS = 60.0
"""What a busy machine may take for something that takes milliseconds."""


def ended(events: list[Event]) -> list[str]:
    """The calls that have ended, by id."""
    return [event.call for event in events if isinstance(event, CallEnded)]


class Blocking:
    """A listener that does not return until it is released."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.entered, self.release = threading.Event(), threading.Event()

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        self.entered.set()
        assert self.release.wait(SECONDS)


def test_a_listener_that_hangs_delays_no_call() -> None:
    """Neither the call whose event it was sent, nor others. It is called from one thread at a time, in order."""
    listener, quick = Blocking(), list[Event]()
    pool = Pool([ScriptedTarget("a").target], listeners=[listener, quick.append])
    with ThreadPoolExecutor(4) as threads:
        calls = [threads.submit(pool.chat, "q") for _ in range(4)]
        assert [call.result(SECONDS).text for call in calls] == ["ok"] * 4
    assert listener.entered.wait(SECONDS)
    assert len(listener.events) == 1 and len(ended(quick)) == 4
    assert not pool.flush(0.01)
    listener.release.set()
    assert pool.flush(SECONDS)
    assert listener.events == quick


def test_a_quick_listener_has_seen_a_call_when_it_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call waits 20 ms for its listeners, but only once for one that takes longer."""
    monkeypatch.setattr(listeners, "GRACE_SECONDS", 0.5)  # of a busy machine
    events: list[Event] = []
    slow = Blocking()
    pool = Pool([ScriptedTarget("a").target], listeners=[lambda event: events.append(event), slow])
    assert pool.chat("q").text == pool.chat("q").text == "ok"
    assert ended(events) == ["call-1", "call-2"]
    assert [queue._is_slow for queue in pool._notify._queues] == [False, True]
    slow.release.set()


def test_inline_listeners_are_called_from_one_thread_at_a_time() -> None:
    """No thread waits for another one's listeners: what happens meanwhile is handed out afterwards, in order."""
    listener = Blocking()
    pool = Pool([ScriptedTarget("a").target])
    pool.subscribe(listener, inline=True)
    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(pool.chat, "q")
        assert listener.entered.wait(SECONDS)
        assert [pool.chat("q").text for _ in range(3)] == ["ok"] * 3
        assert len(listener.events) == 1, "the listener was called from two threads at once"
        listener.release.set()
        assert slow.result(SECONDS).text == "ok"
    assert ended(listener.events) == ["call-2", "call-3", "call-4", "call-1"]


def test_events_beyond_the_bound_are_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A listener that falls behind loses the newest events, and is sent how many, in their place."""
    monkeypatch.setattr(listeners, "MAX_QUEUED", 2)
    listener = Blocking()
    pool = Pool([ScriptedTarget("a").target], listeners=[listener])
    pool.publish(BudgetExhausted("1"))
    assert listener.entered.wait(SECONDS)
    for call in "23456":
        pool.publish(BudgetExhausted(call))
    listener.release.set()
    assert pool.flush(SECONDS)
    pool.publish(BudgetExhausted("7"))
    assert pool.flush(SECONDS)
    kept = [event.call if isinstance(event, BudgetExhausted) else event for event in listener.events]
    assert kept == ["1", "2", "3", EventsDropped(3), "7"]


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
    assert pool.flush(SECONDS) and pool.flush(SECONDS)
    assert sorted(ended(events)) == ["call-1", "call-2"]
    failed_over = next(place for place, event in enumerate(events) if isinstance(event, FailedOver))
    assert getattr(events[failed_over], "call", "") == "call-1"
    assert all(getattr(event, "call", "") != "call-2" for event in events[:failed_over])


def test_a_listener_that_raises_harms_neither_the_call_nor_other_listeners(caplog: pytest.LogCaptureFixture) -> None:
    """The error is logged, and every event is handed out, in a thread of its own or in that of the call."""
    events: list[Event] = []

    def broken(event: Event) -> None:
        raise ValueError("broken listener")

    pool = Pool([ScriptedTarget("a").target], listeners=[broken, events.append])
    pool.subscribe(broken, inline=True)
    assert pool.chat("q").text == "ok"
    assert pool.flush(SECONDS)
    assert ended(events) == ["call-1"]
    assert caplog.text.count("a listener raised on CallEnded") == 2


def test_the_thread_of_a_listener_ends_when_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    """It starts again with the next event."""
    monkeypatch.setattr(listeners, "IDLE_SECONDS", 0.01)
    events: list[Event] = []
    queue = listeners.ListenerQueue(lambda event: events.append(event))
    for number in range(1, 4):
        queue(BudgetExhausted("c"))
        assert queue.flush(SECONDS)
        thread = queue._thread
        if thread is not None:
            thread.join(SECONDS)
        assert len(events) == number and queue._thread is None
    assert queue.flush(0.0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_process_hands_out_events() -> None:
    """Also if another thread was handing out events when the process was forked."""
    events: list[Event] = []
    pool = Pool([ScriptedTarget("a").target], listeners=[events.append, lambda event: None])
    with pool._notify._delivering, pool._notify._changing:
        child = os.fork()
        if not child:
            signal.alarm(60)  # a deadlock ends the child
            pool.chat("q")
            os._exit(ended(events) != ["call-1"] or not pool.flush(SECONDS))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
