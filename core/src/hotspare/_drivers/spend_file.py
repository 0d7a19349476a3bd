"""What was spent, in an SQLite file: budgets survive a restart, and hold for all processes that use the file."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping

from hotspare import events

log = logging.getLogger("hotspare")
WAIT = 5.0
"""Seconds for which other processes' writes are waited for. A write takes well under a millisecond, but SQLite's lock is not fair: 200
callers in two processes kept one of them from it for more than a second, in which it did not learn what the other spent."""
_ADD = (
    "INSERT INTO spent VALUES (?, ?, ?) ON CONFLICT (key, period) DO UPDATE SET usd = usd + excluded.usd RETURNING usd"
)


class SpendFile:
    """Keeps what was spent, by budget and period. A file that cannot be written is logged once; budgets go on in memory, and what
    could not be kept is added with the next call."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._failed = False
        self.after_fork()

    def after_fork(self) -> None:
        """In a child process: connections must not be taken along, and a thread that is gone may have held the lock."""
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._unkept: dict[tuple[str, str], float] = {}

    def load(self) -> list[tuple[str, str, float]]:
        """Key, period and USD of all that is kept."""
        return self._run(lambda connection: connection.execute("SELECT key, period, usd FROM spent").fetchall()) or []

    def add(self, entries: Iterable[tuple[str, str, float]]) -> list[tuple[str, str, float]]:
        """Add to counts (key, period, USD). Returns the new counts, what other processes have spent included."""

        def write(connection: sqlite3.Connection) -> list[tuple[str, str, float]]:
            with connection:
                counts = [
                    (key, period, connection.execute(_ADD, (key, period, usd)).fetchone()[0])
                    for (key, period), usd in self._unkept.items()
                ]
            self._unkept = {}
            return counts

        return self._run(write, entries) or []

    def _run(
        self,
        work: Callable[[sqlite3.Connection], list[tuple[str, str, float]]],
        entries: Iterable[tuple[str, str, float]] = (),
    ) -> list[tuple[str, str, float]] | None:
        with self._lock:
            for key, period, usd in entries:
                self._unkept[key, period] = self._unkept.get((key, period), 0.0) + usd
            try:
                self._connection = self._connection or self._open()
                return work(self._connection)
            except sqlite3.Error as error:
                if not self._failed:
                    log.error(
                        "what was spent cannot be kept in %s: %s; budgets count in memory only", self._path, error
                    )
                self._failed = True
                return None

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=WAIT, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS spent (key TEXT, period TEXT, usd REAL, PRIMARY KEY (key, period))"
        )
        return connection

    def close(self) -> None:
        """Close the file; it is opened again if it is used."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None


Entries = Callable[[events.CallEnded, Mapping[str, float]], list[tuple[str, str, float]]]


def keeper(file: SpendFile, entries: Entries, raise_to: Callable[[str, str, float], object]) -> events.Listener:
    """A listener that keeps what calls have cost, and takes over what other processes have spent."""

    def keep(event: events.Event) -> None:
        if isinstance(event, events.CallEnded) and event.paid:
            costs: dict[str, float] = {}
            for paid in event.paid:
                costs[paid.target] = costs.get(paid.target, 0.0) + (paid.cost or 0.0)
            for key, period, usd in file.add(entries(event, costs)):
                raise_to(key, period, usd)

    return keep
