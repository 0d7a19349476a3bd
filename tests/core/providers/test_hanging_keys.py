"""Functions of `api_key` that hang: what they hold up, and what they leave behind."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import anyio.to_thread
import pytest
from hotspare import AllTargetsFailed, Kind, Limits, Pool, Target, TargetKey
from hotspare._drivers import key_calls
from hotspare._drivers.key_calls import KeyCalls
from hotspare._http.abort import AbortHandle
from hotspare.drill.answers import answer
from hotspare.drill.provider import Provider
from hotspare.errors import AttemptTimeout

from tests.support.eventually import eventually
from tests.support.methods import METHODS, run, target, text_of

LATE = "^the function 'token' of api_key gave no key within 0.01 s$"


@pytest.fixture
def free() -> Iterator[threading.Event]:
    """The functions hang until it is set: in the end, or after 5 s by a watchdog, so that no test hangs with them."""
    event, late = threading.Event(), threading.Event()
    watchdog = threading.Timer(5, lambda: (late.set(), event.set()))
    watchdog.start()
    yield event
    watchdog.cancel()
    event.set()
    eventually(lambda: not threads(), threads)
    assert not late.is_set(), "the watchdog had to end what hung"


def threads() -> list[threading.Thread]:
    """Those that call a function."""
    return [one for one in threading.enumerate() if one.name == "hotspare-key"]


class Vault:
    """An object that reads its key with `get`, but for the first times, while the pool is built."""

    def __init__(self, get: Callable[[], Any]) -> None:
        self.get: Callable[[], Any] | None = None
        self.later = get

    def get_secret_value(self) -> Any:
        """The key."""
        return self.get() if self.get else "test-1"


def hanging(free: threading.Event, form: str) -> Callable[[], Any]:
    """A function that gives its key only once it is free."""

    def token() -> str:
        free.wait()
        return "test-1"

    async def later() -> str:
        while not free.is_set():  # noqa: ASYNC110 - a thread sets it
            await anyio.sleep(0.01)
        return "test-1"

    return token if form == "sync" else later


@pytest.mark.parametrize(
    ("method", "form"),
    [*((method, "sync") for method in METHODS),
     *((method, form) for method in ("chat", "asyncio achat", "trio astream") for form in ("async", "object", "given"))],
)  # fmt: skip
def test_the_call_ends_in_time(method: str, form: str, free: threading.Event, provider: Provider) -> None:
    """At its deadline, with nothing left in flight and no permit taken: once the function or the object continues, the next call is admitted."""
    vault = Vault(hanging(free, "sync"))
    forms = {"object": vault, "given": lambda: vault}
    limited = target(provider, "a", api_key=forms.get(form) or hanging(free, form), limits=Limits(concurrency=1))

    async def calls(pool: Pool, name: str) -> None:
        vault.get = vault.later
        with pytest.raises(AllTargetsFailed) as caught:
            await text_of(pool, name, "q", deadline=0.4)
        (attempt,) = caught.value.attempts
        assert attempt.kind is Kind.TIMEOUT
        assert pool.health()["a"].in_flight == 0
        assert provider.stats("a").requests == 0
        free.set()
        assert await text_of(pool, name, "q") == answer("q")

    run(method, Pool(limited, max_attempts=1), calls)


def test_threads_do_not_pile_up(free: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    """A function that hangs is named. It holds so many threads and no more, in each face; what waited for one of them is not called later.
    Once it continues, it gives keys again."""
    monkeypatch.setattr(key_calls, "MAX_THREADS", 2)
    called = list[int]()

    def token() -> str:
        called.append(1)
        free.wait()
        return "test-1"

    calls = KeyCalls(token)
    while len(called) < 2:  # a busy machine may start a thread too late for its call
        with pytest.raises(AttemptTimeout, match=LATE):
            calls.get(0.01)
    for _ in range(3):
        with pytest.raises(AttemptTimeout, match=LATE):
            calls.get(0.01)
    for loop in ("asyncio", "trio"):
        with pytest.raises(AttemptTimeout, match=LATE):
            anyio.run(calls.aget, 0.01, backend=loop)
    assert (len(threads()), len(called)) == (2, 2)
    assert all(one.daemon for one in threads()), "a thread that hangs would keep the process from ending"
    free.set()
    assert calls.get(5) == "test-1"
    assert len(called) == 3


def test_what_is_left_of_the_attempt_bounds_it(free: threading.Event) -> None:
    """The key that is read after a 401 has no timeout of its own."""
    key, handle = TargetKey(Target("openai/gpt-4.1", api_key=hanging(free, "sync"))), AbortHandle()
    handle.limit(0.05, from_now=True)
    with handle.bind(), pytest.raises(AttemptTimeout, match=r"within 0\.0\d s$"):
        key.get(60)


def test_threads_of_others_stay_free(free: threading.Event) -> None:
    """Neither anyio's threads nor those of asyncio's default executor are used: the application's own work continues."""
    calls = KeyCalls(hanging(free, "sync"))

    async def use() -> None:
        with pytest.raises(AttemptTimeout):
            await calls.aget(0.05)
        assert anyio.to_thread.current_default_thread_limiter().borrowed_tokens == 0
        assert not [one.name for one in threading.enumerate() if one.name.startswith(("AnyIO", "asyncio"))]

    anyio.run(use)


def test_a_caller_that_leaves(free: threading.Event) -> None:
    """An async call that is cancelled meanwhile ends immediately."""
    calls = KeyCalls(hanging(free, "sync"))

    async def use() -> None:
        with anyio.move_on_after(0.02) as scope:
            await calls.aget(60)
        assert scope.cancelled_caught

    for loop in ("asyncio", "trio"):
        anyio.run(use, backend=loop)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_child_process_has_threads_of_its_own(free: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    """All threads hang in the parent, or one holds the lock: the child gets a key nevertheless."""
    monkeypatch.setattr(key_calls, "MAX_THREADS", 1)
    parent = os.getpid()

    def token() -> str:
        if os.getpid() == parent:
            free.wait()
        return "test-1"

    calls: Any = KeyCalls(token)
    with pytest.raises(AttemptTimeout):
        calls.get(0.01)
    with calls._lock:
        child = os.fork()
        if child == 0:
            signal.alarm(5)  # it ends even if it waits for a lock
            os._exit(calls.get(3) != "test-1")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_thread_that_cannot_start_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine has no thread left, more often than a function may have threads: the next call, with one, gets its key."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    calls = KeyCalls(lambda: "k")
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        for _ in range(key_calls.MAX_THREADS + 1):
            with pytest.raises(RuntimeError, match="new thread"):
                calls.get(0.1)
    assert calls.get(5) == "k"
