"""hotspare's pytest plugin: fixtures for scripted pools and for the embedded provider. Documented in `docs/testing.md`.

It stands outside the package, and imports it only inside the fixtures: pytest loads plugins before it measures coverage and
before it puts a project's own sources first, and a session that does not use hotspare should not pay for it. (Hypothesis
does the same.) Switch it off with ``-p no:hotspare``.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Protocol, Unpack

import pytest

if TYPE_CHECKING:
    from hotspare import Pool
    from hotspare.drill.provider import Provider
    from hotspare.testing import ScriptedTarget, VirtualClock
    from hotspare.testing.pools import PoolFields


class ScriptedPool(Protocol):
    """The type of the fixture `scripted_pool`."""

    def __call__(self, *targets: str | ScriptedTarget, **options: Unpack[PoolFields]) -> Pool:
        """A pool of these targets on the test's virtual clock. `options` are those of `Pool`, e.g. ``deadline=30``."""
        ...


@pytest.fixture
def virtual_clock() -> VirtualClock:
    """A `hotspare.testing.VirtualClock`, new for each test."""
    from hotspare.testing import VirtualClock

    return VirtualClock()


@pytest.fixture
def scripted_pool(virtual_clock: VirtualClock) -> Generator[ScriptedPool]:
    """Makes pools of scripted targets on `virtual_clock`: ``scripted_pool("primary", ScriptedTarget("backup", [...]))``.

    A name stands for a target that always answers "ok". The pools are closed after the test.
    """
    from hotspare.testing import scripted_pool as make

    pools: list[Pool] = []

    def pool_of(*targets: str | ScriptedTarget, **options: Unpack[PoolFields]) -> Pool:
        pools.append(make(*targets, clock=virtual_clock, **options))
        return pools[-1]

    yield pool_of
    for pool in pools:
        pool.close()


@pytest.fixture(scope="session")
def embedded_provider_session() -> Generator[Provider]:
    """One embedded provider (`hotspare.drill.provider.Provider`) for the whole session, in a separate process. Faults and
    counters stay as tests leave them."""
    from hotspare.drill.provider import Provider

    with Provider() as provider:
        yield provider


@pytest.fixture
def embedded_provider(embedded_provider_session: Provider) -> Provider:
    """The session's embedded provider as new: no faults, default settings, counters at zero."""
    embedded_provider_session.reset()
    return embedded_provider_session
