"""The drill in short: every answer is correct; its metrics, its terminal output, its report and its timeline."""

import asyncio
import json
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import typer
from hotspare import Brownout
from hotspare._cli.drill import run
from hotspare.drill import terminal
from hotspare.drill.html import report_page
from hotspare.drill.labels import comparison, highlights, phase_heads
from hotspare.drill.metrics import AttemptSample, CallRecord, Result, by_phase, overall
from hotspare.drill.provider import Provider
from hotspare.drill.run import run_client, run_scenario, targets_of
from hotspare.drill.scenarios import (
    BROWNOUT,
    ENDPOINTS,
    LIMITS,
    OUTAGE,
    PLAIN_CLIENT,
    SCENARIOS,
    SLOW,
    STREAMS,
    TWO_REGIONS,
    WIRES,
    WIRES_DOWN,
    Phase,
    Scenario,
)
from hotspare.drill.svg import draw_timeline
from hotspare.outcome import Kind
from rich.console import Console


def recorded(name: str = "hotspare", *, lost: bool = False) -> Result:
    """A result without a run: one call per second; the first one of each phase with a fault fails over, or is lost."""
    result = Result(name, OUTAGE)
    at = 0.0
    for index, phase in enumerate(OUTAGE.phases):
        result.phase_starts.append(at)
        for second in range(int(phase.seconds)):
            call = CallRecord(index, at + second, 0.05 + 0.01 * second, 0.04, correct=True, attempts=1, done=True)
            if phase.faulted and second == 0:
                failed = AttemptSample(call.started, call.started + 0.01, ENDPOINTS[0], Kind.TRANSPORT, "first")
                result.attempts.append(failed)
                call.attempts = 2
                call.correct, call.error = (False, "wrong text") if lost else (True, "")
            target = ENDPOINTS[2] if ENDPOINTS[0] in phase.faulted else ENDPOINTS[0]
            result.attempts.append(AttemptSample(call.started, call.ended, target, Kind.OK, "first"))
            result.calls.append(call)
            states = dict.fromkeys(ENDPOINTS, "closed") | dict.fromkeys(phase.faulted, "open")
            result.states.append((call.started + 0.5, states))
        at += phase.seconds
    return result


def drill(**options: Any) -> int:
    """The exit code of `hotspare drill`."""
    with pytest.raises(typer.Exit) as caught:
        run(**options)
    return caught.value.exit_code


def test_a_short_drill_answers_every_call(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An outage, rate limits, a total outage, a surge: every answer is exact, while the plain client loses calls."""
    page = tmp_path / "report.html"
    assert drill(scale=0.1, report=str(page), baseline=True, as_json=True) == 0
    found = json.loads(capsys.readouterr().out)
    ours, plain = found["hotspare"], found[PLAIN_CLIENT]
    assert not ours["lost_calls"]
    assert (ours["overall"]["answered"], ours["overall"]["wrong"]) == (1, 0)
    assert ours["overall"]["answered_after_total_outage"] > 10
    assert {call["attempts"] for call in plain["lost_calls"]} == {1}
    assert any("at us-openai" in call["error"] for call in plain["lost_calls"])
    assert plain["overall"]["answered_in_outages"] < 0.2
    text = page.read_text(encoding="utf-8")
    assert "us-openai" in text and "Comparison" in text


def test_a_drill_without_a_terminal(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line per phase, then the tables; the report is the timeline alone if its name ends in .svg."""
    path = tmp_path / "drill.svg"
    phases = OUTAGE.phases[:3]
    monkeypatch.setitem(SCENARIOS, "outage", replace(OUTAGE, phases=phases))
    assert drill(scale=0.1, report=str(path)) == 0
    shown = capsys.readouterr().out
    lines = [line for line in shown.split("Phases: hotspare")[0].splitlines() if " calls: " in line]
    assert len(lines) == len(phases)
    assert all(phase.name in line for phase, line in zip(phases, lines, strict=True))
    assert "answered exactly, within the deadline" in shown
    assert ET.parse(path).getroot().tag.endswith("svg")


@pytest.fixture(scope="module")
def regions() -> Iterator[Provider]:
    """The endpoints of a drill."""
    with Provider(ENDPOINTS) as provider:
        yield provider


def run_phases(scenario: Scenario, pool: str, provider: Provider, *, seconds: float, rate: float) -> Result:
    """Every phase of a scenario, shortened."""
    short = tuple(replace(phase, seconds=seconds, rate=rate) for phase in scenario.phases)
    scenario = replace(scenario, phases=short)
    targets, policy = targets_of(provider), scenario.pools[pool]
    return asyncio.run(run_client(pool, targets, policy, scenario, provider, lambda result: None))


RESUMED = {
    "stall", "clean EOF", "slow drip", "bad chunk, continues", "bad chunk, ends", "error event", "disconnect", "lost event",
    "half a character", 'finish reason "null"', "malformed tool call",
}  # fmt: skip
"""The faults that break a stream after its first content."""
HARMLESS = {
    "normal", "finished, then silence", "finished, then a reset", "finished, then closed", "finished, then an error",
}  # fmt: skip
"""What comes after a finish reason fails nothing."""


@pytest.mark.parametrize("phase", STREAMS.phases[:-1], ids=lambda phase: phase.name)
def test_no_fault_of_a_stream_loses_a_call(phase: Phase, regions: Provider) -> None:
    """Streamed and whole calls meet the fault; a stream that broke after its first content is resumed at another target.

    Each fault is played alone and at one target, and with long timeouts: a busy machine must not look like another fault.
    """
    phase = replace(phase, faults=tuple((ENDPOINTS[:1], kind, options) for _, kind, options in phase.faults))
    policy = STREAMS.pools["hotspare"]
    times = replace(policy.timeouts, first_token=2, first_token_min=2, first_token_max=2, stall=2, stall_min=2)
    patient = replace(policy, deadline=30, timeouts=times)
    scenario = replace(STREAMS, phases=(phase,), pools={"hotspare": patient})
    result = run_phases(scenario, "hotspare", regions, seconds=0.2, rate=20)
    assert [call.error for call in result.calls if not call.correct] == []
    assert any(one.failed for one in result.attempts) == (phase.name not in HARMLESS)
    assert [call.splice_points for call in result.calls] == ([0, 1, 0, 1] if phase.name in RESUMED else [0] * 4)


def test_a_second_attempt_overtakes_slow_calls(regions: Provider) -> None:
    """Hedges stay within their share of the calls; races are counted as extra attempts; `neither` has no hedges."""
    fault = (ENDPOINTS[:1], "delay", {"seconds": 4, "probability": 0.1})  # far more than a busy machine takes
    scenario = replace(SLOW, phases=(SLOW.phases[0], replace(SLOW.phases[1], faults=(fault,))))
    found = {name: run_phases(scenario, name, regions, seconds=1, rate=40) for name in SLOW.pools}
    assert all(result.succeeded for result in found.values())
    hedging, racing, neither = (overall(found[name]) for name in ("hedging", "racing", "neither"))
    assert isinstance(hedging["hedges"], int) and 0 < hedging["hedges"] <= 0.05 * 80
    assert hedging["hedges"] <= hedging["extra_attempts"], "what was not hedged fails over after its timeout"
    assert racing["hedges"] is None and racing["extra_attempts"]
    assert neither["hedges"] is None


def test_a_limit_is_used_and_not_exceeded() -> None:
    """Four times the load of a limit, over real sockets, with limits configured and learnt: every call is answered, next to
    nothing draws a 429, and the limit is used. Real time, because the provider's limiter keeps it."""
    surge = Phase("surge", 2.5, 40, "surge")
    for result, most in zip(run_scenario(replace(LIMITS, phases=(surge,))), (0.01, 0.05), strict=True):
        found = overall(result)
        assert result.succeeded, [call.error for call in result.calls if not call.correct][:3]
        assert float(found["rejected_rate"] or 0) <= most, result.name
        assert float(found["limit_used"] or 0) >= 0.8, (
            result.name
        )  # 0.95 in the drill's 15 s: some of the burst is left over


def test_a_slow_target_is_left_without_an_error(regions: Provider) -> None:
    """Over real sockets, with the brownout rule, calls of the slow phase go elsewhere although none fails. (How many, and how they come
    back: tests/simulation/test_routing.py, in virtual time.)"""
    phases = tuple(one for one in BROWNOUT.phases if one.name in ("normal", "still slow"))
    pools = {"quick": replace(BROWNOUT.pools["brownout rule"], brownout=replace(Brownout(), window=0.3))}
    result = run_phases(replace(BROWNOUT, phases=phases, pools=pools), "quick", regions, seconds=1.3, rate=40)
    assert result.succeeded
    start, _ = result.span(1)
    assert sum(one.started >= start and one.target != ENDPOINTS[0] for one in result.attempts) >= 8
    assert BROWNOUT.pools["no rule"].brownout is None


def test_domains_are_known_to_one_pool_only() -> None:
    """The targets of one pool share two regions, those of the other share none. (What that saves: tests/simulation/test_regions.py.)"""
    known, unknown = ({one.region for one in TWO_REGIONS.served(name).values()} for name in TWO_REGIONS.pools)
    assert (len(known), len(unknown)) == (2, len(TWO_REGIONS.endpoints))
    down = TWO_REGIONS.phases[1].faulted
    assert {TWO_REGIONS.endpoints[name].region for name in down} == {"us-east"} and len(down) == 4


def test_an_outage_crosses_all_four_wires() -> None:
    """Each wire format answers where those before it are down, and continues their broken streams; every text is exact."""
    phases = [phase for role in ("fault", "outage") for phase in WIRES_DOWN.phases if phase.role == role]
    scenario = replace(WIRES_DOWN, phases=tuple(replace(phase, seconds=0.2, rate=20) for phase in phases))
    (result,) = run_scenario(scenario)
    assert [call.error for call in result.calls if not call.correct] == []
    answered = {one.target for one in result.attempts if one.kind is Kind.OK}
    assert answered == {"chat", "responses", "messages", "generate"}
    cut = {one.target for one in result.attempts if one.reason == "stream broke"}
    assert "chat" in cut and overall(result)["resumed"]
    drawn = draw_timeline([result])
    assert all(name in drawn for name in WIRES)


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
def test_every_scenario_can_be_shown(scenario: Scenario) -> None:
    """Its columns and highlights are existing metrics."""
    result = Result("hotspare", scenario)
    assert len(phase_heads(scenario)) == len(scenario.columns) + 1
    assert set(scenario.highlights) <= set(overall(result))
    result.phase_starts, result.states = [0.0], [(1.0, dict.fromkeys(scenario.endpoints, "closed"))]
    result.calls = [CallRecord(0, 0.0, 0.05, 0.04, correct=True, attempts=1, done=True)]
    assert set(scenario.columns) <= set(by_phase(result)[0])
    assert ("100 %", "answered exactly, within the deadline") in highlights(scenario, overall(result))


def test_rows_without_values_are_left_out() -> None:
    """No surge, no row about it; if one client has a value, the others show a dash."""
    normal = Result("normal", STREAMS, [0.0], [CallRecord(0, 0.0, 0.05, correct=True, attempts=1, done=True)])
    rows = {label: cells for label, *cells in comparison([normal])}
    assert "latency in the surge, p99" not in rows
    both = {label: cells for label, *cells in comparison([recorded(), normal])}
    assert both["latency in the surge, p99"] == ["70 ms", "-"]


def test_the_longest_gap_of_a_stream() -> None:
    """The wait for the first token counts, and the wait for the end too."""
    call = CallRecord(0, 10.0)
    for at in (0.25, 0.5, 2.0, 2.25):
        call.note_progress(at)
    assert (call.longest_gap, call.last_progress) == (1.5, 2.25)


def test_metrics_match_the_record() -> None:
    """Compared with values that were counted by hand."""
    ours, metrics = recorded(), overall(recorded())
    counted = (metrics["calls"], metrics["answered"], metrics["extra_attempts"], metrics["wasted_attempts"])
    assert counted == (46, 1, 3, 3)
    assert metrics["attempts_per_call"] == pytest.approx(49 / 46)
    assert metrics["attempts_per_call_in_outages"] == 1
    assert (metrics["p50"], metrics["ttft_p95"]) == (pytest.approx(0.07), 0.04)
    assert metrics["recovery_time"] == pytest.approx(1.06)
    rows = {row["phase"]: row for row in by_phase(ours)}
    assert rows["us-east down"]["wasted_attempts"] == 1
    bad = overall(recorded(lost=True))
    assert (bad["wrong"], bad["answered_in_total_outage"]) == (3, pytest.approx(2 / 3))


def test_calls_of_a_total_outage_are_counted_after_its_end() -> None:
    """Those answered within the outage do not count; their p95 counts from its end; a burst is the most answers within 100 ms."""
    index = next(i for i, phase in enumerate(OUTAGE.phases) if phase.role == "total_outage")
    result = Result("hotspare", OUTAGE, [float(i) for i in range(index + 2)])
    end = float(index + 1)
    for seconds in (0.5, 1.5, 1.55, 1.58, 3.0):
        result.calls.append(CallRecord(index, end - 1, seconds, correct=True, attempts=1, done=True))
    metrics = overall(result)
    assert (metrics["answered_after_total_outage"], metrics["largest_burst"], metrics["aftermath_p95"]) == (4, 3, 2.0)


def test_metrics_of_an_empty_record() -> None:
    """Without any call there are zeros and None, and no error."""
    metrics = overall(Result("hotspare", OUTAGE))
    assert metrics["calls"] == 0
    assert metrics["p99"] is None and metrics["recovery_time"] is None


def test_the_report_is_self_contained() -> None:
    """It loads nothing, is well-formed, and compares both clients."""
    page = report_page([recorded(), recorded("plain", lost=True)])
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "").replace("real HTTP", "")
    assert "src=" not in page and "@import" not in page

    tags: list[str] = []

    class Opened(HTMLParser):
        def handle_starttag(self, tag: str, attrs: object) -> None:
            tags.append(tag)

    Opened().feed(page)
    assert tags.count("table") == 3 and "svg" in tags
    assert "3.0" not in page.split("<svg")[0]
    for text in ("93.4 %", "plain", "us-east down", "attempts wasted on faulted targets", "Hatching"):
        assert text in page


def test_the_timeline_shows_every_target_and_its_faults() -> None:
    """Well-formed XML: a lane for each client and each target, the phases, and hatching where a target was faulted."""
    text = draw_timeline([recorded(), recorded("plain")])
    root = ET.fromstring(text)
    labels = {"".join(node.itertext()) for node in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {*ENDPOINTS, "normal", "callers: hotspare", "callers: plain", "recovering", "fault injected"} <= labels
    faulted = sum(len(phase.faulted) for phase in OUTAGE.phases)
    assert text.count('fill="url(#hatching-wide)"') == faulted + 1
    assert len(text) < 60_000


def test_the_live_view_of_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """It shows the phase, the callers and the state of each target."""
    out = StringIO()
    monkeypatch.setattr(terminal, "console", lambda: Console(file=out, force_terminal=True, width=140))
    with terminal.watch(True) as progress:
        progress(recorded(lost=True))
    shown = Console(file=StringIO(), record=True, width=140)
    shown.print(terminal.live_view(recorded(lost=True)))
    text = shown.export_text()
    assert all(part in text for part in (*ENDPOINTS, "surge", "43 answered", "3 lost", "closed"))
    assert "surge" in out.getvalue()
    terminal.print_tables([recorded(lost=True)])
    assert "lost: wrong text" in out.getvalue()
    with terminal.watch(False) as silent:
        silent(recorded())
