"""The protocol of a store, on the one in memory, the one in a file, and on a real Redis."""

from math import inf

import pytest
from hotspare._health.facts import Fact, checked
from hotspare._shared.memory import MemoryStore
from hotspare._shared.redis_store import RedisStore
from hotspare._shared.store import Bucket, Lease, Store, StoreError
from hypothesis import given
from hypothesis import strategies as st

from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer

OPEN = Fact("a", "health", "open", 5.0, 0.0, "openai/a", "SERVER", 2.0)


def facts(store: Store) -> dict[tuple[str, str], Fact]:
    """What holds, by subject and slot."""
    return {(fact.subject, fact.slot): fact for fact in store.sync("me").facts or ()}


def test_a_fact_reaches_pictures_and_listeners(store: Store) -> None:
    """What is written is in the picture of other processes, whole, and published once; a picture that is current is not sent again."""
    news: list[object] = []
    stop = store.listen(news.append)
    if not isinstance(store, MemoryStore):
        eventually(lambda: None in news)
    store.write([OPEN])
    picture = store.sync("another")
    assert picture.facts is not None
    assert [(fact.subject, fact.kind, fact.name, fact.cause, fact.level) for fact in picture.facts] == [
        ("a", "open", "openai/a", "SERVER", 2.0)
    ]
    assert 4.5 < picture.facts[0].remaining <= 5.0
    assert store.sync("another", picture.version).facts is None
    store.write([OPEN])
    assert store.sync("another", picture.version).facts is None, "it says nothing new"
    eventually(lambda: [fact.kind for fact in news if isinstance(fact, Fact)] == ["open"], lambda: news)
    stop()


def test_the_longer_rest_and_the_newer_state_hold(store: Store) -> None:
    """A break is never shortened; a recovery ends it if it is newer; what was seen before the recovery does not open it again."""
    store.write([OPEN, Fact("a", "health", "open", 2.0)])
    assert facts(store)["a", "health"].remaining > 4
    store.write([Fact("a", "health", "recovering", 60.0, age=3.0)])
    assert facts(store)["a", "health"].kind == "open", "it recovered before it broke"
    store.write([Fact("b", "health", "open", 5.0, age=2.0), Fact("b", "health", "recovering", 60.0, age=1.0)])
    store.write([Fact("b", "health", "open", 20.0, age=1.5)])
    assert facts(store)["b", "health"].kind == "recovering"
    store.write([Fact("b", "health", "open", 20.0, age=0.5)])
    assert facts(store)["b", "health"].kind == "open"


def test_one_process_has_the_lease(store: Store) -> None:
    """The first one has it, may prolong it, and only it can give it back; an unused one expires."""
    assert store.lease("a", "one", 5.0) == Lease("one", 5.0)
    held = store.lease("a", "two", 5.0)
    assert held.holder == "one" and 4 < held.remaining <= 5
    assert store.lease("a", "one", 9.0) == Lease("one", 9.0)
    store.release("a", "two")
    assert store.lease("a", "two", 5.0).holder == "one"
    store.release("a", "one")
    assert store.lease("a", "two", 0.05).holder == "two"
    eventually(lambda: store.lease("a", "one", 5.0).holder == "one")


def test_processes_are_counted(store: Store) -> None:
    """A process counts from its first picture to its end."""
    store.sync("one")
    assert store.sync("two").members == 2
    store.leave("two")
    assert store.sync("one").members == 1


def test_a_bucket_is_shared(store: Store) -> None:
    """Units are taken once; those of the near future are granted with their time, later ones are not; what is given back can be
    taken again; what was used without being taken is missing later."""
    bucket = Bucket("tokens", limit=60.0, period=60.0, burst=10.0)
    assert store.take(bucket, 6, 1, 0, 0).units == 6
    grant = store.take(bucket, 100, 1, 0, 2.0)
    assert grant.units == 6 and -3.5 < grant.wait < -2.5, "four are free, of which the first for 3 s; two will be"
    later = store.take(bucket, 1, 1, 0, 2.0)
    assert later.units == 0 and 0.5 < later.wait <= 1.0
    assert store.take(bucket, 0, 0, -6, 0).units == 0
    assert store.take(bucket, 100, 1, 0, 0).units == 4
    store.take(bucket, 0, 0, 5, 0)
    assert 5.5 < store.take(bucket, 1, 1, 0, 0).wait <= 6


def test_a_cost_above_the_burst_is_admitted_when_the_bucket_is_full(store: Store) -> None:
    """As for the limits of one process."""
    bucket = Bucket("large", limit=60.0, period=60.0, burst=10.0)
    assert store.take(bucket, 25, 25, 0, 0).units == 25
    assert 24 < store.take(bucket, 25, 25, 0, 0).wait <= 25


def test_everything_expires_and_says_nothing_secret(shared_redis: RedisServer) -> None:
    """Every key has an end, and begins with the prefix and the schema."""
    store = RedisStore(shared_redis.url, prefix="expiry")
    store.write([OPEN])
    store.lease("a", "one", 5.0)
    store.take(Bucket("x", 60.0, 60.0, 10.0), 5, 1, 0, 0)
    store.sync("me")
    client = shared_redis.client()
    keys = sorted(client.scan_iter("expiry:*"))
    assert keys == ["expiry:v1:facts", "expiry:v1:limit:x", "expiry:v1:members"]
    assert all(0 < client.pttl(key) <= 10_000 for key in keys)
    store.close()


def test_garbage_in_the_keys_is_passed_over(shared_redis: RedisServer) -> None:
    """Fields that something else wrote are no facts, and are dropped at the next write; a key of another type, and a newer schema,
    are errors that say so."""
    store, client = RedisStore(shared_redis.url, prefix="garbage"), shared_redis.client()
    client.hset(
        "garbage:v1:facts",
        mapping={"health/b": "{", "health/c": '{"u": "x"}', "x": "1", "health/d": '{"k":"boo","u":1e15,"a":1}'},
    )
    store.write([OPEN])
    assert set(facts(store)) == {("a", "health")}
    client.hset("garbage:v1:facts", "schema", "2")
    with pytest.raises(StoreError, match="newer version"):
        store.sync("me")
    client.delete("garbage:v1:facts")
    client.set("garbage:v1:facts", "text")
    with pytest.raises(StoreError, match="WRONGTYPE"):
        store.sync("me")
    store.close()


def test_an_error_shows_no_password() -> None:
    """What cannot be reached is a StoreError within its time, without the URL."""
    store = RedisStore("redis://:geheim@127.0.0.1:1/0")
    with pytest.raises(StoreError, match="ConnectionError") as caught:
        store.sync("me")
    assert "geheim" not in str(caught.value)


@given(
    st.dictionaries(
        st.sampled_from(["subject", "slot", "kind", "remaining", "age", "name", "cause", "level"]),
        st.one_of(
            st.none(),
            st.floats(),
            st.integers(),
            st.text(),
            st.sampled_from(["health", "open", "limit", "limited", inf]),
        ),
    )
)
def test_no_value_breaks_a_fact(values: dict[str, object]) -> None:
    """Whatever stands in the store, it is a fact with sound values, or none."""
    fact = checked(values)
    assert fact is None or (fact.remaining >= 0 and fact.age >= 0 and isinstance(fact.subject, str))
