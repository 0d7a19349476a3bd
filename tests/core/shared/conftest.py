"""The stores."""

from collections.abc import Iterator

import pytest
from hotspare._shared.file_store import FileStore
from hotspare._shared.memory import MemoryStore
from hotspare._shared.redis_store import RedisStore
from hotspare._shared.store import Store


@pytest.fixture(params=["memory", "file", "redis"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """All stores: what holds of one holds of the others."""
    if request.param == "memory":
        yield MemoryStore()
        return
    found: Store
    if request.param == "file":
        found = FileStore(str(request.getfixturevalue("tmp_path") / "shared.db"))
    else:
        found = RedisStore(request.getfixturevalue("shared_redis").url)
    yield found
    found.close()
