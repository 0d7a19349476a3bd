"""A store in an SQLite file: for processes on one host without Redis, for example the workers of gunicorn, uvicorn or Celery.

Times are from the host's monotonic clock, which all its processes share. Rows whose times are in the clock's future were written before a
restart of the host, and are dropped. Rules and counts use the code of the store in memory, so that both behave equally.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from typing import cast

from hotspare._config.scalars import is_table
from hotspare._cost.shares import Claim, Portion
from hotspare._health.facts import Fact, checked, merged, supersedes
from hotspare._shared.memory import aged, take_daily, take_from
from hotspare._shared.money import Count
from hotspare._shared.store import MEMBER_SECONDS, Bucket, Counted, Grant, Lease, Listener, Picture, StoreError

_POLL = 0.2
"""Seconds between two polls for changes by other processes: a file cannot notify. Polling an unchanged file takes microseconds."""
_SCHEMA = 1
_TABLES = tuple(
    """
CREATE TABLE IF NOT EXISTS facts (space TEXT, subject TEXT, slot TEXT, at REAL, ends REAL, number INTEGER, fact TEXT, PRIMARY KEY (space, subject, slot));
CREATE TABLE IF NOT EXISTS members (space TEXT, name TEXT, at REAL, PRIMARY KEY (space, name));
CREATE TABLE IF NOT EXISTS buckets (space TEXT, name TEXT, arrival REAL, PRIMARY KEY (space, name));
CREATE TABLE IF NOT EXISTS days (space TEXT, name TEXT, hours TEXT, PRIMARY KEY (space, name));
CREATE TABLE IF NOT EXISTS counts (space TEXT, name TEXT, ends REAL, most REAL, count TEXT, PRIMARY KEY (space, name));
CREATE TABLE IF NOT EXISTS news (number INTEGER);
""".strip().split("\n")
)


class FileStore:
    """See `Store`. `path`: the file, which is created on first use. `space`: namespace of this pool in the file. `timeout`: seconds to wait
    for another process's write. `clock`: seconds, the same for all processes."""

    def __init__(
        self, path: str, space: str = "hotspare", timeout: float = 1.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._path = os.path.abspath(path)  # it may be opened after a change of the working directory
        self._space, self._timeout, self._clock = space, timeout, clock
        self._listening: list[threading.Event] = []
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._of_parents: list[sqlite3.Connection | None] = []
        self._opened_file = 0

    # --- the file ------------------------------------------------------------------------------------------------

    def _opened(self) -> sqlite3.Connection:
        file = sqlite3.connect(self._path, timeout=self._timeout, isolation_level=None, check_same_thread=False)
        try:
            file.execute("BEGIN IMMEDIATE")  # of several processes that start together, one creates the tables
            (schema,) = file.execute("PRAGMA user_version").fetchone()
            if schema > _SCHEMA:
                raise StoreError("a newer version of hotspare uses this file: name another, or upgrade hotspare")
            if schema < _SCHEMA:
                for table in _TABLES:
                    file.execute(table)
                file.execute(f"PRAGMA user_version={_SCHEMA}")
            file.execute("COMMIT")
            if file.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                with suppress(sqlite3.OperationalError):  # another process uses the file: a later one switches
                    file.execute("PRAGMA journal_mode=WAL")
            file.execute("PRAGMA synchronous=NORMAL")
        except BaseException:
            file.close()
            raise
        return file

    @contextmanager
    def _changing(self) -> Generator[tuple[sqlite3.Connection, float]]:
        """One transaction, and the time. Raises StoreError."""
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = self._opened()
                    self._opened_file = self._file_number()
                self._connection.execute("BEGIN IMMEDIATE")
                with self._connection:
                    yield self._connection, self._clock()
            except (sqlite3.Error, OSError, ValueError, TypeError) as error:  # the last two: invalid content
                self._drop()
                raise StoreError(f"{type(error).__name__}: {error}") from None

    def _file_number(self) -> int:
        return os.stat(self._path).st_ino

    def _is_there(self) -> bool:
        """Whether the open file is still at its path: it may have been deleted or replaced."""
        try:
            return self._file_number() == self._opened_file
        except OSError:
            return False

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    # --- facts ---------------------------------------------------------------------------------------------------

    def sync(self, member: str, since: str = "") -> Picture:
        """As in `Store`."""
        if self._connection is not None and not self._is_there():
            self._drop()
        with self._changing() as (file, now):
            file.execute("INSERT OR REPLACE INTO members VALUES (?, ?, ?)", (self._space, member, now))
            file.execute("DELETE FROM members WHERE at <= ? OR at > ?", (now - MEMBER_SECONDS, now))
            (members,) = file.execute("SELECT COUNT(*) FROM members WHERE space = ?", (self._space,)).fetchone()
            version = str(self._number(file))
            if version == since:
                return Picture(version, members, None)
            return Picture(version, members, tuple(fact for fact in self._facts(file, now) if fact.remaining > 0))

    def _number(self, file: sqlite3.Connection) -> int:
        """The number of the latest change of facts."""
        found = file.execute("SELECT number FROM news").fetchone()
        return int(found[0]) if found else 0

    def _facts(self, file: sqlite3.Connection, now: float, after: int = -1) -> list[Fact]:
        """The facts written after change number `after`, expired ones included."""
        rows = file.execute(
            "SELECT at, fact FROM facts WHERE space = ? AND number > ? AND at <= ? ORDER BY number",
            (self._space, after, now),
        ).fetchall()
        found = [(at, _fact(text)) for at, text in rows]
        return [aged(fact, now - at) for at, fact in found if fact is not None]

    def _current(self, file: sqlite3.Connection, subject: str, slot: str, now: float) -> Fact | None:
        row = file.execute(
            "SELECT at, fact FROM facts WHERE space = ? AND subject = ? AND slot = ? AND at <= ? AND ends > ?",
            (self._space, subject, slot, now, now),
        ).fetchone()
        fact = _fact(row[1]) if row else None
        return aged(fact, now - row[0]) if fact is not None else None

    def _keep(self, file: sqlite3.Connection, fact: Fact, now: float) -> None:
        number = self._number(file) + 1
        file.execute("DELETE FROM news")
        file.execute("INSERT INTO news VALUES (?)", (number,))
        file.execute("DELETE FROM facts WHERE ends < ? OR at > ?", (now - MEMBER_SECONDS, now))
        file.execute(
            "INSERT OR REPLACE INTO facts VALUES (?, ?, ?, ?, ?, ?, ?)",
            (self._space, fact.subject, fact.slot, now, now + fact.remaining, number, json.dumps(asdict(fact))),
        )

    def write(self, facts: Sequence[Fact]) -> None:
        """As in `Store`."""
        with self._changing() as (file, now):
            for fact in facts:
                old = self._current(file, fact.subject, fact.slot, now)
                if old is None or supersedes(fact, old):
                    self._keep(file, fact if old is None else merged(fact, old), now)

    def lease(self, subject: str, holder: str, seconds: float, name: str = "") -> Lease:
        """As in `Store`."""
        with self._changing() as (file, now):
            old = self._current(file, subject, "probe", now)
            if old is not None and old.cause != holder:
                return Lease(old.cause, old.remaining)
            self._keep(file, Fact(subject, "probe", "lease", seconds, name=name, cause=holder), now)
            return Lease(holder, seconds)

    def release(self, subject: str, holder: str) -> None:
        """As in `Store`."""
        with self._changing() as (file, now):
            old = self._current(file, subject, "probe", now)
            if old is not None and old.cause == holder:
                self._keep(file, replace(old, remaining=0.0, age=0.0), now)

    # --- limits and budgets --------------------------------------------------------------------------------------

    def take(self, bucket: Bucket, want: float, least: float, used: float, horizon: float) -> Grant:
        """As in `Store`."""
        with self._changing() as (file, now):
            place = (self._space, bucket.name)
            if bucket.is_daily:
                return _take_daily(file, place, bucket.limit, want, least, used)
            row = file.execute("SELECT arrival FROM buckets WHERE space = ? AND name = ?", place).fetchone()
            arrival = row[0] - now if row else 0.0
            if arrival > bucket.period:  # from before a restart of the host
                arrival = 0.0
            arrival, grant = take_from(bucket, arrival, want, least, used, horizon)
            file.execute("INSERT OR REPLACE INTO buckets VALUES (?, ?, ?)", (*place, now + arrival))
            return grant

    def spend(self, member: str, claim: Claim) -> Portion:
        """As in `Store`. Uses calendar time, because periods are those of the calendar."""
        with self._changing() as (file, _):
            place, now = (self._space, f"{claim.key} {claim.period}"), time.time()
            file.execute("DELETE FROM counts WHERE ends < ?", (now,))
            row = file.execute("SELECT count FROM counts WHERE space = ? AND name = ?", place).fetchone()
            count = Count(**json.loads(row[0])) if row else Count()
            portion = count.take(member, claim, now)
            values = (*place, now + claim.seconds, claim.limit, json.dumps(asdict(count)))
            file.execute("INSERT OR REPLACE INTO counts VALUES (?, ?, ?, ?, ?)", values)
            return portion

    def counts(self, most: int) -> list[Counted]:
        """The stored counts of budgets, at most `most` of them. Raises StoreError."""
        with self._changing() as (file, _):
            rows = file.execute(
                "SELECT name, most, count FROM counts WHERE space = ? LIMIT ?", (self._space, most)
            ).fetchall()
        found = [(name, limit, Count(**json.loads(text))) for name, limit, text in rows]
        return [Counted(name, count.spent, count.leased, limit) for name, limit, count in found]

    # --- news ----------------------------------------------------------------------------------------------------

    def listen(self, listener: Listener) -> Callable[[], None]:
        """As in `Store`. A thread polls the file."""
        ended = threading.Event()
        threading.Thread(target=self._watch, args=(listener, ended), name="hotspare-news", daemon=True).start()
        self._listening.append(ended)
        return ended.set

    def _watch(self, listener: Listener, ended: threading.Event) -> None:
        file: sqlite3.Connection | None = None
        seen = changed = -1
        while not ended.wait(_POLL if file is not None else 0):
            try:
                if file is None:
                    file = self._opened()
                    seen = self._number(file)
                    listener(None)
                (now_changed,) = file.execute("PRAGMA data_version").fetchone()
                if now_changed != changed:
                    changed = now_changed
                    news, seen = self._facts(file, self._clock(), seen), self._number(file)
                    for fact in news:
                        listener(fact)
            except (sqlite3.Error, StoreError) as error:
                if file is not None:
                    file.close()
                file = None
                listener(error if isinstance(error, StoreError) else StoreError(f"{type(error).__name__}: {error}"))
                ended.wait(1.0)
        if file is not None:
            file.close()

    def leave(self, member: str) -> None:
        """As in `Store`."""
        with self._changing() as (file, _):
            file.execute("DELETE FROM members WHERE space = ? AND name = ?", (self._space, member))

    def close(self) -> None:
        """As in `Store`."""
        for ended in self._listening:
            ended.set()
        self._listening.clear()
        with self._lock:
            self._drop()

    def after_fork(self) -> None:
        """As in `Store`. The parent's connection is kept and never used: closing it here would give up the parent's locks."""
        self._lock = threading.Lock()
        self._of_parents.append(self._connection)
        self._connection = None
        self._listening = []


def _fact(text: object) -> Fact | None:
    """A fact from its stored form; None if it is invalid."""
    try:
        values = json.loads(cast("str", text))
    except (ValueError, TypeError):
        return None
    return checked(values) if is_table(values) else None


def _take_daily(
    file: sqlite3.Connection, place: tuple[str, str], limit: float, want: float, least: float, used: float
) -> Grant:
    """`Store.take` of a daily limit, by calendar hours, which do not change when the host restarts."""
    row = file.execute("SELECT hours FROM days WHERE space = ? AND name = ?", place).fetchone()
    hours = {int(hour): float(count) for hour, count in json.loads(row[0]).items()} if row else dict[int, float]()
    grant = take_daily(limit, hours, time.time(), want, least, used)
    file.execute("INSERT OR REPLACE INTO days VALUES (?, ?, ?)", (*place, json.dumps(hours)))
    return grant
