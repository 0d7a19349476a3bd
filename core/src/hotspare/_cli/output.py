"""The command's output: providers' messages without control characters, and a notice while a call waits."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from io import TextIOWrapper
from types import TracebackType
from typing import Self

from hotspare import Pool
from hotspare.events import AttemptEnded, Event, FailedOver
from hotspare.outcome import Kind

FIRST_NOTICE = 2.0
"""Seconds without an answer after which the wait is reported. Most first tokens arrive within 2."""
NEXT_NOTICE = 10.0
"""Seconds between further notices."""


def printable(text: str) -> str:
    """The text with control characters escaped, so that a provider's message cannot change the terminal."""
    return "".join(char if char.isprintable() or char in "\n\t" else ascii(char)[1:-1] for char in text)


def replace_unprintable() -> None:
    """Escape characters that the output's encoding does not have, instead of ending with an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


class WaitingNotice:
    """Prints to stderr how long a call has been waiting and which targets failed, once it has waited for `FIRST_NOTICE` seconds.

    Ends when `done` is called or the block ends. `wait`: waits for an event with a timeout, as `threading.Event.wait` does.
    """

    def __init__(
        self,
        pool: Pool,
        *,
        write: Callable[[str], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[threading.Event, float], bool] = threading.Event.wait,
    ) -> None:
        self._pool, self._clock, self._wait = pool, clock, wait
        self._write = write or _to_stderr
        self._over = threading.Event()
        self._lock = threading.Lock()  # so that no line is printed into the answer after `done`
        self._late = False
        self._news: list[str] = []

    def __enter__(self) -> Self:
        self._started = self._clock()
        self._unsubscribe = self._pool.subscribe(self._hear, inline=True)
        threading.Thread(target=self._report, name="hotspare-waiting", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.done()

    def done(self) -> None:
        """The answer has begun, or the call has ended."""
        with self._lock:
            self._over.set()
        self._unsubscribe()

    def _hear(self, event: Event) -> None:
        if isinstance(event, AttemptEnded) and event.attempt.kind not in (Kind.OK, Kind.CANCELLED):
            self._add(str(event.attempt))
        elif isinstance(event, FailedOver):
            self._add(f"trying {event.target}")

    def _add(self, line: str) -> None:
        with self._lock:
            self._news.append(line)
            if self._late:
                self._print_news()

    def _report(self) -> None:
        seconds = FIRST_NOTICE
        while not self._wait(self._over, seconds):
            with self._lock:
                if self._over.is_set():
                    return
                self._write(f"waiting for an answer: {self._clock() - self._started:.0f} s")
                self._late = True
                self._print_news()
            seconds = NEXT_NOTICE

    def _print_news(self) -> None:
        for line in self._news if not self._over.is_set() else ():
            self._write(f"  {printable(line)}")
        self._news.clear()
