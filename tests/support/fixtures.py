"""Fixtures shared by all tests: the embedded provider, one process a session, as new for every test."""

from collections.abc import Iterator

import pytest
from hotspare.drill.provider import Provider


@pytest.fixture(scope="session")
def provider_process() -> Iterator[Provider]:
    """The embedded provider's process with endpoints `a` to `h`; tests take `provider`, which is reset for each."""
    with Provider() as running:
        yield running


@pytest.fixture
def provider(provider_process: Provider) -> Provider:
    """The embedded provider with no faults, default settings and counters at zero."""
    provider_process.reset()
    return provider_process
