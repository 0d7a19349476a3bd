"""Some of the storms of `benchmarks/storms`, in virtual time: what the default policy promises in an outage. One on the wire."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from benchmarks.storms.herd import herd
from benchmarks.storms.report import Report
from benchmarks.storms.scenarios import STORMS, Fault, Storm, shortened
from benchmarks.storms.thresholds import Result, thresholds
from benchmarks.storms.twin import play
from benchmarks.storms.wire import script_of, storm_through

PLAYED = (
    "the primary answers 500", "the primary is silent", "every third call fails", "nine streams of ten break",
    "all are down for 3 s", "all are silent for 3 s", "a herd after 8 s",
)  # fmt: skip


@pytest.mark.parametrize("name", PLAYED)
def test_a_storm(name: str) -> None:
    """Every threshold of the storm holds: answers, calls, the wait for what is silent, and the time to a recovery."""
    storm = next(one for one in STORMS if one.name == name)
    found = play(storm, seed=4)
    assert thresholds(storm).missed(found) == [], found


@pytest.mark.parametrize(
    ("change", "missed"),
    [
        ({}, []),
        ({"right": 998}, ["right"]),
        ({"wrong": 1}, ["wrong"]),
        ({"requests": 1.06}, ["requests"]),
        ({"p99": 3.7}, ["p99"]),
        ({"back": 6.1}, ["back"]),
        ({"back": None}, ["back"]),
    ],
)
def test_what_a_threshold_sees(change: dict[str, Any], missed: list[str]) -> None:
    """Each figure that is too bad is named, and the row of the table counts as missed."""
    storm = next(one for one in STORMS if one.name == "the primary is silent")
    found = replace(Result(calls=1000, right=1000, wrong=0, requests=1.05, p50=0.1, p99=3.6, back=5.9), **change)
    assert thresholds(storm).missed(found) == missed
    report = Report()
    report.add(storm, "hotspare", [found], thresholds(storm))
    assert report.missed == bool(missed)


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


def test_a_herd() -> None:
    """Two targets come back with room for five calls each where hundreds wait: none is lost, and few are refused."""
    found = play(herd(5), seed=1)
    assert found.right == found.calls > 700
    assert found.requests < 1.3


def test_a_herd_of_a_busy_process() -> None:
    """Outcomes are read the later the more attempts are under way: the window must not grow by the clock meanwhile. It did: 1.6 calls a call."""
    found = play(herd(20, busy=0.02), seed=1)
    assert found.right == found.calls > 700
    assert found.requests < 1.4


def test_a_storm_on_the_wire() -> None:
    """A second of it, over real sockets, with the load from a process of its own: every call is answered, few are sent twice."""
    fault = Fault("status", start=0.3, end=0.9, status=503)
    storm = replace(STORMS[0], faults={"a": (fault,)}, seconds=1.2, deadline=30.0)
    found = asyncio.run(storm_through("hotspare", storm, 1))
    assert found["right"] == found["calls"] > 20, found
    assert found["calls"] < found["requests"] * found["calls"] < found["calls"] + 25, (
        "the fault was met, and left alone"
    )


def test_a_length_that_holds_no_storm() -> None:
    """A storm is not played in a time in which its faults do not end or its primary is not back; the shortest is named."""
    storm = next(one for one in STORMS if one.name == "all are down for 10 s")
    assert shortened(storm, 20.0).seconds == 20.0
    with pytest.raises(ValueError, match=r"11 s are too short for the storm 'all are down for 10 s': at least 20 s"):
        shortened(storm, 11.0)


def test_a_load_that_was_not_achieved(capsys: pytest.CaptureFixture[str]) -> None:
    """The table states offered and achieved load of a client on the wire, and names the storm in which it fell short."""
    storm, report = STORMS[0], Report(clients=True)
    found = Result(100, 100, 0, 1.0, 0.1, 0.2, 0.5, late=1.5, offered=40.0, achieved=30.0)
    report.add(storm, "a slow client", [found], thresholds(storm))
    report.add(storm, "a quick client", [replace(found, achieved=39.9)], thresholds(storm))
    report.print()
    shown = capsys.readouterr().out
    assert "30.0 of 40.0" in shown and "39.9 of 40.0" in shown
    assert "the load was not achieved: the primary answers 500, a slow client: 30.0 of 40.0 calls/s" in shown
    assert "not achieved: the primary answers 500, a quick client" not in shown
