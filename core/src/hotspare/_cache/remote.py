"""Cached answers in Redis or Valkey, shared by all processes that use the same server."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from hotspare._cache.replies import from_json, to_json
from hotspare._shared.connecting import connected
from hotspare._shared.redis_store import SCHEMA
from hotspare.cache import CacheEntry

if TYPE_CHECKING:
    from redis import Redis


TIMEOUT = 1.0
"""Seconds without an answer after which the connection counts as lost. A call waits at most `worker.SLOW`."""


class RemoteStore:
    """Stores each answer under the key `<prefix>:<schema>:answer:<hash>`, which the server expires.

    The age of an answer is computed from the remaining time to live on the server, because processes' clocks may differ. `calendar`: this
    process's time in seconds since 1970.
    """

    def __init__(self, url: str, prefix: str, calendar: Callable[[], float]) -> None:
        self._url, self._prefix, self._calendar = url, f"{prefix}:{SCHEMA}:answer:", calendar
        self._connection: Redis | None = None

    def after_fork(self) -> None:
        """In a child process: drop the connection, which belongs to the parent."""
        self._connection = None

    def get(self, key: str) -> CacheEntry | None:
        """The answer, of any age. Raises the Redis client's errors."""
        with cast("Any", self._client()).pipeline(transaction=False) as pipe:
            pipe.get(self._prefix + key)
            pipe.pttl(self._prefix + key)
            body, left = pipe.execute()
        return self._entry(body, left)

    def _entry(self, body: bytes | None, left: int) -> CacheEntry | None:
        """The entry; None if it expired between the two commands, or is invalid."""
        try:
            keep, _, text = (body or b"").partition(b"\n")
            return (
                CacheEntry(from_json(text.decode()), self._calendar() - (int(keep) - left) / 1000) if left > 0 else None
            )
        except (ValueError, TypeError, KeyError, AttributeError):
            return None

    def put(self, key: str, entry: CacheEntry, keep: float) -> None:
        """Store an answer for `keep` seconds. Raises the Redis client's errors."""
        milliseconds = round(keep * 1000)
        body = f"{milliseconds}\n{to_json(entry.reply)}"
        self._client().set(self._prefix + key, body, px=milliseconds)

    def _client(self) -> Redis:
        if self._connection is None:
            self._connection = connected(self._url, TIMEOUT)
        return self._connection
