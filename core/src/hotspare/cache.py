"""Cache: answers that are kept for identical requests, and where."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from hotspare.errors import ConfigError, Problem
from hotspare.messages import ChatReply


class CacheEntry(NamedTuple):
    """An answer that is kept. `stored`: when, in seconds since 1970."""

    reply: ChatReply
    stored: float


class CacheStore(Protocol):
    """Keeps answers under keys, which are hashes of requests. Each pool uses it in one thread of its own: a call waits for it, at
    most a second, and no event loop does.

    An error of the store fails no call: it is logged, the call is made, and the store is not used for a second.
    """

    def get(self, key: str) -> CacheEntry | None:
        """The answer, however old."""
        ...

    def put(self, key: str, entry: CacheEntry, keep: float) -> None:
        """Store an answer for `keep` seconds; it replaces an older one."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """Answers that are kept for identical requests: route, messages, tools and every parameter are the same.

    Whole text answers are kept: not tool calls, refusals, or answers that were cut. Concurrent identical calls make one
    request; the others wait for its answer, and one of them makes the next request if it fails. A call may pass
    ``cache="off"`` (neither read nor kept) or ``cache="refresh"`` (a new request, and its answer is kept).

    ttl: seconds for which an answer is served. 3600.
    stale: seconds after that in which it is still served while no target answers, marked as `stale`. 0: never. A call with
        such an answer does not wait for a recovery.
    max_entries: most answers kept; the oldest go first. 10,000. In Redis the server's `maxmemory` is the limit.
    max_bytes: most memory or disk for them, roughly. 64 MiB. Not for Redis.
    path: an SQLite file, which several processes may share. None: the memory of this process. Prompts are not in it, only
        hashes of requests; answers are.
    url: a Redis or Valkey server: ``redis://host:6379/0``, or any URL that `Pool(shared=…)` takes (extra `redis`). All processes
        with the same `url` and `prefix` share its answers. Prompts are not in it; answers are. A call waits for it at most
        50 ms, then continues without it.
    prefix: what the keys in Redis begin with. ``hotspare``.
    store: a store of your own, in place of memory, SQLite and Redis.

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
