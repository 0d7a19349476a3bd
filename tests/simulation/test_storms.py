"""Some of the storms of `benchmarks/storms`, in virtual time: what the default policy promises in an outage."""

import pytest

from benchmarks.storms.scenarios import STORMS
from benchmarks.storms.twin import play

PROMISES = {
    # name: share of right answers, upstream calls a call, seconds until the primary is tried after its fault's end
    "the primary answers 500": (1.0, 1.05, 1.5),
    "the primary is silent": (1.0, 1.05, 6.0),
    "a provider is down": (1.0, 1.05, 1.5),
    "nine streams of ten break": (1.0, 1.10, 1.5),
    "two of three models are down": (1.0, 1.07, 1.5),
    "all are down for 3 s": (0.995, 1.10, None),
    "a herd after 8 s": (0.98, 1.30, None),
}


@pytest.mark.parametrize("name", PROMISES)
def test_a_storm(name: str) -> None:
    """Nearly every call is answered, few are sent twice, and a recovery is noticed at once."""
    right, requests, back = PROMISES[name]
    found = play(next(storm for storm in STORMS if storm.name == name), seed=4)
    assert found.share >= right, found
    assert found.requests <= requests, found
    assert back is None or (found.back is not None and found.back <= back), found
