"""Fixtures for every test: both event loops for async ones, and one embedded provider a session."""

from collections.abc import Iterator

import pytest

from hotspare.drill.provider import Provider


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Every async test runs on both loops."""
    return str(request.param)


@pytest.fixture(scope="session")
def one_provider() -> Iterator[Provider]:
    """The embedded provider, in a process of its own."""
    with Provider() as provider:
        yield provider


@pytest.fixture
def provider(one_provider: Provider) -> Provider:
    """The embedded provider, with no fault left from another test."""
    one_provider.reset()
    return one_provider
