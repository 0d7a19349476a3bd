"""The ledger holds every attempt and call, never waits in a call, and stays within its bounds."""

import csv
import io
import json
import os
import resource
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hotspare import ConfigError, Kind, Price, Usage
from hotspare.events import BudgetExhausted, Event, LedgerFailed, LedgerRecovered
from hotspare.ledger import Ledger, default_path, queries, writer
from hotspare.ledger.pruning import prune
from hotspare.ledger.schema import open_to_read, open_to_write
from hotspare.outcome import Outcome
from hotspare.testing import ScriptedTarget, answer, fail, scripted_pool

from tests.support.eventually import eventually

REFUSED = fail(Outcome(Kind.TRANSPORT, "=refused", before_connect=True))
SECONDS = 30.0
"""What a busy machine may take for something that takes milliseconds."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A ledger that does not exist, in a folder that does not."""
    return tmp_path / "state" / "ledger.db"


def rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    """What a query finds."""
    connection = open_to_read(path)
    try:
        return [tuple(row) for row in connection.execute(query)]
    finally:
        connection.close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that retries immediately."""
    for name, value in (("INTERVAL", 0.01), ("RETRY_MIN", 0.01), ("RETRY_MAX", 0.05)):
        monkeypatch.setattr(writer, name, value)


def test_every_attempt_and_call(path: Path) -> None:
    """With model, labels, tokens, cost, and that it was rescued; what breakers did is there too; a prompt is not."""
    a = ScriptedTarget("a", [REFUSED, "ok"])
    b = ScriptedTarget("b", answer("ok", usage=Usage(10, 5)), price=Price(1.0, 2.0))
    pool = scripted_pool(a, b, retry_same_target="never")
    ledger = Ledger(path).attach(pool)
    pool.chat("my secret words", labels={"team": "search"})
    pool.chat("my secret words", model="a")
    pool.disable("a")
    assert ledger.close()
    columns = "call, result, target, model, route, labels, input_tokens, output_tokens, cost, rescued, attempts"
    assert rows(path, f"SELECT {columns} FROM calls") == [
        ("call-1", "answered", "b", "", "default", '{"team": "search"}', 10, 5, 20e-6, 1, 2),
        ("call-2", "answered", "a", "a", "a", "{}", 1, 1, None, 0, 1),
    ]
    assert rows(path, "SELECT call, number, target, kind, reason FROM attempts") == [
        ("call-1", 1, "a", "transport", "first"), ("call-1", 2, "b", "ok", "failover"), ("call-2", 1, "a", "ok", "first"),
    ]  # fmt: skip
    assert rows(path, "SELECT event, subject FROM events") == [("FailedOver", "b"), ("TargetDisabled", "a")]
    assert b"secret words" not in path.read_bytes()


def test_queries_and_csv(path: Path) -> None:
    """The latest failures, attempts by target and hour, and a table as CSV that no spreadsheet takes for a formula."""
    pool = scripted_pool(ScriptedTarget("a", [REFUSED] * 2), "b", retry_same_target="never")
    ledger = Ledger(path, clock=lambda: 1_767_225_600.0).attach(pool)
    for _ in range(3):
        pool.chat("q")
    ledger.close()
    found = open_to_read(path)
    assert [row["call"] for row in queries.last_failures(found, 1)] == ["call-3"]
    assert [tuple(row)[:3] for row in queries.attempts_by(found, "target")] == [("a", 3, 3), ("b", 3, 0)]
    assert [tuple(row)[:3] for row in queries.attempts_by(found, "hour")] == [("2026-01-01 00:00", 6, 3)]
    assert queries.attempts_by(found, "hour", since=1_767_225_601.0) == []
    out = io.StringIO()
    queries.export_csv(found, "attempts", out)
    first = next(csv.DictReader(io.StringIO(out.getvalue())))
    assert (first["target"], first["message"]) == ("a", "'=refused")
    found.close()


def killed(path: Path, seconds: float) -> int:
    """Record as fast as possible in a process that is killed after `seconds`. Returns the acknowledged records."""
    reader, out = os.pipe()
    child = os.fork()
    if not child:
        ledger = Ledger(path)
        for number in range(1, 1_000_000):
            ledger.record(BudgetExhausted(f"{number}"), "load")
            if number % 50 == 0 and ledger.flush(SECONDS):
                os.write(out, number.to_bytes(8, "big"))
        os._exit(0)
    os.close(out)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with os.fdopen(reader, "rb") as told:
        data = told.read()
    return int.from_bytes(data[-8:], "big") if data else 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_kill_9_loses_nothing_that_was_acknowledged(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At a random moment of a burst, again and again into the same file: it opens, and no record is missing or double.

    Five times here, a hundred times with HOTSPARE_KILLS=100."""
    monkeypatch.setattr(writer, "INTERVAL", 0.001)
    acknowledged = 0
    for turn in range(int(os.environ.get("HOTSPARE_KILLS", "5"))):
        monkeypatch.setattr(writer, "BATCH", (7, 2_000)[turn % 2])
        acknowledged = killed(path, 0.03 + (turn * 37 % 50) / 1000)
        found = open_to_write(path)
        runs = found.execute("SELECT count(*), count(DISTINCT number), max(number) FROM events GROUP BY run").fetchall()
        assert found.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        found.close()
        assert not runs or max(most for *_, most in runs) >= acknowledged
        assert all(count == distinct == most for count, distinct, most in runs), "a record is missing or double"
        path.unlink(missing_ok=True)


def test_several_processes_write_one_file(path: Path) -> None:
    """Each has its own records, also a child that was forked from a process that had the file open."""
    ledger = Ledger(path)
    ledger.record(BudgetExhausted("parent"))
    assert ledger.flush(SECONDS)
    children = []
    for child in range(3):
        pid = os.fork()
        if not pid:
            for number in range(200):
                ledger.record(BudgetExhausted(f"{child}-{number}"))
            os._exit(not ledger.close(SECONDS))
        children.append(pid)
    ledger.record(BudgetExhausted("parent"))
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children] == [0, 0, 0]
    assert ledger.close(SECONDS)
    assert rows(path, "SELECT count(*), count(DISTINCT run) FROM events") == [(602, 4)]


@pytest.mark.usefixtures("quick")
def test_a_file_that_another_process_has_locked(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls continue; one event reports it; beyond the queue's size records are dropped, and counted when the lock is released."""
    monkeypatch.setattr("hotspare.ledger.schema.BUSY_SECONDS", 0.01)
    monkeypatch.setattr(writer, "MAX_BUFFERED", 6)
    open_to_write(path).close()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    seen: list[Event] = []
    pool = scripted_pool("a", listeners=[seen.append])
    ledger = Ledger(path).attach(pool)
    for _ in range(4):
        assert pool.chat("q").text == "ok"
    eventually(lambda: any(isinstance(event, LedgerFailed) for event in seen))
    assert not ledger.flush(0.05)
    other.execute("ROLLBACK")
    assert ledger.close(SECONDS)
    troubles = [event for event in seen if isinstance(event, LedgerFailed | LedgerRecovered)]
    assert [type(event) for event in troubles] == [LedgerFailed, LedgerRecovered]
    assert isinstance(troubles[0], LedgerFailed) and "locked" in troubles[0].reason
    assert troubles[1] == LedgerRecovered(str(path), 2)
    assert rows(path, "SELECT count(*) FROM calls") == [(3,)]


def full_disk(path: Path) -> Iterator[str]:
    """The output of a process whose files may not grow beyond 60 kB."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    seen: list[Event] = []
    pool = scripted_pool("a", listeners=[seen.append])
    ledger = Ledger(path).attach(pool)
    for _ in range(2_000):
        if pool.chat("q").text != "ok":
            yield "a call failed"
    ledger.flush(0.3)
    yield from (type(event).__name__ for event in seen if isinstance(event, LedgerFailed | LedgerRecovered))


@pytest.mark.usefixtures("quick")
def test_a_full_disk(path: Path) -> None:
    """Calls continue, and one event says so; a second one only after the file has been written again, which frees the space that SQLite had reserved."""
    reader, out = os.pipe()
    child = os.fork()
    if not child:
        os.write(out, json.dumps([*full_disk(path)]).encode())
        os._exit(0)
    os.close(out)
    os.waitpid(child, 0)
    with os.fdopen(reader) as told:
        seen = json.load(told)
    assert seen == ["LedgerFailed", "LedgerRecovered"] * (len(seen) // 2) + ["LedgerFailed"]


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("blocked", ["folder", "file"])
def test_a_place_that_cannot_be_written(tmp_path: Path, blocked: str) -> None:
    """Calls continue, one event names the file, and the end does not wait long."""
    path = tmp_path / "ledger.db"
    if blocked == "folder":
        (tmp_path / "x").write_text("a file where a folder should be")
        path = tmp_path / "x" / "ledger.db"
    else:
        path.write_bytes(b"this is no database, but somebody's notes" * 100)
    seen: list[Event] = []
    pool = scripted_pool("a", listeners=[seen.append])
    ledger = Ledger(path).attach(pool)
    assert pool.chat("q").text == "ok"
    eventually(lambda: any(isinstance(event, LedgerFailed) for event in seen))
    assert not ledger.close(0.2)
    (failed,) = [event for event in seen if isinstance(event, LedgerFailed)]
    assert failed.path == str(path)


def test_age_and_size_are_bounded(path: Path) -> None:
    """Records that are too old go first, then the oldest until the file is small enough; the newest stay."""
    now = [1000.0]
    ledger = Ledger(path, clock=lambda: now[0])
    for number in range(6_000):
        now[0] = 1000.0 + number
        ledger.record(BudgetExhausted("x" * 50))
    assert ledger.close(SECONDS)
    connection = open_to_write(path)
    prune(connection, 1500.0, 10**9)
    assert connection.execute("SELECT count(*), min(at) FROM events").fetchone() == (5_500, 1500.0)
    prune(connection, 0.0, 200_000)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    kept, newest = connection.execute("SELECT count(*), max(at) FROM events").fetchone()
    connection.close()
    assert 100 < kept < 3_000 and newest == 6999.0
    assert path.stat().st_size < 300_000


def test_settings() -> None:
    """What is out of range is named; where the file is, and how it is turned off."""
    with pytest.raises(ConfigError, match=r"ledger.max_bytes: 5 must be at least 65536"):
        Ledger("x.db", max_bytes=5)
    with pytest.raises(ConfigError, match=r"ledger.max_age: -1 must be at least 0"):
        Ledger("x.db", max_age=-1)
    with pytest.raises(ConfigError, match="does not exist"):
        open_to_read("missing.db")


def test_a_file_of_the_older_format_is_upgraded(path: Path) -> None:
    """By the process that reads it, too; what is in it stays."""
    pool = scripted_pool("a")
    with pool:
        Ledger(path).attach(pool)
        pool.chat("q")
    with closing(sqlite3.connect(path)) as old:
        columns = "".join(f"ALTER TABLE calls DROP COLUMN {name};" for name in ("wasted", "saved", "saved_tokens"))
        old.executescript(f"{columns} PRAGMA user_version = 1")
    with closing(open_to_read(path)) as found:
        (row,) = found.execute("SELECT * FROM calls").fetchall()
        assert (row["result"], row["saved"]) == ("answered", None)
    pool = scripted_pool("a")
    ledger = Ledger(path).attach(pool)
    pool.chat("q")
    assert ledger.close()
    with closing(open_to_read(path)) as found:
        assert [row["saved_tokens"] for row in found.execute("SELECT * FROM calls ORDER BY id")] == [None, 0]


def test_a_file_of_a_newer_format_is_left_alone(path: Path) -> None:
    """It is not written, and it is no ledger that can be read."""
    open_to_write(path).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(sqlite3.DatabaseError, match="newer"):
        open_to_write(path)


def test_the_default_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """HOTSPARE_LEDGER, else the user's state folder."""
    monkeypatch.setenv("HOTSPARE_LEDGER", "off")
    assert default_path() is None
    monkeypatch.setenv("HOTSPARE_LEDGER", "x.db")
    assert default_path() == Path("x.db")
    monkeypatch.delenv("HOTSPARE_LEDGER")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_path() == tmp_path / "hotspare/ledger.db"
