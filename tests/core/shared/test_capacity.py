"""The load of a fleet on its store: a fixed amount for each process, whatever their number and their calls."""

import logging

import pytest
from hotspare.testing import fail

from tests.support.large_fleet import LargeFleet


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """No line for each process."""
    caplog.set_level(logging.CRITICAL, "hotspare")


@pytest.mark.parametrize(("processes", "calls"), [(10, 1.0), (30, 1.0), (10, 8.0)])
def test_commands_grow_with_processes_only(processes: int, calls: float) -> None:
    """One command a second of each process, in peace and in an outage, for each number of calls; and in the outage a few more for the whole
    fleet, and the messages of one probe a second to each process."""
    fleet = LargeFleet(processes, calls, None)
    fleet.pass_time(4)
    steady = fleet.pass_time(6)
    fleet.step = fail(503)
    outage = fleet.pass_time(10)
    assert steady.total <= 1.2 * 6 * processes and steady.messages == 0
    assert outage.total <= 1.2 * 10 * processes + 80
    assert outage.messages <= 5 * 10 * processes
    assert fleet.failed == 0


def test_a_very_large_fleet_asks_for_limits_no_more_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond `FULL_RATE_PROCESSES` processes each asks less often: four times as many (of a bound of ten, here) ask as often as the bound's, and
    use the limit all the same."""
    monkeypatch.setattr("hotspare._routing.shared_rate.FULL_RATE_PROCESSES", 10)
    rates: list[float] = []
    used: list[float] = []
    for processes in (10, 40):
        fleet = LargeFleet(processes, 40 / processes, 1200.0)
        fleet.pass_time(6)
        before = fleet.calls
        rates.append(fleet.pass_time(6).commands["take"] / 6)
        used.append((fleet.calls - before) / 6)
    assert rates[1] <= 1.5 * rates[0]
    assert all(0.9 * 20 <= one <= 1.02 * 20 + 1 for one in used)
