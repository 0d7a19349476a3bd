"""Creates the redis-py client for a URL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

if TYPE_CHECKING:
    from redis import Redis

HEALTH_CHECK = 5
"""Seconds without a command after which a connection is checked with a PING, since a host that vanished does not close its connections. The
connection for notifications is checked at this interval too."""


def connected(source: str | Redis, timeout: float) -> Redis:
    """A client, which opens connections on first use. A client given as `source` is used as it is. `timeout`: seconds for an answer, and
    for connecting."""
    if not isinstance(source, str):
        return source
    from redis import Redis, RedisCluster
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    options: dict[str, Any] = {
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "health_check_interval": HEALTH_CHECK,
        "retry": Retry(NoBackoff(), 1),  # reopen once a connection that the server has closed
    }
    scheme, plus, kind = urlsplit(source).scheme.partition("+")
    scheme = scheme.replace("valkey", "redis")
    plain = f"{scheme}:{source.partition(':')[2]}"
    if kind == "sentinel":
        return _sentinel(plain, options)
    if plus:
        del options["health_check_interval"]
        return cast("Redis", RedisCluster.from_url(plain, **options))
    return Redis.from_url(plain, **options)  # pyright: ignore[reportUnknownMemberType] - redis-py leaves it open


def failures() -> tuple[type[Exception], ...]:
    """The exceptions that redis-py raises if the store is unavailable, or if the server at its address is not a Redis server."""
    from redis.exceptions import RedisClusterException, RedisError

    return (RedisError, RedisClusterException, OSError, ValueError, TypeError, LookupError, AttributeError)


def _sentinel(url: str, options: dict[str, Any]) -> Redis:
    """``redis://user:password@host:26379,host2:26379/name/0``: the database of the master `name`, whose address the sentinels give."""
    from redis import Sentinel, connection

    parts = urlsplit(url)
    words, _, hosts = parts.netloc.rpartition("@")
    name, _, database = parts.path.strip("/").partition("/")
    nodes = [host.rpartition(":") if ":" in host else (host, "", "26379") for host in hosts.split(",")]
    first = f"{words}@{nodes[0][0]}" if words else nodes[0][0]
    query = urlencode(parse_qsl(parts.query))
    given: dict[str, Any] = cast("Any", connection).parse_url(
        urlunsplit((parts.scheme, first, f"/{database or 0}", query, ""))
    )
    for field in ("host", "port", "connection_class"):
        given.pop(field, None)
    if parts.scheme == "rediss":
        given["ssl"] = True
    sentinels = [(host, int(port)) for host, _, port in nodes]
    # without `retry`, an unreachable sentinel would be tried for ten seconds before the next one
    theirs = {field: options[field] for field in ("socket_timeout", "socket_connect_timeout", "retry")}
    found = Sentinel(sentinels, sentinel_kwargs=theirs, **options, **given)
    return found.master_for(name)  # type: ignore[no-any-return]
