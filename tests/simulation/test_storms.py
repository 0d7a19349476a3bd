"""Some of the storms of `benchmarks/storms`, in virtual time: what the default policy promises in an outage. One on the wire."""

import asyncio
from dataclasses import replace

import pytest

from benchmarks.storms.scenarios import STORMS, Fault, Storm
from benchmarks.storms.twin import play
from benchmarks.storms.wire import script_of, storm_through

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


@pytest.mark.parametrize("storm", STORMS, ids=lambda storm: storm.name)
def test_the_script_of_a_storm(storm: Storm) -> None:
    """Every target is faulty on the wire when the storm says so, and only then; calls come at the storm's rate."""
    steps, calls = script_of(storm, 1)
    assert [step.at for step in steps] == sorted(step.at for step in steps)
    assert len(calls) == pytest.approx(storm.rate * storm.seconds, rel=0.15)
    for name in storm.ids:
        faulty: dict[float, bool] = {}
        for step in steps:
            if step.command is not None and step.command[1] == [name]:
                command, _, options = step.command
                hit = (command == "configure" and bool(options)) or options.get("probability") is not None
                faulty[step.at] = faulty.get(step.at, False) or hit or options.get("kind") == "refused"
        for at in (number / 8 + 1 / 16 for number in range(int(8 * storm.seconds))):
            state = faulty[max(change for change in faulty if change <= at)]
            assert state == any(fault.active(at) for fault in storm.faults.get(name, ())), (name, at)


def test_a_storm_on_the_wire() -> None:
    """A second of it, over real sockets, with the load from a process of its own: every call is answered, few are sent twice."""
    fault = Fault("status", start=0.3, end=0.9, status=503)
    storm = replace(STORMS[0], faults={"a": (fault,)}, seconds=1.2, deadline=30.0)
    found = asyncio.run(storm_through("hotspare", storm, 1))
    assert found["right"] == found["calls"] > 20, found
    assert found["calls"] < found["requests"] * found["calls"] < found["calls"] + 25, (
        "the fault was met, and left alone"
    )
