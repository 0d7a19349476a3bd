"""Answers in Redis or Valkey, for all processes that use one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from hotspare._cache.replies import read, written
from hotspare._shared.connecting import connected
from hotspare._shared.redis_store import SCHEMA
from hotspare.cache import CacheEntry

if TYPE_CHECKING:
    from redis import Redis


TIMEOUT = 1.0
"""Seconds after which the connection counts as lost. No call waits so long for it."""


class RemoteStore:
    """Keeps each answer in a key of its own, `<prefix>:<schema>:answer:<hash>`, which the server drops at its end.

    The age of an answer comes from the time that the server has left for it: processes' clocks may differ. `calendar`: seconds since
    1970, of this process.
    """

    def __init__(self, url: str, prefix: str, calendar: Callable[[], float]) -> None:
        self._url, self._prefix, self._calendar = url, f"{prefix}:{SCHEMA}:answer:", calendar
        self._connection: Redis | None = None

    def after_fork(self) -> None:
        """In a child process: the connection is the parent's."""
        self._connection = None

    def get(self, key: str) -> CacheEntry | None:
        """The answer, however old. Raises what the client raises."""
        with cast("Any", self._client()).pipeline(transaction=False) as pipe:
            pipe.get(self._prefix + key)
            pipe.pttl(self._prefix + key)
            body, left = pipe.execute()
        return self._entry(body, left)

    def _entry(self, body: bytes | None, left: int) -> CacheEntry | None:
        """None for what expires between the two commands, and for what something else wrote."""
        try:
            keep, _, text = (body or b"").partition(b"\n")
            return CacheEntry(read(text.decode()), self._calendar() - (int(keep) - left) / 1000) if left > 0 else None
        except (ValueError, TypeError, KeyError, AttributeError):
            return None

    def put(self, key: str, entry: CacheEntry, keep: float) -> None:
        """Keep an answer for so many seconds. Raises what the client raises."""
        milliseconds = round(keep * 1000)
        body = f"{milliseconds}\n{written(entry.reply)}"
        self._client().set(self._prefix + key, body, px=milliseconds)

    def _client(self) -> Redis:
        if self._connection is None:
            self._connection = connected(self._url, TIMEOUT)
        return self._connection
