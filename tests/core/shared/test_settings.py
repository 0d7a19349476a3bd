"""The fields of `Shared`, and the errors of a pool that cannot share."""

import gc
import os
import sys
from pathlib import Path

import pytest
from hotspare import Cache, ConfigError, Limits, MissingExtra, Pool, Shared, Target
from hotspare.testing import fail

from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer
from tests.support.shared_pools import SharedPools

TARGET = Target("openai/m", base_url="http://127.0.0.1:1/v1", api_key="test-key")


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"url": "http://host"}, "shared: .*redis://host:6379/0"),
        ({"url": "redis:"}, "shared: "),
        ({"url": "redis://h", "prefix": ""}, "shared.prefix"),
        ({"url": "redis://h", "refresh": 0}, "shared.refresh"),
        ({"url": "redis://h", "timeout": 100}, "shared.timeout"),
        ({"url": "redis://h", "expected_processes": 0}, "shared.expected_processes"),
    ],
)
def test_what_cannot_be_is_a_mistake_of_the_configuration(fields: dict[str, object], problem: str) -> None:
    """Each field names itself, in code and in a file."""
    with pytest.raises(ConfigError, match=problem):
        Shared(**fields)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=problem):
        Pool.from_config({"targets": ["ollama/m"], "shared": fields})


def test_a_password_is_not_shown() -> None:
    """Neither in an error nor in a repr."""
    with pytest.raises(ConfigError) as caught:
        Shared("http://user:geheim@host")
    assert "geheim" not in str(caught.value)
    assert "geheim" not in repr(Shared("redis://:geheim@host")) + str(Shared("redis://:geheim@host"))


@pytest.mark.parametrize("url", ["redis://[::1/0", "redis://user:pa\u2100ss@host/0", "redis://user:pa/ss@host/0"])
def test_a_url_that_cannot_be_parsed(url: str) -> None:
    """A ConfigError as for any other wrong one, not the error of the parser, which shows the password."""
    for given in (lambda: Shared(url), lambda: Cache(url=url)):
        with pytest.raises(ConfigError, match="must ") as caught:
            given()
        assert "ss@" not in str(caught.value)


def test_a_recording_and_a_fleet_exclude_each_other(tmp_path: Path) -> None:
    """A replay would lack what others have found."""
    with pytest.raises(ConfigError, match="shared: cannot be combined with record"):
        Pool(TARGET, shared="redis://127.0.0.1:1", record=str(tmp_path / "calls.jsonl"))


def test_without_redis_py_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that installs it."""
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(MissingExtra, match=r"hotspare\[redis\]"):
        Pool(TARGET, shared="redis://127.0.0.1:1")


def test_prefixes_and_files(shared_redis: RedisServer) -> None:
    """`shared` in a file, a URL or a table; pools with another `prefix` are another fleet; a pool that is closed is counted no more."""
    config = {"targets": [{"id": "ollama/m"}]}
    pools = [
        Pool.from_config(config | {"shared": shared_redis.url}),
        Pool.from_config(config | {"shared": {"url": shared_redis.url, "prefix": "other", "refresh": 0.05}}),
        Pool(TARGET, shared=Shared(shared_redis.client())),
    ]
    client = shared_redis.client()
    eventually(lambda: (client.zcard("hotspare:v1:members"), client.zcard("other:v1:members")) == (2, 1))
    client.flushall()
    eventually(lambda: client.zcard("other:v1:members") == 1)  # it looks every 50 ms
    for pool in pools:
        pool.close()
    eventually(lambda: client.zcard("hotspare:v1:members") == client.zcard("other:v1:members") == 0)


def test_expected_processes_divide_a_limit() -> None:
    """While the store is away, each of five expected processes admits a fifth, and not all of it."""
    fleet = SharedPools(1, expected=5, fields={"limits": Limits(rpm=60, burst=10)})
    fleet.store.error = "away"
    fleet.pass_time(3)
    assert [fleet.members[0].call() for _ in range(4)] == ["first", "first", "second", "second"]


def test_the_store_may_be_slow_for_its_timeout_only(own_redis: RedisServer) -> None:
    """A paused server counts as unavailable after `timeout`, and as available when it continues."""
    names: list[str] = []
    with Pool(TARGET, shared=Shared(own_redis.url, refresh=0.05, timeout=0.1)) as pool:
        pool.subscribe(lambda event: names.append(type(event).__name__))
        eventually(lambda: own_redis.client().zcard("hotspare:v1:members") == 1)
        own_redis.pause()
        eventually(lambda: names == ["StoreLost"])
        own_redis.resume()
        eventually(lambda: names == ["StoreLost", "StoreBack"])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="prefork servers fork")
def test_a_pool_that_was_built_before_a_fork_is_another_process_in_the_child(shared_redis: RedisServer) -> None:
    """A child is counted from its first call on, has a connection of its own, and knows what others know."""
    with Pool(TARGET, shared=Shared(shared_redis.url, refresh=0.2), deadline=1, when_all_down="fail") as pool:
        client = shared_redis.client()
        eventually(lambda: client.zcard("hotspare:v1:members") == 1)
        child = os.fork()
        if child == 0:
            try:
                pool.disable(TARGET.name, "by the child")
                eventually(lambda: client.hlen("hotspare:v1:facts") > 2)
            finally:
                os._exit(0)
        eventually(lambda: bool(pool.health().targets[0].disabled))
        assert client.zcard("hotspare:v1:members") == 2
        os.waitpid(child, 0)


def test_a_probe_fails_where_the_pool_is_alone() -> None:
    """A fleet of one does what a pool without a store does: it probes itself."""
    fleet = SharedPools(1)
    fleet.breaks(fail(503))
    fleet.step = "ok"
    fleet.pass_time(1.1)
    assert [fleet.members[0].call() for _ in range(2)][-1] == "first"


def test_a_pool_that_is_dropped_leaves_no_thread(shared_redis: RedisServer) -> None:
    """Without `close`, as a test or a script may do it: its threads end when nothing holds the pool any more."""
    pool = Pool(TARGET, shared=shared_redis.url)
    pool.health()
    assert pool._fleet is not None  # pyright: ignore[reportPrivateUsage]
    thread = pool._fleet._thread  # pyright: ignore[reportPrivateUsage]
    assert thread is not None and thread.is_alive()
    del pool
    gc.collect()
    eventually(lambda: not thread.is_alive())


def test_a_reload_cannot_move_a_pool_to_another_store(shared_redis: RedisServer) -> None:
    """It is refused, without a word of the address, and nothing has changed; the same one may stand there again."""
    config = {"targets": [{"id": "ollama/m"}], "shared": shared_redis.url}
    with Pool.from_config(config) as pool:
        pool.reload({**config, "deadline": 5})
        for other in ({"shared": "redis://:geheim@elsewhere"}, {"shared": None}):
            with pytest.raises(ConfigError, match=r"^shared: cannot change in a running pool"):
                pool.reload({**config, **other, "deadline": 7})
        assert pool.policy.deadline == 5
