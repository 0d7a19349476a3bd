"""URLs of a Redis or Valkey, checked before anything is sent."""

from __future__ import annotations

from urllib.parse import urlsplit

from hotspare.errors import ConfigError, MissingExtra, Problem
from hotspare.secret import shown_url

SCHEMES = ("redis", "rediss", "unix", "valkey", "valkeys", "redis+cluster", "rediss+cluster", "redis+sentinel", "rediss+sentinel")  # fmt: skip


def check_url(url: str, field: str = "shared") -> None:
    """Raise ConfigError for a URL that names no store, MissingExtra where redis-py is missing. `field`: in which it was given."""
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES or (not parts.netloc and parts.scheme != "unix"):
        hint = "must be like 'redis://host:6379/0': with rediss for TLS, redis+cluster for a cluster, redis+sentinel://host:26379/name for Sentinel"
        raise ConfigError(Problem.at(field, shown_url(url), hint))
    try:
        import redis  # noqa: F401  # pyright: ignore[reportUnusedImport]
    except ImportError:
        raise MissingExtra("sharing through Redis", "redis") from None
