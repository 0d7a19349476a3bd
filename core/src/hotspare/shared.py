"""The store that processes share: `Pool(shared="redis://…")`, or with settings `Pool(shared=Shared("redis://…", prefix="search"))`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hotspare.errors import ConfigError, Problem
from hotspare.secret import shown_url

if TYPE_CHECKING:
    from redis import Redis


@dataclass(frozen=True, slots=True)
class Shared:
    """Where the processes of a fleet keep what they share: open breakers, rate limits, probe leases, operators' commands.

    url: of a Redis or Valkey server, in redis-py's form (`redis://`, `rediss://`, `unix://`), ``redis+cluster://…`` for a cluster, or
        ``redis+sentinel://host:26379,host2:26379/name/0``; or a client of redis-py. Extra `redis`. For the processes of one host a file
        is enough, without a server or an extra: ``sqlite:///run/app/hotspare.db``.
    prefix: of all keys and of the pub/sub channel. ``hotspare``. Processes with different prefixes share nothing.
    expected_processes: number of processes that limits are divided by while the store is unavailable. None: the last count, or 1.
    refresh: seconds between two reads of the whole state, jittered by a quarter. 2: changes arrive immediately, by pub/sub; missed ones
        arrive with the next read, and the return of a store is noticed within 3 s.
    timeout: longest wait for an answer of the store, in seconds. 1. Calls do not wait that long: one that needs a shared limit waits 50 ms.

    Raises ConfigError for an invalid field, MissingExtra without redis-py.
    """

    url: str | Redis = field(repr=False)
    prefix: str = "hotspare"
    expected_processes: int | None = None
    refresh: float = 2.0
    timeout: float = 1.0

    def __post_init__(self) -> None:
        problems: list[Problem] = []
        if not self.prefix or not isinstance(self.prefix, str):  # pyright: ignore[reportUnnecessaryIsInstance] - callers may be untyped
            problems.append(
                Problem.at("shared.prefix", self.prefix, "must be a non-empty string: all keys begin with it")
            )
        for name in ("refresh", "timeout"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not 0.01 <= value <= 60:
                problems.append(Problem.at(f"shared.{name}", value, "must be between 0.01 and 60 seconds"))
        expected = self.expected_processes
        if expected is not None and (not isinstance(expected, int) or expected < 1):  # pyright: ignore[reportUnnecessaryIsInstance]
            problems.append(Problem.at("shared.expected_processes", expected, "must be at least 1"))
        if problems:
            raise ConfigError(problems)
        if isinstance(self.url, str):
            _check(self.url)

    def __str__(self) -> str:
        return shown_url(self.url) if isinstance(self.url, str) else type(self.url).__name__


def _check(url: str) -> None:
    """Raise ConfigError for a URL that names neither a Redis server nor a file, or a file in a missing folder."""
    from hotspare._config.store_urls import check_url, file_of

    path = file_of(url)
    if path is None:
        check_url(url, file=True)
    elif not path or Path(path).is_dir():
        raise ConfigError(Problem.at("shared", url, "must name a file, as 'sqlite:///run/app/hotspare.db' does"))
    elif not Path(path).absolute().parent.is_dir():
        raise ConfigError(
            Problem.at("shared", url, f"is in the folder {Path(path).parent}, which does not exist: create it first")
        )
