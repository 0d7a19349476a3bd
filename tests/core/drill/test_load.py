"""The load of a drill: it arrives as planned whatever the client does, and a call's time counts from its arrival."""

import asyncio
import json
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hotspare.drill.answers import answer
from hotspare.drill.html import report_page
from hotspare.drill.load import ScriptStep, run_load
from hotspare.drill.metrics import CallRecord, Result, as_dict, by_phase
from hotspare.drill.provider import Provider
from hotspare.drill.run import ScenarioRun
from hotspare.drill.scenarios import ENDPOINTS, OUTAGE, Phase
from hotspare.drill.terminal import print_tables

BUSY = 0.02
"""Seconds for which a call of the slow client keeps the event loop from everything else."""


@pytest.fixture
def provider() -> Iterator[Provider]:
    """The endpoints of a drill."""
    with Provider(ENDPOINTS) as running:
        yield running


def test_a_client_that_is_too_slow_cannot_look_fast(provider: Provider) -> None:
    """A client that manages 50 calls a second is offered 200: its calls wait, and their wait is part of their time.

    The phases and their faults come as planned all the same, and the report says that the load was not achieved.
    """
    phases = (Phase("first", 0.3, 200), Phase("down", 0.2, 0, "outage", ((ENDPOINTS, "refused", {}),)))
    run = ScenarioRun("slow", provider, replace(OUTAGE, phases=phases))
    listening: list[bool] = []

    async def client(prompt: str, streaming: bool, record: CallRecord) -> str:
        time.sleep(BUSY)  # noqa: ASYNC251 (a client that starves the event loop)
        listening.append(provider.stats(ENDPOINTS[0]).listening)
        return answer(prompt)

    asyncio.run(run.execute(client))
    assert run.result.phase_starts == [0.0, 0.3] and run.result.succeeded
    assert [call.started for call in run.result.calls] == [pytest.approx(number / 200) for number in range(60)]
    for number, call in enumerate(run.result.calls):
        assert call.seconds >= (number + 1) * BUSY - call.started - 0.001
        assert call.late <= call.seconds
    assert not listening[-1], "the second phase began while the client was still busy with the first"
    (warning,) = run.result.shortfalls()
    assert (
        warning.startswith("first: offered 60 calls in ")
        and float(warning.split()[5]) >= 60 * BUSY
        and warning.endswith(" s instead of 0.3 s")
    )
    planned, achieved = (by_phase(run.result)[0][name] for name in ("planned_load", "achieved_load"))
    assert planned == 200 and isinstance(achieved, float) and achieved < 1 / BUSY + 5


def test_a_call_that_was_late_has_less_time(provider: Provider) -> None:
    """The deadline counts from the arrival: a call that begins after it is lost."""
    run = ScenarioRun("late", provider, replace(OUTAGE, phases=(Phase("only", 0.1, 20),), pools={}))
    run.scenario = replace(run.scenario, pools={"one": replace(OUTAGE.pools["hotspare"], deadline=1e-9)})

    async def client(prompt: str, streaming: bool, record: CallRecord) -> str:
        if record.started == 0:
            time.sleep(0.7)  # noqa: ASYNC251 (longer than the deadline and its half second of grace)
        await asyncio.sleep(0)
        return answer(prompt)

    asyncio.run(run.execute(client))
    assert [(call.correct, call.error) for call in run.result.calls] == [(False, "TimeoutError")] * 2


def test_a_missed_load_is_reported_everywhere(capsys: pytest.CaptureFixture[str]) -> None:
    """At the terminal, in the page and in the JSON; a load that was achieved is not."""
    phase = next(phase for phase in OUTAGE.phases if phase.name == "surge")
    result = Result(
        "hotspare", replace(OUTAGE, phases=(phase,)), [0.0], states=[(48.0, dict.fromkeys(ENDPOINTS, "closed"))]
    )
    result.calls = [CallRecord(0, n / 400, 46, correct=True, done=True, late=n / 25 - n / 400) for n in range(1, 1201)]
    sentence = "surge: offered 1,200 calls in 48 s instead of 3 s"
    print_tables([result])
    assert f"the planned load was not achieved: {sentence}" in capsys.readouterr().out
    assert f"hotspare: the planned load was not achieved: {sentence}" in report_page([result])
    assert json.loads(json.dumps(as_dict(result)))["shortfalls"] == [sentence]
    result.calls = [replace(call, late=0.01) for call in result.calls]
    print_tables([result])
    assert "not achieved" not in capsys.readouterr().out + report_page([result])


def test_a_load_that_fails_is_no_measurement(provider: Provider) -> None:
    """A command that the provider rejects ends the process, and the drill with an error."""

    async def announced() -> list[int]:
        steps = [ScriptStep(0.0), ScriptStep(0.0, ("nonsense", (), {})), ScriptStep(0.1)]
        async with run_load(steps, provider) as (_, indices):
            return [index async for index in indices]

    with pytest.raises(RuntimeError, match="the load ended after 1 of 3 steps"):
        asyncio.run(announced())
