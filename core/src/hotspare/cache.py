"""Cache: which answers are kept for identical requests, where, and for how long."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from hotspare.errors import ConfigError, Problem
from hotspare.messages import ChatReply


class CacheEntry(NamedTuple):
    """A stored answer. `stored`: when it was stored, in seconds since 1970."""

    reply: ChatReply
    stored: float


class CacheStore(Protocol):
    """Stores answers under keys, which are hashes of requests. Each pool uses it from one separate thread: a call waits for it at
    most a second, and it never blocks an event loop.

    An error of the store never fails a call: it is logged, the call goes to a target, and the store is not used for one second.
    """

    def get(self, key: str) -> CacheEntry | None:
        """The answer under this key, whatever its age; None if there is none."""
        ...

    def put(self, key: str, entry: CacheEntry, keep: float) -> None:
        """Store an answer for `keep` seconds. It replaces an older answer under the same key."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """Answers that are kept for identical requests: route, messages, tools and every parameter are the same.

    Only complete text answers are kept: no tool calls, no refusals, no answers that were cut off. Of concurrent identical calls
    one makes the request and the others wait for its answer; if it fails, another one of them makes the next request. A call may pass
    ``cache="off"`` (neither read nor kept) or ``cache="refresh"`` (a new request, and its answer is kept).

    ttl: seconds for which an answer is served. 3600.
    stale: seconds after that in which it is still served while no target answers, marked as `stale`. 0: never. A call with
        such an answer does not wait for a recovery.
    max_entries: most answers kept; the oldest are removed first. 10,000. In Redis the server's `maxmemory` is the limit.
    max_bytes: approximate limit of the memory or disk space for answers. 64 MiB. Not for Redis.
    path: an SQLite file, which several processes may share. None: the memory of this process. Prompts are not in it, only
        hashes of requests; answers are.
    url: a Redis or Valkey server: ``redis://host:6379/0``, or any URL that `Pool(shared=…)` takes (extra `redis`). All processes
        with the same `url` and `prefix` share its answers. Prompts are not in it; answers are. A call waits for it at most
        50 ms, then continues without it.
    prefix: the beginning of all keys in Redis. ``hotspare``.
    store: your own `CacheStore`, in place of memory, SQLite and Redis.

    Raises ConfigError.
    """

    ttl: float = 3600.0
    stale: float = 0.0
    max_entries: int = 10_000
    max_bytes: int = 64 * 2**20
    path: str | None = None
    url: str | None = field(default=None, repr=False)
    prefix: str = "hotspare"
    store: CacheStore | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        from hotspare._config.coercion import coerce

        for name, value in coerce("cache", self).items():
            object.__setattr__(self, name, value)
        problems = [
            Problem.at(f"cache.{name}", getattr(self, name), "must be above 0")
            for name in ("ttl", "max_entries", "max_bytes")
            if not getattr(self, name) > 0
        ]
        if self.stale < 0:
            problems.append(Problem.at("cache.stale", self.stale, "must not be negative"))
        if sum(place is not None for place in (self.path, self.url, self.store)) > 1:
            problems.append(Problem("cache: `path`, `url` and `store` exclude each other: keep one of them"))
        if problems:
            raise ConfigError(problems)
        if self.url is not None:
            from hotspare._config.store_urls import check_url

            check_url(self.url, "cache.url")
