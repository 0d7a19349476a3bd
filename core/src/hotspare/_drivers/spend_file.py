"""Spending in an SQLite file: budgets survive a restart, and are shared by all processes that use the file."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator
from typing import Any

from hotspare._cost.budgets import Amounts, Budgets
from hotspare._drivers import fork
from hotspare._engine.call import Call
from hotspare._engine.commands import Flow, Wait
from hotspare._engine.waiters import Waiter
from hotspare._shared.worker import Worker

WAIT = 5.0
"""Seconds to wait for other processes' writes. A write takes well under a millisecond, but SQLite's lock is not fair: with 200 callers in
two processes, one process waited for more than a second, and did not see the other's spending meanwhile."""
_ADD = (
    "INSERT INTO spent VALUES (?, ?, ?) ON CONFLICT (key, period) DO UPDATE SET usd = usd + excluded.usd RETURNING usd"
)
Locked = Callable[[Callable[[], Any]], Any]
"""Runs a function under the scheduler's lock and returns its result."""


class SpendFile:
    """Stores spending by budget and period, and reads the spending of other processes.

    A separate thread reads and writes, so that no event loop waits for the file's lock. One write contains all spending since the
    last one. A file that cannot be written is logged once; budgets continue in memory, and unwritten spending is written with a later
    call, or when the pool is closed.
    """

    def __init__(self, path: str, budgets: Budgets, locked: Locked) -> None:
        self._path, self._budgets, self._locked = path, budgets, locked
        budgets.is_stored = True
        self._worker = Worker(f"the spend file {path}", slow=WAIT, without="budgets count in memory only")
        self._connection: sqlite3.Connection | None = None
        self._unwritten: Amounts = {}
        fork.watch(self)
        self._worker.submit(self._load)
        self._worker.finish(WAIT)

    def after_fork(self) -> None:
        """In a child process: the thread, the connection and the unwritten spending belong to the parent."""
        self._worker.after_fork()
        fork.keep_open(self._connection)
        self._connection, self._unwritten = None, {}
        self._budgets.take_unsaved()

    def flow(self, call: Call, inner: Flow) -> Flow:
        """A call's flow, which ends only after its cost was written and the spending of other processes was read: else the caller's next
        call could be admitted before this one is counted. A stream that is closed early does not wait."""
        try:
            reply = yield from inner
        except GeneratorExit:
            self._worker.submit(self._write)
            raise
        except Exception:
            yield from self._keep(call)
            raise
        yield from self._keep(call)
        return reply

    def _keep(self, call: Call) -> Generator[Wait, object, None]:
        if self._budgets.unsaved or self._unwritten:
            waiter = Waiter(call, call.deadline)
            if self._worker.submit(self._write, lambda _: waiter.wake_up()):
                yield Wait(WAIT, waiter)

    def close(self) -> None:
        """Write the remaining spending, and close the file; it is reopened when it is used again."""
        self._worker.submit(self._write, last=True)
        self._worker.submit(self._close, last=True)
        self._worker.finish(WAIT)

    # --- in the worker's thread ----------------------------------------------------------------------------------

    def _load(self) -> None:
        counts = self._opened().execute("SELECT key, period, usd FROM spent").fetchall()
        self._locked(lambda: self._learn(counts))

    def _write(self) -> None:
        self._locked(self._take)
        if not self._unwritten:  # an earlier write included it
            return
        with self._opened() as connection:
            counts = [
                (key, period, connection.execute(_ADD, (key, period, usd)).fetchone()[0])
                for (key, period), usd in self._unwritten.items()
            ]
        self._unwritten = {}
        self._locked(lambda: self._learn(counts))

    def _take(self) -> None:
        unwritten = dict(self._unwritten)
        for count, usd in self._budgets.unsaved.items():
            unwritten[count] = unwritten.get(count, 0.0) + usd
        self._unwritten = unwritten  # set first, so that `_keep` never misses an amount
        self._budgets.take_unsaved()

    def _learn(self, counts: list[tuple[str, str, float]]) -> None:
        for key, period, usd in counts:
            self._budgets.raise_to(key, period, usd + self._budgets.unsaved.get((key, period), 0.0))

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            connection = sqlite3.connect(self._path, timeout=WAIT, check_same_thread=False)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS spent (key TEXT, period TEXT, usd REAL, PRIMARY KEY (key, period))"
            )
            self._connection = connection
        return self._connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
