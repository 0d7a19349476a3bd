"""Writes the ledger: calls put events into a buffer, a separate thread writes them in batches."""

from __future__ import annotations

import atexit
import os
import socket
import sqlite3
import threading
import time
import uuid
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from hotspare._drivers import fork
from hotspare._drivers.collector import Background
from hotspare._drivers.daemon import start_daemon
from hotspare.errors import ConfigError, Problem
from hotspare.events import Event, LedgerFailed, LedgerRecovered
from hotspare.ledger.pruning import prune
from hotspare.ledger.rows import INSERTS, is_kept, row_of
from hotspare.ledger.schema import open_to_write

if TYPE_CHECKING:
    from hotspare.pool import Pool

BATCH = 2_000
"""Maximum records in one transaction: it takes about 20 ms, for which other processes wait."""
INTERVAL = 0.25
"""Seconds for which records are collected before they are written."""
MAX_BUFFERED = 50_000
"""Maximum records kept in memory while the file cannot be written: about 50 MB, or a few minutes of a busy process."""
RETRY_MIN, RETRY_MAX = 0.5, 30.0
"""Seconds between two attempts to write a failing file: the first, doubled each time, and the maximum."""
PRUNE_INTERVAL = 60.0
"""Seconds between two deletions of old records."""
EXIT_SECONDS = 2.0
"""Seconds for which the end of the process waits for the file."""
DAY = 86_400.0

_Record = tuple[str, int, float, Event]


class Ledger:
    """Every attempt and call in an SQLite file that several processes may share.

    It never delays a call: while the file cannot be written (disk full, read-only, locked) records are kept in memory, and are
    dropped beyond a limit. `LedgerFailed` reports this once, `LedgerRecovered` the number of lost records. After a successful
    `flush` the records survive the death of the process.

    Args:
        path: the file; created with its folder if it does not exist.
        max_age: days for which records are kept. 30.
        max_bytes: size of the file beyond which the oldest records are deleted. 512 MiB: about two million attempts.
        clock: seconds since 1970; for tests.

    Raises:
        ConfigError: naming the argument that is out of range.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        max_age: float = 30.0,
        max_bytes: int = 512 * 1024 * 1024,
        clock: Callable[[], float] = time.time,
    ) -> None:
        for name, value, least in (("max_age", max_age, 0.0), ("max_bytes", max_bytes, 65_536)):
            if not value >= least:
                raise ConfigError(Problem.at(f"ledger.{name}", value, f"must be at least {least:g}"))
        self.path, self.max_age, self.max_bytes = Path(path), max_age, max_bytes
        self.written = self.dropped = 0
        self._clock = clock
        self._publish: list[Callable[[Event], object]] = []
        self._backgrounds: list[Background] = []
        self._numbers = count(1)
        self._closed = False
        self._connection: sqlite3.Connection | None = None
        self._new_buffer()
        fork.watch(self)
        _ledgers.add(self)

    def attach(self, pool: Pool) -> Self:
        """Record the events of this pool too. Returns the ledger."""
        name = uuid.uuid4().hex[:8]  # a process may have several pools, and process ids are reused

        if self._clock is time.time:
            background = Background(lambda at, event: self.record(event, name, at / 1e9))
            pool.subscribe(background)
            self._backgrounds.append(background)
        else:  # a custom clock must be read at the time of the event
            pool.subscribe(lambda event: self.record(event, name), inline=True)
        pool.on_close(self.flush)
        self._publish.append(pool.publish)
        return self

    def record(self, event: Event, pool: str = "", at: float | None = None) -> None:
        """Put an event into the buffer without waiting. `pool`: distinguishes the ids of calls. `at`: seconds since 1970 (None: now)."""
        if self._closed or not is_kept(event):
            return
        if len(self._buffer) >= MAX_BUFFERED:
            self.dropped += 1
            return
        self._buffer.append((pool, next(self._numbers), self._clock() if at is None else at, event))
        if self._thread is None:
            self._start()

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until all events so far are committed. Returns whether they are."""
        until = time.monotonic() + timeout
        for background in self._backgrounds:
            background.flush(timeout)
        timeout = max(0.0, until - time.monotonic())
        if self._buffer and self._thread is None:  # none could be started for the latest record
            self._start()
        with self._written:  # held by the writer while it moves records from the buffer to the committed ones
            wanted = self._committed + len(self._buffer)
            self._wake.set()
            if self._thread is not None:
                self._written.wait_for(lambda: self._committed >= wanted or self._has_stopped, timeout)
            return self._committed >= wanted

    def close(self, timeout: float = 5.0) -> bool:
        """Write the remaining records, and close the file. Returns whether all were written."""
        done = self.flush(timeout)
        self._closed = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout)
        return done

    # --- the writer's thread -------------------------------------------------------------------------------------

    def after_fork(self) -> None:
        """In a child process: start empty, because the thread does not exist here, and the records and the connection belong to the parent."""
        fork.keep_open(self._connection)
        self._connection = None
        self._new_buffer()

    def _new_buffer(self) -> None:
        self._process = f"{socket.gethostname()}:{os.getpid()}"
        self._buffer: deque[_Record] = deque()
        self._committed = 0
        self._wake, self._written = threading.Event(), threading.Condition()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._has_stopped = self._is_failing = False

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = start_daemon("hotspare-ledger", self._run)

    def _run(self) -> None:
        pause, next_prune = RETRY_MIN, time.monotonic() + PRUNE_INTERVAL
        while not (self._closed and not self._buffer):
            self._wake.wait(INTERVAL)
            self._wake.clear()
            try:
                self._write()
                pause = RETRY_MIN
                if time.monotonic() >= next_prune and self._connection is not None:
                    next_prune = time.monotonic() + PRUNE_INTERVAL
                    prune(self._connection, self._clock() - self.max_age * DAY, self.max_bytes)
            except (sqlite3.Error, OSError) as error:
                self._failed(error)
                if self._closed:
                    break
                self._wake.wait(pause)
                pause = min(2 * pause, RETRY_MAX)
        self._disconnect()
        with self._written:
            self._has_stopped = True
            self._written.notify_all()

    def _write(self) -> None:
        """Write the buffered records. A record leaves the buffer once it is committed."""
        while self._buffer:
            if self._connection is None:
                self._connection = open_to_write(self.path)
            batch = list(islice(self._buffer, BATCH))
            rows: dict[str, list[tuple[Any, ...]]] = {}
            for pool, number, at, event in batch:
                table, row = row_of(f"{self._process}:{pool}", number, at, event)
                rows.setdefault(table, []).append(row)
            self._connection.execute("BEGIN IMMEDIATE")
            for table, values in rows.items():
                self._connection.executemany(INSERTS[table], values)
            self._connection.execute("COMMIT")
            with self._written:
                for _ in batch:
                    self._buffer.popleft()
                self._committed += len(batch)
                self.written += len(batch)
                self._written.notify_all()
            self._recovered()

    def _failed(self, error: Exception) -> None:
        self._disconnect()
        if not self._is_failing:
            self._is_failing = True
            for publish in self._publish:
                publish(LedgerFailed(str(self.path), str(error)))

    def _recovered(self) -> None:
        if self._is_failing:
            self._is_failing = False
            dropped, self.dropped = self.dropped, 0
            for publish in self._publish:
                publish(LedgerRecovered(str(self.path), dropped))

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def __repr__(self) -> str:
        return f"Ledger({str(self.path)!r})"


_ledgers: weakref.WeakSet[Ledger] = weakref.WeakSet()


def _at_exit() -> None:
    until = time.monotonic() + EXIT_SECONDS
    for ledger in list(_ledgers):
        ledger.close(max(0.1, until - time.monotonic()))


atexit.register(_at_exit)
