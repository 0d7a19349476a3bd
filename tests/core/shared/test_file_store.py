"""The store in a file, of the processes of one host."""

import sqlite3
from pathlib import Path

import pytest
from hotspare import Pool, Shared, events
from hotspare._health.facts import Fact
from hotspare._shared.file_store import FileStore
from hotspare._shared.store import Bucket, StoreError
from hotspare.errors import ConfigError
from hotspare.testing import ScriptedTarget

from tests.support.eventually import eventually

OPEN = Fact("a", "health", "open", 5.0, name="openai/a", cause="server", level=1.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that is not there yet."""
    return tmp_path / "shared.db"


def test_pools_in_one_process_share_it(path: Path) -> None:
    """By `Pool(shared=…)`: a word that one pool's operator gives reaches the other by its thread, and no store is reported as lost."""
    seen: list[events.Event] = []
    shared = Shared(f"sqlite://{path}")
    pools = [Pool([ScriptedTarget("a", "ok").target], shared=shared, listeners=[seen.append]) for _ in range(2)]
    pools[0].chat("hello")
    pools[0].disable("a", "maintenance")
    eventually(lambda: pools[1].health()["a"].disabled == "maintenance")
    for pool in pools:
        pool.close()
    assert not [event for event in seen if isinstance(event, events.StoreLost)]


@pytest.mark.parametrize("fault", ["not a database", "newer", "locked", "a folder's worth of nothing"])
def test_a_file_that_cannot_be_used_is_a_store_that_is_away(fault: str, path: Path) -> None:
    """Every fault of the file is a StoreError within the timeout, and no other exception."""
    store, error = FileStore(str(path), timeout=0.05), "newer version|not a database|locked|unable to open"
    holder = sqlite3.connect(path if fault != "a folder's worth of nothing" else ":memory:", isolation_level=None)
    if fault == "not a database":
        path.write_bytes(b"something else altogether" * 100)
    elif fault == "newer":
        holder.execute("PRAGMA user_version=2")
    elif fault == "locked":
        holder.execute("BEGIN EXCLUSIVE")
    else:
        store = FileStore(str(path / "missing" / "shared.db"))
    news: list[object] = []
    stop = store.listen(news.append)
    for use in (lambda: store.sync("me"), lambda: store.write([OPEN]), lambda: store.counts(9)):
        with pytest.raises(StoreError, match=error):
            use()
    eventually(lambda: any(isinstance(one, StoreError) for one in news), lambda: news)
    stop()
    holder.close()
    store.close()


def test_garbage_in_the_file_is_passed_over(path: Path) -> None:
    """Rows that something else has written are no facts; what is written over them is one."""
    store = FileStore(str(path))
    store.write([OPEN])
    with sqlite3.connect(path) as file:
        file.execute("UPDATE facts SET fact = '{'")
    assert store.sync("me").facts == ()
    store.write([OPEN])
    assert [fact.name for fact in store.sync("me").facts or ()] == ["openai/a"]
    store.close()


def test_a_file_that_was_deleted_is_made_anew(path: Path) -> None:
    """With the next picture, so that processes that begin later and those that ran already share one file again."""
    store, later = FileStore(str(path)), FileStore(str(path))
    store.write([OPEN])
    for file in path.parent.glob("shared.db*"):
        file.unlink()
    assert store.sync("one").facts == ()
    assert later.sync("two").members == 2
    store.close()
    later.close()


def test_what_is_from_before_a_restart_of_the_host_is_dropped(path: Path) -> None:
    """The host's clock begins anew with it: facts, processes and buckets in its future are forgotten."""
    bucket = Bucket("tokens", limit=60.0, period=60.0, burst=10.0)
    before = FileStore(str(path), clock=lambda: 90_000.0)
    before.write([OPEN])
    before.sync("one")
    before.take(bucket, 10, 1, 0, 0)
    before.close()
    after = FileStore(str(path), clock=lambda: 30.0)
    picture = after.sync("two")
    assert (picture.members, picture.facts) == (1, ())
    assert after.take(bucket, 10, 1, 0, 0).units == 10
    after.write([OPEN])
    assert [fact.remaining for fact in after.sync("two").facts or ()] == [5.0]
    after.close()


def test_a_relative_path_is_that_of_the_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working directory changes before the file is used: all connections, the listener's too, lead to the first place."""
    monkeypatch.chdir(tmp_path)
    store = FileStore("shared.db")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    news: list[object] = []
    stop = store.listen(news.append)
    eventually(lambda: None in news)
    store.write([OPEN])
    eventually(lambda: any(isinstance(one, Fact) for one in news))
    stop()
    store.close()
    assert (tmp_path / "shared.db").exists() and not list(elsewhere.iterdir())


def test_spaces_are_apart(path: Path) -> None:
    """Pools with another prefix share nothing, in the same file."""
    one, two = FileStore(str(path), "one"), FileStore(str(path), "two")
    one.write([OPEN])
    assert (one.sync("a").members, two.sync("b").members) == (1, 1)
    assert two.sync("b").facts == ()
    one.close()
    two.close()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("sqlite:", "must name a file"),
        ("sqlite:///", "must name a file"),
        ("sqlite:///nowhere/at/all/x.db", "is in the folder /nowhere/at/all, which does not exist"),
        ("sqlite://host/x.db", "or 'sqlite:///run/app/hotspare.db'"),
    ],
)
def test_an_address_that_names_no_file(url: str, says: str) -> None:
    """It is refused when the pool is made, with the way out."""
    with pytest.raises(ConfigError, match=says):
        Shared(url)
