"""The failover scenarios of `benchmarks/failover` that take no waiting: what the default settings promise, over real sockets."""

from collections.abc import Iterator

import pytest
from hotspare.drill.provider import Provider

from benchmarks.failover.runner import FACES, endpoints, run_scenario
from benchmarks.failover.scenarios import SCENARIOS, Scenario

WAITING = {
    "429 with a Retry-After of 2 s", "429 for ever", "persistent 503", "no response", "slow first token", "stream stalled",
    "the primary flaps",
}  # fmt: skip
"""Those that take seconds by their nature."""


@pytest.fixture(scope="module")
def both() -> Iterator[Provider]:
    """The two targets of a run."""
    with Provider(endpoints("run").values()) as provider:
        yield provider


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("scenario", [one for one in SCENARIOS if one.name not in WAITING], ids=lambda one: one.name)
def test_a_failover(scenario: Scenario, face: str, both: Provider) -> None:
    """Every call gets the exact answer in time, no request is sent in vain, and the primary is used again afterwards."""
    assert run_scenario(scenario, face, both, "run") == []
