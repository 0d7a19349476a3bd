"""The two stores."""

from collections.abc import Iterator

import pytest
from hotspare._shared.memory import MemoryStore
from hotspare._shared.redis_store import RedisStore
from hotspare._shared.store import Store


@pytest.fixture(params=["memory", "redis"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """Both stores: what holds of one holds of the other."""
    if request.param == "memory":
        yield MemoryStore()
        return
    found = RedisStore(request.getfixturevalue("shared_redis").url)
    yield found
    found.close()
