"""Some of the storms of `benchmarks/storms`, in virtual time: what the default policy promises in an outage. One on the wire."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from benchmarks.storms.__main__ import parsed
from benchmarks.storms.herd import herd
from benchmarks.storms.report import Report
from benchmarks.storms.scenarios import STORMS, Fault, Storm, shortened
from benchmarks.storms.thresholds import Result, thresholds
from benchmarks.storms.twin import storm_result
from benchmarks.storms.wire import run_on_wire, script_of

PLAYED = (
    "the primary answers 500", "the primary is silent", "every third call fails", "nine streams of ten break",
    "all are down for 3 s", "all are silent for 3 s", "a herd after 8 s",
)  # fmt: skip


@pytest.mark.parametrize("name", PLAYED)
def test_a_storm(name: str) -> None:
    """Every threshold of the storm holds: answers, calls, the wait for what is silent, and the time to a recovery."""
    storm = next(one for one in STORMS if one.name == name)
    found = storm_result(storm, seed=4)
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
    found = storm_result(herd(5), seed=1)
    assert found.right == found.calls > 700
    assert found.requests < 1.3


def test_a_herd_of_a_busy_process() -> None:
    """Outcomes are read the later the more attempts are under way: the window must not grow by the clock meanwhile. It did: 1.6 calls a call."""
    found = storm_result(herd(20, busy=0.02), seed=1)
    assert found.right == found.calls > 700
    assert found.requests < 1.4


def test_a_storm_on_the_wire() -> None:
    """A second of it, over real sockets, with the load from a process of its own: every call is answered, few are sent twice."""
    fault = Fault("status", start=0.3, end=0.9, status=503)
    storm = replace(STORMS[0], faults={"a": (fault,)}, seconds=1.2, deadline=30.0)
    found = asyncio.run(run_on_wire("hotspare", storm, 1))
    assert found["right"] == found["calls"] > 20, found
    assert found["calls"] < found["requests"] * found["calls"] < found["calls"] + 25, (
        "the fault was met, and left alone"
    )


def test_a_length_that_holds_no_storm() -> None:
    """A storm is not played in a time in which its faults do not end or its primary is not back; the shortest is named."""
    storm = next(one for one in STORMS if one.name == "all are down for 10 s")
    assert shortened(storm, 22.0).seconds == 22.0
    with pytest.raises(ValueError, match=r"11 s are too short for the storm 'all are down for 10 s': at least 22 s"):
        shortened(storm, 11.0)


def test_a_load_that_fell_behind(capsys: pytest.CaptureFixture[str]) -> None:
    """A row on the wire whose calls were begun late is marked, named and not judged: it fails the run without counting as missed."""
    storm, report = STORMS[0], Report(clients=True)
    found = Result(100, 100, 0, 1.0, 0.1, 0.2, 0.5, late=0.5, offered=40.0, achieved=39.9)
    report.add(storm, "hotspare", [found], thresholds(storm))
    report.add(storm, "a slow client", [replace(found, achieved=30.0)], thresholds(storm))
    assert not report.failed
    report.add(STORMS[1], "hotspare", [replace(found, right=90, late=1.5)], thresholds(STORMS[1]))
    assert report.failed and (report.rows, report.unjudged, report.missed) == (2, 1, 0)
    report.print()
    shown = capsys.readouterr().out
    assert "39.9 of 40.0" in shown and "30.0 of 40.0" in shown
    assert "the load fell behind: the primary answers 500, a slow client: 30.0 of 40.0 calls/s" in shown
    assert (
        "the load fell behind: the primary refuses connections, hotspare: 39.9 of 40.0 calls/s, begun up to 1.50 s late"
        in shown
    )
    assert "fell behind: the primary answers 500, hotspare" not in shown


@pytest.mark.parametrize(
    ("line", "seeds", "parallel", "clients"),
    [
        ("", 3, 1, 4),
        ("--wire", 1, 1, 4),
        ("--wire --client hotspare", 1, 4, 1),
        ("--wire --client Router --seeds 2 --parallel 3", 2, 3, 2),
    ],
)
def test_what_is_played(line: str, seeds: int, parallel: int, clients: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """More storms are played in parallel where hotspare is alone than where a client beside it uses a core for itself."""
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    found = parsed(line.split())
    assert (found.seeds, found.parallel, len(found.clients), len(found.storms)) == (
        seeds,
        parallel,
        clients,
        len(STORMS),
    )


@pytest.mark.parametrize(
    ("line", "refused"),
    [
        ("--parallel 2", "add --wire"),
        ("--client hotspare", "add --wire"),
        ("--wire --parallel 0", "must be 1 or more"),
        ("--seeds 0", "must be 1 or more"),
        ("--wire --client openai", "none has 'openai' in its name: hotspare, LiteLLM Router"),
        ("--seconds 11 refuses flaps", "11 s are too short for the storm"),
        ("rain", "no storm has one of these words in its name: rain"),
    ],
)
def test_what_cannot_be_played(line: str, refused: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Options that choose nothing, or a time in which a storm does not fit, are refused before anything is played."""
    with pytest.raises(SystemExit) as exit:
        parsed(line.split())
    assert exit.value.code == 2 and refused in capsys.readouterr().err
