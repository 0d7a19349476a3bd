"""Silences: rules whose notifications are suppressed for a time. They are stored in the ledger, so that they apply to every process."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Iterable
from contextlib import closing, contextmanager
from fnmatch import fnmatchcase
from pathlib import Path

from hotspare.errors import ConfigError, Problem
from hotspare.ledger.schema import open_to_read, open_to_write


def silence(path: Path, rule: str, until: float, reason: str) -> None:
    """Silence the rules whose names match (`*` for all) until `until`, in seconds since 1970. Raises ConfigError."""
    with _writing(path) as ledger:
        ledger.execute("INSERT INTO silences VALUES (NULL, ?, ?, ?)", (rule, until, reason))


def unsilence(path: Path, rule: str) -> int:
    """End the silences of this pattern. Returns their number. Raises ConfigError."""
    with _writing(path) as ledger:
        return ledger.execute("DELETE FROM silences WHERE rule = ?", (rule,)).rowcount


@contextmanager
def _writing(path: Path) -> Generator[sqlite3.Connection]:
    try:
        with closing(open_to_write(path)) as ledger:
            yield ledger
    except (OSError, sqlite3.Error) as error:
        raise ConfigError(Problem.at("ledger", str(path), f"cannot be written: {error}; name another file")) from None


def silences(ledger: sqlite3.Connection, now: float) -> list[sqlite3.Row]:
    """The silences that are not over."""
    return ledger.execute("SELECT rule, until, reason FROM silences WHERE until > ? ORDER BY until", (now,)).fetchall()


def silenced_rules(path: Path, names: Iterable[str], now: float) -> frozenset[str]:
    """The rules that are silenced now; none if the ledger cannot be read."""
    try:
        with closing(open_to_read(path)) as ledger:
            patterns = [row["rule"] for row in silences(ledger, now)]
    except (ConfigError, sqlite3.Error):
        return frozenset()
    return frozenset(name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns))
