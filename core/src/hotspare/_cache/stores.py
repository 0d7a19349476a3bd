"""The stores of cached answers: memory, an SQLite file, Redis (`remote`), or a custom store."""

from __future__ import annotations

import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Callable

from hotspare._cache.replies import from_json, to_json
from hotspare._drivers import fork
from hotspare._shared.worker import SLOW, Worker
from hotspare.cache import Cache, CacheEntry, CacheStore
from hotspare.messages import ChatReply

WAIT = 1.0
"""Seconds for which a call waits for a custom store, or for a file, to which another process may be writing."""
PRUNED_EVERY = 100
"""Number of writes to the file after which expired and excess answers are deleted."""
_OVERHEAD = 500
"""Bytes of an entry in addition to its text."""


def store_of(config: Cache, calendar: Callable[[], float]) -> MemoryStore | BackgroundStore:
    """The store of a pool's cache. Children of this process create new locks, and reopen files and connections."""
    store: MemoryStore | BackgroundStore
    if config.url is not None:
        from hotspare._cache.remote import RemoteStore

        store = BackgroundStore(RemoteStore(config.url, config.prefix, calendar), "the cache in Redis", SLOW)
    elif config.path is not None:
        store = BackgroundStore(SQLiteStore(config, config.path), f"the cache {config.path}", WAIT)
    elif config.store is not None:
        store = BackgroundStore(config.store, "the cache", WAIT)
    else:
        store = MemoryStore(config)
    fork.watch(store)
    return store


class Lookup:
    """A pending look-up. `entry`: the answer, once it is known and if there is one."""

    __slots__ = ("entry",)

    def __init__(self) -> None:
        self.entry: CacheEntry | None = None


class BackgroundStore:
    """A store that may block on a disk, a lock or a server. A separate thread uses it, so that it does not block an event loop.

    An error does not fail a call: it is logged, and the store counts as unavailable for a second. `what`: its name in log lines.
    `max_wait`: seconds for which a call waits for it.
    """

    def __init__(self, store: CacheStore, what: str, max_wait: float) -> None:
        self._store, self.max_wait = store, max_wait
        self._worker = Worker(what, slow=max_wait)

    def after_fork(self) -> None:
        """In a child process: the thread and the store's connections belong to the parent."""
        self._worker.after_fork()
        if isinstance(self._store, fork.HasLocks):
            self._store.after_fork()

    def close(self) -> None:
        """Finish pending writes."""
        self._worker.finish(self.max_wait)

    def look_up(self, key: str, wake: Callable[[], object]) -> Lookup | None:
        """Start a look-up, and call `wake` at its end. Returns None if the store is unavailable. After an error, the next call checks whether
        it is available again, without waiting for it."""
        found = Lookup()

        def get() -> None:
            found.entry = self._store.get(key)

        submitted = self._worker.submit(get, lambda _: wake())
        return found if submitted and not self._worker.is_lost else None

    def put(self, key: str, entry: CacheEntry, keep: float) -> None:
        """Store an answer for `keep` seconds. It is written in the background, or not at all while the store is unavailable."""
        self._worker.submit(lambda: self._store.put(key, entry, keep))


class MemoryStore:
    """A store in this process's memory. The least recently read answers are dropped first."""

    def __init__(self, config: Cache) -> None:
        self._config = config
        self._entries: OrderedDict[str, CacheEntry] = OrderedDict()
        self._bytes = 0
        self.after_fork()

    def after_fork(self) -> None:
        """In a child process: replace the lock, which a thread of the parent may have held."""
        self._lock = threading.Lock()

    def get(self, key: str) -> CacheEntry | None:
        """The answer, of any age."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None:
                self._entries.move_to_end(key)
            return entry

    def put(self, key: str, entry: CacheEntry, keep: float) -> None:
        """Store an answer until its space is needed. `keep` is ignored: the age of an answer is checked when it is read."""
        with self._lock:
            old = self._entries.pop(key, None)
            self._bytes += _size(entry.reply) - (0 if old is None else _size(old.reply))
            self._entries[key] = entry
            while self._bytes > self._config.max_bytes or len(self._entries) > self._config.max_entries:
                _, gone = self._entries.popitem(last=False)
                self._bytes -= _size(gone.reply)


class SQLiteStore:
    """A store in an SQLite file, used by one thread. The oldest answers are dropped first."""

    def __init__(self, config: Cache, path: str) -> None:
        self._config, self._path = config, path
        self._connection: sqlite3.Connection | None = None
        self.after_fork()

    def after_fork(self) -> None:
        """In a child process: the parent's connection must not be used."""
        fork.keep_open(self._connection)
        self._connection = None
        self._writes = 0

    def get(self, key: str) -> CacheEntry | None:
        """The answer, of any age; None if the entry is invalid. Raises sqlite3.Error."""
        found = self._open().execute("SELECT stored, body FROM answers WHERE key = ?", (key,)).fetchone()
        try:
            return None if found is None else CacheEntry(from_json(found[1]), found[0])
        except (ValueError, TypeError, KeyError, AttributeError):
            return None

    def put(self, key: str, entry: CacheEntry, keep: float) -> None:
        """Store an answer for `keep` seconds. Raises sqlite3.Error."""
        row = (key, entry.stored, entry.stored + keep, _size(entry.reply), to_json(entry.reply))
        with self._open() as connection:
            connection.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?)", row)
            if self._writes % PRUNED_EVERY == 0:
                self._prune(connection, entry.stored)
            self._writes += 1

    def _prune(self, connection: sqlite3.Connection, now: float) -> None:
        connection.execute("DELETE FROM answers WHERE expires < ?", (now,))
        keep, left = 0, self._config.max_bytes
        sizes = connection.execute("SELECT size FROM answers ORDER BY stored DESC LIMIT ?", (self._config.max_entries,))
        for (size,) in sizes:
            left -= size
            if left < 0:
                break
            keep += 1
        connection.execute(
            "DELETE FROM answers WHERE key NOT IN (SELECT key FROM answers ORDER BY stored DESC LIMIT ?)", (keep,)
        )

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            connection = sqlite3.connect(self._path, timeout=WAIT, check_same_thread=False)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, stored REAL, expires REAL, size INTEGER, body TEXT)"
            )
            connection.execute("CREATE INDEX IF NOT EXISTS by_age ON answers (stored)")
            self._connection = connection
        return self._connection


def _size(reply: ChatReply) -> int:
    return len(reply.text) + len(reply.reasoning) + _OVERHEAD
