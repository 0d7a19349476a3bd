"""URLs of a Redis or Valkey server, or of an SQLite file, checked before anything is sent."""

from __future__ import annotations

from urllib.parse import SplitResult, unquote, urlsplit

from hotspare.errors import ConfigError, MissingExtra, Problem
from hotspare.secret import shown_url

SCHEMES = ("redis", "rediss", "unix", "valkey", "valkeys", "redis+cluster", "rediss+cluster", "redis+sentinel", "rediss+sentinel")  # fmt: skip


def file_of(url: str) -> str | None:
    """The path in ``sqlite:///run/app/hotspare.db`` or ``sqlite:hotspare.db``; None for another URL."""
    parts = _split(url)
    return unquote(parts.path) if parts.scheme == "sqlite" and not parts.netloc else None


def check_url(url: str, field: str = "shared", *, file: bool = False) -> None:
    """Raises ConfigError for a URL that names no Redis server, MissingExtra without redis-py. `field`: the setting that holds the URL.
    `file`: whether it may also name a file."""
    parts = _split(url)
    if parts.scheme not in SCHEMES or (not parts.netloc and parts.scheme != "unix"):
        hint = "must be like 'redis://host:6379/0': with rediss for TLS, redis+cluster for a cluster, redis+sentinel://host:26379/name for Sentinel"
        hint += "; or 'sqlite:///run/app/hotspare.db' for the processes of one host" if file else ""
        raise ConfigError(Problem.at(field, shown_url(url), hint))
    mistake = _address_mistake(parts)
    if mistake:
        raise ConfigError(Problem.at(field, shown_url(url), mistake))
    try:
        import redis  # noqa: F401  # pyright: ignore[reportUnusedImport]
    except ImportError:
        raise MissingExtra("sharing through Redis", "redis") from None


def _split(url: str) -> SplitResult:
    """The parts of a URL, all empty if it is not one. The error of `urlsplit` is not shown, because it may hold the password."""
    try:
        return urlsplit(url)
    except ValueError:
        return SplitResult("", "", "", "", "")


def _address_mistake(parts: SplitResult) -> str:
    """The mistake in the address of a Redis server; "" if there is none."""
    kind, path = parts.scheme.partition("+")[2], parts.path.strip("/")
    if kind == "sentinel":
        name, _, database = path.partition("/")
        if not name or (database and not database.isdigit()):
            return "must name the master, and may name a database: redis+sentinel://host:26379,host2:26379/name/0"
        return ""
    if "," in parts.netloc:
        return "must name one host: a cluster's other nodes are found through it, and only redis+sentinel:// takes several addresses"
    if kind == "cluster" and path not in ("", "0"):
        return "must not name a database: a cluster has one"
    try:
        return "" if parts.port != 0 else "must have a port above 0"
    except ValueError:
        return "must have a port from 1 to 65535, as a number"
