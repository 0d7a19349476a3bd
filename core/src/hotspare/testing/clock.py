"""A clock for tests: it stands still while anything runs, and jumps to the next wake-up when everything waits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from math import inf
from typing import TYPE_CHECKING, Any, TypeVar

from hotspare._http.loops import running_loop
from hotspare.testing._loops import LoopPart, part_of
from hotspare.testing._timeline import Timeline
from hotspare.testing._waits import ThreadWaits

if TYPE_CHECKING:
    import anyio

T = TypeVar("T")


class VirtualClock:
    """Seconds for tests. Give it to the pool and to every scripted target: ``Pool(targets, clock=clock)``.

    Whatever waits on the clock (a pool's timeouts, backoffs and queues; delays of scripted targets; `sleep` and `asleep`)
    ends without waiting in real time: once all threads and tasks wait, time jumps to the earliest wake-up. Waits that end at
    the same time wake one after the other, in the order in which they began. The model is the autojump of trio's
    MockClock.

    Waits for anything else (a socket, a file, `time.sleep`) are not detected. The clock gives other threads that do not wait
    on it `settle` real seconds without any progress before it jumps, but no time to I/O in an event loop. A thread that is
    older than the clock (an idle one of a thread pool, say) counts from its first wait on the clock. With a real
    server use ``autojump=False``: then time only moves by `advance`, and no timeout expires otherwise.

    Args:
        now: the first reading, in seconds.
        autojump: whether the clock jumps automatically.
        settle: real seconds; see above. Raise it where other threads do real work.
    """

    def __init__(self, now: float = 1000.0, *, autojump: bool = True, settle: float = 0.01) -> None:
        self._timeline = Timeline(now, autojump=autojump, settle=settle)
        self._waits = ThreadWaits(self._timeline)
        self._parts: dict[Any, LoopPart] = {}

    def __call__(self) -> float:
        """The time, in seconds."""
        return self._timeline.now

    @property
    def now(self) -> float:
        """The time, in seconds. May be set, to a later one; see `advance`."""
        return self._timeline.now

    @now.setter
    def now(self, seconds: float) -> None:
        self.advance(seconds - self._timeline.now)
        self._timeline.now = seconds  # the sum may differ in its last digit

    def __repr__(self) -> str:
        return f"VirtualClock({self._timeline.now:.3f})"

    def advance(self, seconds: float) -> None:
        """Let time pass immediately. Raises ValueError if `seconds` is negative.

        Waits that are over by then end as soon as their thread or loop runs.
        """
        if seconds < 0:
            raise ValueError(f"seconds: {seconds!r} must not be negative")
        self._timeline.advance(seconds)

    # --- threads -------------------------------------------------------------------------------------------------

    def sleep(self, seconds: float) -> None:
        """Wait, like `time.sleep`. Raises ValueError for infinite seconds, because nothing could end that wait."""
        if seconds == inf:
            raise ValueError("seconds: inf would never end: give a number of seconds")
        self.wait(threading.Event(), seconds)

    def wait(self, ready: threading.Event, seconds: float | None = None) -> bool:
        """Wait until `ready` is set, or until `seconds` are over. Returns whether it is set.

        Raises RuntimeError on a clock without autojump if nothing is left that could set it or advance the clock.
        """
        if ready.is_set() or (seconds is not None and seconds <= 0):
            return ready.is_set()
        if seconds is None or seconds == inf:
            return self._waits.unbounded(ready)
        return self._waits.until(ready, seconds)

    def run_in_threads(self, *calls: Callable[[], T]) -> list[T]:
        """Make these calls concurrently, each in its own thread; returns their results in order.

        The calling thread waits on the clock meanwhile, so that no jump waits `settle` seconds for it. Raises the first
        error, in the order of the calls, when all have ended.
        """
        results: list[Any] = [None] * len(calls)
        errors: dict[int, BaseException] = {}
        left, ended = len(calls), threading.Event()

        def run(place: int, call: Callable[[], T]) -> None:
            nonlocal left
            try:
                results[place] = call()
            except BaseException as error:
                errors[place] = error
            finally:
                with self._timeline.lock:
                    left -= 1
                    if not left:
                        ended.set()

        threads = [threading.Thread(target=run, args=one, daemon=True) for one in enumerate(calls)]
        for thread in threads:
            thread.start()
        if threads:
            self.wait(ended)
        for place in sorted(errors):
            raise errors[place]
        return results

    # --- event loops ---------------------------------------------------------------------------------------------

    async def asleep(self, seconds: float) -> None:
        """Wait, like `anyio.sleep`, under asyncio and trio."""
        import anyio
        import anyio.lowlevel

        if seconds <= 0:
            await anyio.lowlevel.checkpoint()
        elif seconds == inf:
            await anyio.sleep_forever()
        else:
            over = anyio.Event()
            part = self._part()
            wake = part.add(seconds, over.set)
            try:
                await over.wait()
            finally:
                part.remove(wake)

    @contextmanager
    def move_on_after(self, seconds: float | None) -> Generator[anyio.CancelScope]:
        """Cancel the block after `seconds`, like `anyio.move_on_after`. None: never."""
        import anyio

        with anyio.CancelScope() as scope:
            if seconds is None or seconds == inf:
                yield scope
            elif seconds <= 0:
                scope.cancel()
                yield scope
            else:
                part = self._part()
                wake = part.add(seconds, scope.cancel)
                try:
                    yield scope
                finally:
                    part.remove(wake)

    def _part(self) -> LoopPart:
        loop = running_loop()
        with self._timeline.lock:
            part = self._parts.get(loop)
            if part is None:
                self._parts = {old: one for old, one in self._parts.items() if one.alive()}
                part = self._parts[loop] = part_of(self._timeline, loop)
            return part
