"""The system has no thread left for a moment: no call fails because of that, and what needs a thread continues later."""

import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hotspare import Pool
from hotspare._drivers import checks
from hotspare._health.breaker import State
from hotspare._http.resolver import Resolver
from hotspare._shared.worker import Worker
from hotspare.events import Event
from hotspare.ledger import Ledger
from hotspare.testing import ScriptedTarget, VirtualClock, answer, fail, scripted_pool


@contextmanager
def no_threads(monkeypatch: pytest.MonkeyPatch, *names: str) -> Generator[list[str]]:
    """No thread starts whose name begins so. Yields the names of those that should have."""
    refused: list[str] = []
    start = threading.Thread.start

    def maybe(thread: threading.Thread) -> None:
        if thread.name.startswith(names):
            refused.append(thread.name)
            raise RuntimeError("can't start new thread")
        start(thread)

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", maybe)
        yield refused


@pytest.mark.parametrize("name", ["hotspare-checks", "hotspare-check-a"])
def test_checks_begin_later(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it is the thread that waits for the checks, or that of one check."""
    clock = VirtualClock(0)
    a = ScriptedTarget("a", [*[fail(503)] * 5, "ok"], check=True)
    pool = scripted_pool(a, "b", clock=clock, retry_same_target="never")
    with no_threads(monkeypatch, name) as refused:
        while pool.health()["a"].state is not State.OPEN:
            pool.chat("q")
            clock.advance(0.1)
        if name == "hotspare-check-a":
            clock.sleep(5)
    assert len(refused) > 1
    assert pool.health()["a"].checks == 0
    if name == "hotspare-checks":
        assert pool.chat("q").target == "b"
    clock.sleep(30)
    assert pool.health()["a"].checks > 0
    pool.close()


def test_an_event_while_the_last_check_ends() -> None:
    """An event that comes between a thread's last look and its end starts a new thread."""
    clock = VirtualClock(0)
    a = ScriptedTarget("a", [*[fail(503)] * 5, "ok"], check=True)
    pool = scripted_pool(a, "b", clock=clock, retry_same_target="never")
    made = next(one for one in pool._notify._listeners if isinstance(getattr(one, "_listener", one), checks.Checks))
    watched: Any = getattr(made, "_listener", made)
    assert watched._thread is None
    watched._run()  # no target is unavailable: it ends at once
    seen: list[bool] = []

    class Lock:
        """Looks at what the next holder of the lock would see."""

        def __enter__(self) -> None:
            pass

        def __exit__(self, *_: object) -> None:
            seen.append(watched._thread is None)

    watched._lock, watched._thread = Lock(), threading.current_thread()
    watched._run()
    assert seen == [True], "an event would have left it to a thread that has ended"


def test_a_listener_is_called_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its call is answered, and the events are passed on with the next one; none is lost."""
    seen: list[Event] = []
    pool = Pool([ScriptedTarget("a").target], listeners=[lambda event: seen.append(event)])
    with no_threads(monkeypatch, "hotspare-listener"):
        assert pool.chat("q").text == "ok"
        assert not pool.flush(0.01)
    assert not seen
    assert pool.flush(60)
    assert [type(event).__name__ for event in seen].count("CallEnded") == 1


def test_a_ledger_is_written_later(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its records wait in the buffer; waiting for them does not wait in vain."""
    ledger = Ledger(tmp_path / "ledger.db")
    pool = Pool([ScriptedTarget("a").target])
    ledger.attach(pool)
    with no_threads(monkeypatch, "hotspare-ledger"):
        assert pool.chat("q").text == "ok"
        assert not ledger.flush(60)
    assert ledger.flush(60) and ledger.written > 0
    ledger.close()


def test_a_store_is_asked_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that no thread can run is refused, as one is while the store is away; the next one runs."""
    worker, done = Worker("the store"), threading.Event()
    with no_threads(monkeypatch, "hotspare-store"):
        assert not worker.submit(done.set)
        worker.finish(60)
    assert worker.submit(done.set)
    worker.finish(60)
    assert done.is_set()


def test_a_lookup_fails_and_the_next_one_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those who share a lookup that could not begin are not left waiting for it."""
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda *_, flags=0, **__: _numeric_only(flags) or [(2, 1, 6, "", ("127.0.0.1", 80))]
    )
    resolver = Resolver()
    with no_threads(monkeypatch, "hotspare-dns"), pytest.raises(OSError, match="new thread"):
        resolver.lookup("provider.example", 80).result(60)
    assert resolver.lookup("provider.example", 80).result(60)[0][4] == ("127.0.0.1", 80)


def _numeric_only(flags: int) -> None:
    if flags:
        raise OSError("a name")


@pytest.mark.parametrize(("name", "target"), [("hotspare-b", "a"), ("hotspare-a", "a")])
def test_attempts_side_by_side(name: str, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second attempt has no thread: the first one continues. The first one has none: it runs in its caller's."""
    clock = VirtualClock(0)
    slow, other = ScriptedTarget("a", answer("ok", delay=80)), ScriptedTarget("b")
    pool = scripted_pool(slow, other, clock=clock, on_slow="race", deadline=120)
    with no_threads(monkeypatch, name) as refused:
        reply = pool.chat("q")
    assert (reply.target, slow.calls, other.calls, bool(refused)) == (target, 1, 0, True)
    assert [pool.health()[one].in_flight for one in "ab"] == [0, 0]
    assert pool.health()["b"].state == "closed"
