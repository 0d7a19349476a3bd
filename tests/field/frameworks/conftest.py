"""Frameworks run on asyncio only, in one event loop a module: their models cache HTTP clients that belong to it."""

import pytest

from tests.adapters.langchain.conftest import _one_loop  # noqa: F401  # pyright: ignore[reportPrivateUsage]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The frameworks run on asyncio only."""
    return "asyncio"
