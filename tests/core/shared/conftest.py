"""A Redis server for the tests of sharing, and the two stores."""

from collections.abc import Iterator

import pytest
from hotspare._shared.memory import MemoryStore
from hotspare._shared.redis_store import RedisStore
from hotspare._shared.store import Store

from tests.support.redis_server import RedisServer, redis_server


@pytest.fixture(scope="session")
def redis() -> Iterator[RedisServer]:
    """One server a session; tests use prefixes of their own."""
    with redis_server() as server:
        yield server


@pytest.fixture(params=["memory", "redis"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """Both stores: what holds of one holds of the other."""
    if request.param == "memory":
        yield MemoryStore()
        return
    server: RedisServer = request.getfixturevalue("redis")
    found = RedisStore(server.url, prefix=request.node.name)
    yield found
    found.close()
