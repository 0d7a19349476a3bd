"""The short form of `make soak`: three rounds of two seconds, whose seeds are printed."""

import os
from collections.abc import Iterator

import pytest
from hotspare.telemetry.logging import without_log

from benchmarks.soak import soak


@pytest.fixture(autouse=True)
def _no_log() -> Iterator[None]:
    """Thousands of calls fail."""
    with without_log():
        yield


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_nothing_is_left_of_chaos() -> None:
    """Every text is right and every error hotspare's, while targets fail, calls are cancelled, floods come, processes fork, and
    pools are reloaded and replaced; afterwards no permit, task, thread, file or connection is left, and memory is flat."""
    assert soak(6, seed=15, length=2) == []
