"""The tables of a ledger, and how its file is opened."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from hotspare.errors import ConfigError, Problem

VERSION = 2
BUSY_SECONDS = 1.0
"""Seconds for which a statement waits for another process's lock."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS calls (
    id INTEGER PRIMARY KEY, run TEXT NOT NULL, call TEXT NOT NULL, started REAL NOT NULL, seconds REAL NOT NULL,
    result TEXT NOT NULL, target TEXT, model TEXT NOT NULL, route TEXT NOT NULL, streaming INTEGER NOT NULL,
    labels TEXT NOT NULL, ttft REAL, input_tokens INTEGER, output_tokens INTEGER, cached_tokens INTEGER, cost REAL,
    wasted_tokens INTEGER NOT NULL, waited REAL NOT NULL, rescued INTEGER NOT NULL, attempts INTEGER NOT NULL,
    error TEXT NOT NULL, wasted REAL, saved REAL, saved_tokens INTEGER, UNIQUE (run, call));
CREATE INDEX IF NOT EXISTS calls_started ON calls (started);
CREATE TABLE IF NOT EXISTS attempts (
    id INTEGER PRIMARY KEY, run TEXT NOT NULL, call TEXT NOT NULL, number INTEGER NOT NULL, started REAL NOT NULL,
    seconds REAL NOT NULL, target TEXT NOT NULL, kind TEXT NOT NULL, reason TEXT NOT NULL, status INTEGER, code TEXT,
    message TEXT NOT NULL, ttft REAL, UNIQUE (run, call, number));
CREATE INDEX IF NOT EXISTS attempts_started ON attempts (started);
CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY, run TEXT NOT NULL, number INTEGER NOT NULL, at REAL NOT NULL, event TEXT NOT NULL,
    subject TEXT NOT NULL, fields TEXT NOT NULL, UNIQUE (run, number));
CREATE INDEX IF NOT EXISTS events_at ON events (at);
CREATE TABLE IF NOT EXISTS silences (
    id INTEGER PRIMARY KEY, rule TEXT NOT NULL, until REAL NOT NULL, reason TEXT NOT NULL);
"""

_UPGRADES = {
    1: "ALTER TABLE calls ADD COLUMN wasted REAL; ALTER TABLE calls ADD COLUMN saved REAL; ALTER TABLE calls ADD COLUMN saved_tokens INTEGER;"
}
"""The statements that convert a file to the next format, by its present format."""


def default_path() -> Path | None:
    """$HOTSPARE_LEDGER (None if that is `off`), else `hotspare/ledger.db` in $XDG_STATE_HOME or ~/.local/state."""
    named = os.environ.get("HOTSPARE_LEDGER")
    if named:
        return None if named == "off" else Path(named)
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local/state") / "hotspare" / "ledger.db"


def open_to_write(path: Path) -> sqlite3.Connection:
    """Open the file; create the folder, the file and the tables if they are missing. Raises sqlite3.Error or OSError.

    With WAL and `synchronous = NORMAL` a commit survives the death of the process; after a power failure the latest ones may be
    missing, but the file is intact.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > VERSION:
            raise sqlite3.DatabaseError(f"was written by a newer hotspare (format {version})")
        if version < VERSION:
            _upgrade(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _upgrade(connection: sqlite3.Connection) -> None:
    """Upgrade the file under its lock, because another process may do the same."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        steps = [_UPGRADES[one] for one in range(version, VERSION)] if version else [_SCHEMA]
        for statement in "".join(steps).split(";"):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def open_to_read(path: str | Path) -> sqlite3.Connection:
    """Open a ledger for queries; rows are read by column name. Raises ConfigError if the file is missing or is not a ledger."""
    if not Path(path).is_file():
        raise ConfigError(Problem.at("ledger", str(path), "does not exist; name the file, or set HOTSPARE_LEDGER"))
    try:
        connection = sqlite3.connect(f"{Path(path).absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_SECONDS)
        connection.row_factory = sqlite3.Row
        connection.execute("SELECT 1 FROM calls LIMIT 1")
        if connection.execute("PRAGMA user_version").fetchone()[0] < VERSION:
            open_to_write(Path(path)).close()
    except sqlite3.Error as error:
        raise ConfigError(
            Problem.at(
                "ledger", str(path), f"cannot be read as a ledger: {error}; name the file that [monitor] ledger sets"
            )
        ) from None
    return connection
