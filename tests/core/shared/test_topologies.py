"""The addresses of a store: a cluster, a master behind Sentinel, TLS, a user and a password; and those that are refused. Real servers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme
from hotspare import Budget, Cache, ConfigError, Limits, Pool, Price, Shared, Usage, events
from hotspare._shared.overview import overview
from hotspare._shared.redis_store import RedisStore
from hotspare.testing import ScriptedTarget, answer

from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer, redis_server
from tests.support.redis_topologies import behind_tls, cluster, sentinel


class Two:
    """Two processes' pools at one address, with a cache, a limit and a budget. `news`: the store events of the first one."""

    def __init__(self, url: str) -> None:
        fields: dict[str, Any] = {"limits": Limits(rpm=600), "price": Price(1e3, 1e3)}
        self.url, self.news = url, list[events.Event]()
        self.pools = [
            Pool(
                ScriptedTarget("a", answer("ok", usage=Usage(10, 10)), **fields).target,
                shared=Shared(url, refresh=0.2, timeout=0.5), cache=Cache(url=url), budgets=[Budget(usd=9, per="day")],
                listeners=listeners,
            )
            for listeners in ([self._hear], [])
        ]  # fmt: skip

    def _hear(self, event: events.Event) -> None:
        if isinstance(event, events.StoreLost | events.StoreBack):
            self.news.append(event)

    def use(self) -> None:
        """Use everything that is shared: notifications, facts, the cache, limits, budgets, the operator's view."""
        first, second = self.pools
        first.disable("a", "by hand")
        eventually(lambda: bool(second.health()["a"].disabled))
        second.enable("a")
        eventually(lambda: not first.health()["a"].disabled)
        first.chat("q")
        eventually(lambda: second.chat("q").cached == "hit")
        store = RedisStore(self.url)
        eventually(lambda: [one.spent > 0 for one in overview(store).budgets] == [True])
        assert overview(store).processes == 2
        store.close()
        assert not self.news

    def lost(self) -> str:
        """The reason of the one event, once it is there."""
        eventually(lambda: bool(self.news))
        (event,) = self.news
        assert isinstance(event, events.StoreLost)
        return event.reason

    def close(self) -> None:
        for pool in self.pools:
            pool.close()


@pytest.fixture
def two(request: pytest.FixtureRequest) -> Callable[[str], Two]:
    """Makes the pools, which are closed when the test ends."""

    def make(url: str) -> Two:
        found = Two(url)
        request.addfinalizer(found.close)
        return found

    return make


def test_a_cluster(two: Callable[[str], Two]) -> None:
    """Three nodes: each script touches keys of one of them. If the node with the facts fails, no call fails, and it is reported once. The
    address of a single node is refused, with an error that names the right form."""
    with cluster() as nodes:
        pair = two(f"redis+cluster://127.0.0.1:{nodes[1].port}")
        pair.use()
        slot = int(nodes[0].client().cluster("KEYSLOT", "hotspare:v1:facts"))
        owner = slot * len(nodes) // 16384
        assert "redis+cluster://" in two(nodes[owner - 1].url).lost()
        nodes[owner].kill()
        pair.lost()
        assert [pool.chat("another").text for pool in pair.pools] == ["ok", "ok"]


def test_a_master_behind_a_sentinel(two: Callable[[str], Two], own_redis: RedisServer, tmp_path: Path) -> None:
    """The sentinel says where the master of that name is; a password and a database are the master's. The sentinel's own address alone, and a
    name that it does not know, are errors that say so."""
    with own_redis.client() as client:
        client.config_set("requirepass", "test-1")
    with sentinel(own_redis, tmp_path, "sentinel auth-pass main test-1") as found:
        pair = two(f"redis+sentinel://:test-1@127.0.0.1:1,127.0.0.1:{found.port}/main/3")
        pair.use()
        with own_redis.client(password="test-1", db=3) as client:
            assert client.zcard("hotspare:v1:members") == 2
        assert "redis+sentinel://" in two(f"redis://127.0.0.1:{found.port}").lost()
        assert "No master found for 'other'" in two(f"redis+sentinel://127.0.0.1:{found.port}/other").lost()


def test_a_failover_by_sentinel(two: Callable[[str], Two], own_redis: RedisServer, tmp_path: Path) -> None:
    """The master fails and the sentinel promotes its replica: no call fails, and the observations of one pool then reach the other through
    the new master."""
    with redis_server(None, "--replicaof", "127.0.0.1", str(own_redis.port)) as replica:
        with replica.client() as client:
            eventually(lambda: client.info("replication")["master_link_status"] == "up")
        with sentinel(
            own_redis, tmp_path, "sentinel down-after-milliseconds main 300", "sentinel failover-timeout main 1000"
        ) as found:
            with found.client() as client:
                eventually(lambda: len(client.execute_command("SENTINEL", "REPLICAS", "main")) == 1)
            pair = two(f"redis+sentinel://127.0.0.1:{found.port}/main/0")
            first, second = pair.pools
            pair.use()
            own_redis.kill()
            pair.lost()
            assert first.chat("another").text == "ok"
            eventually(
                lambda: [type(event) for event in pair.news] == [events.StoreLost, events.StoreBack], lambda: pair.news
            )
            first.disable("a", "after the failover")
            eventually(lambda: second.health()["a"].disabled == "after the failover")
            with replica.client() as client:
                assert client.role()[0] == "master"


def test_tls_and_a_user(two: Callable[[str], Two], own_redis: RedisServer, tmp_path: Path) -> None:
    """`rediss` with the authority's certificate, a user and a password. A certificate of another authority is no store, and a wrong password
    is not repeated in the error."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    own_redis.client().execute_command("ACL", "SETUSER", "app", "on", ">test-1", "~*", "&*", "+@all")
    with behind_tls(own_redis, authority) as port:
        trusted = f"127.0.0.1:{port}/0?ssl_ca_certs={tmp_path / 'ca.pem'}"
        two(f"rediss://app:test-1@{trusted}").use()
        assert "certificate" in two(f"rediss://app:test-1@127.0.0.1:{port}/0").lost().lower()
        reason = two(f"rediss://app:geheim@{trusted}").lost()
        assert "AuthenticationError" in reason and "geheim" not in reason


@pytest.mark.parametrize(
    ("url", "way_out"),
    [
        ("redis+sentinel://h:26379", "must name the master.*redis\\+sentinel://host:26379,host2:26379/name/0"),
        ("redis+sentinel://h:26379/main/x", "must name the master"),
        ("redis+cluster://h1:1,h2:2", "must name one host"),
        ("redis+cluster://h:1/2", "must not name a database"),
        ("redis://h1:1,h2:2/0", "must name one host"),
        ("redis://h:0", "port"),
        ("redis://h:99999", "port"),
        ("redis+tunnel://h", "redis://host:6379/0"),
        ("memcached://h", "redis://host:6379/0"),
    ],
)
def test_an_address_that_cannot_be_is_refused_with_the_way_out(url: str, way_out: str) -> None:
    """When the pool is built, for `shared` and for a cache."""
    with pytest.raises(ConfigError, match=f"shared: .*{way_out}"):
        Shared(url)
    with pytest.raises(ConfigError, match=f"cache.url: .*{way_out}"):
        Cache(url=url)


def test_an_address_of_no_cluster(two: Callable[[str], Two], shared_redis: RedisServer) -> None:
    """A single server that is taken for a cluster: the error says which address it has."""
    assert "redis://host:port" in two(shared_redis.url.replace("redis://", "redis+cluster://")).lost()
