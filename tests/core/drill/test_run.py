"""The drill itself, in small: every answer right, what it prints, the page and the picture it writes."""

import asyncio
import json
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path

import pytest
from hotspare.drill import terminal as screen
from hotspare.drill.html import html
from hotspare.drill.labels import cards, phase_heads, side_by_side
from hotspare.drill.metrics import Asked, Result, Tried, by_phase, overall
from hotspare.drill.provider import Provider
from hotspare.drill.run import run, weather
from hotspare.drill.scenarios import ENDPOINTS, OUTAGE, SCENARIOS, SLOW, STREAMS, Scenario
from hotspare.drill.svg import picture
from hotspare.outcome import Kind
from rich.console import Console


def seen(name: str = "hotspare", *, lost: bool = False) -> Result:
    """A drill that was not played: one call a second, two of them failed over, and the states that a pool showed."""
    result = Result(name, OUTAGE)
    at = 0.0
    for index, phase in enumerate(OUTAGE.phases):
        result.starts.append(at)
        for second in range(int(phase.seconds)):
            call = Asked(index, at + second, 0.05 + 0.01 * second, 0.04, right=True, attempts=1, ended=True)
            if phase.sick and second == 0:
                result.tried.append(Tried(call.at, call.at + 0.01, ENDPOINTS[0], Kind.TRANSPORT, "first"))
                call.attempts = 2
                call.right, call.error = (False, "wrong text") if lost else (True, "")
            target = ENDPOINTS[2] if ENDPOINTS[0] in phase.sick else ENDPOINTS[0]
            result.tried.append(Tried(call.at, call.at + call.seconds, target, Kind.OK, "first"))
            result.calls.append(call)
            states = dict.fromkeys(ENDPOINTS, "closed") | dict.fromkeys(phase.sick, "open")
            result.states.append((call.at + 0.5, states))
        at += phase.seconds
    return result


def test_a_short_drill_answers_everything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A region dies, a limit is hit, everything dies, a surge comes: all word for word, and the plain client loses."""
    page = tmp_path / "report.html"
    assert run(scale=0.35, report=str(page), baseline=True, as_json=True) == 0
    found = json.loads(capsys.readouterr().out)
    ours, plain = found["hotspare"], found["one provider, no failover"]
    assert not ours["errors"]
    assert (ours["overall"]["answered"], ours["overall"]["wrong"]) == (1, 0)
    assert ours["overall"]["waited"] > 10
    assert plain["errors"]
    assert plain["overall"]["answered_in_outages"] < 0.2
    text = page.read_text(encoding="utf-8")
    assert "us-openai" in text and "Side by side" in text


def test_a_drill_tells_its_phases(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Where nobody watches a terminal: a line a phase, then the tables; the picture alone if it is asked for."""
    path = tmp_path / "drill.svg"
    assert run(scale=0.1, report=str(path)) == 0
    shown = capsys.readouterr().out
    assert [phase.name in shown.split("Phase by phase")[0] for phase in OUTAGE.phases] == [True] * len(OUTAGE.phases)
    assert "word for word" in shown
    assert ET.parse(path).getroot().tag.endswith("svg")


@pytest.fixture(scope="module")
def regions() -> Iterator[Provider]:
    """The drill's own endpoints."""
    with Provider(ENDPOINTS) as provider:
        yield provider


def played(scenario: Scenario, pool: str, provider: Provider, *, seconds: float, rate: float) -> Result:
    """Each phase of a scenario, for a moment."""
    short = tuple(replace(phase, seconds=seconds, rate=rate) for phase in scenario.phases)
    scenario = replace(scenario, phases=short)
    return asyncio.run(weather(pool, scenario.pools[pool], scenario, provider, lambda result: None))


def test_no_fault_of_a_stream_loses_a_call(regions: Provider) -> None:
    """Each is met by streaming and by whole callers, and what broke after its first words is continued elsewhere."""
    result = played(STREAMS, "hotspare", regions, seconds=0.4, rate=20)
    assert [call.error for call in result.calls if not call.right] == []
    met = {one.kind for one in result.tried}
    assert {Kind.OK, Kind.TIMEOUT, Kind.SERVER, Kind.TRANSPORT} <= met
    rows = {str(row["phase"]): row for row in by_phase(result)}
    broken = ("stall halfway", "clean EOF", "slow drip", "bad chunk, ends", "error event", "cut off")
    assert [rows[name]["resumed"] for name in broken] == [4] * len(broken)
    assert rows["calm"]["resumed"] == rows["bad chunk, goes on"]["resumed"] == 0
    assert overall(result)["interrupted"] == overall(result)["wrong"] == 0


def test_a_second_attempt_saves_the_slow_calls(regions: Provider) -> None:
    """Hedges stay within their share; races are as many as there were slow calls; nobody else asks twice."""
    found = {name: played(SLOW, name, regions, seconds=1, rate=80) for name in SLOW.pools}
    assert all(result.good for result in found.values())
    hedging, racing, neither = (overall(found[name]) for name in ("hedging", "racing", "neither"))
    assert isinstance(hedging["hedges"], int) and 0 < hedging["hedges"] <= 0.05 * 160
    assert hedging["hedges"] == hedging["failovers"]
    assert racing["hedges"] is None and racing["failovers"]
    assert neither["failovers"] == 0


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
def test_every_scenario_can_be_shown(scenario: Scenario) -> None:
    """Its columns and cards are figures that there are, even before its first call."""
    result = Result("hotspare", scenario)
    assert len(phase_heads(scenario)) == len(scenario.columns) + 1
    assert set(scenario.cards) <= set(overall(result))
    result.starts, result.states = [0.0], [(1.0, dict.fromkeys(ENDPOINTS, "closed"))]
    result.calls = [Asked(0, 0.0, 0.05, 0.04, right=True, attempts=1, ended=True)]
    assert set(scenario.columns) <= set(by_phase(result)[0])
    assert ("100 %", "answered word for word, in time") in cards(scenario, overall(result))


def test_rows_that_say_nothing_are_left_out() -> None:
    """No surge, no row about it; where one client has a figure, the others show that they have none."""
    calm = Result("calm", STREAMS, [0.0], [Asked(0, 0.0, 0.05, right=True, attempts=1, ended=True)])
    rows = {what: cells for what, *cells in side_by_side([calm])}
    assert "surge answered in, p99" not in rows
    both = {what: cells for what, *cells in side_by_side([seen(), calm])}
    assert both["surge answered in, p99"] == ["70 ms", "-"]


def test_silence_is_counted_between_two_signs_of_life() -> None:
    """The wait for the first token is one, and so is the wait for an end that never came."""
    call = Asked(0, 10.0)
    for at in (0.25, 0.5, 2.0, 2.25):
        call.hear(at)
    assert (call.silence, call.heard) == (1.5, 2.25)


def test_figures_are_what_was_seen() -> None:
    """Counted by hand."""
    ours, figures = seen(), overall(seen())
    assert (figures["calls"], figures["answered"], figures["failovers"], figures["wasted"]) == (46, 1, 3, 3)
    assert figures["attempts_per_call"] == pytest.approx(49 / 46)
    assert figures["attempts_per_call_in_outages"] == 1
    assert (figures["p50"], figures["ttft_p95"]) == (pytest.approx(0.07), 0.04)
    assert figures["noticed"] == pytest.approx(1.06)
    rows = {row["phase"]: row for row in by_phase(ours)}
    assert rows["us-east is dead"]["wasted"] == 1
    bad = overall(seen(lost=True))
    assert (bad["wrong"], bad["answered_in_blackout"]) == (3, pytest.approx(2 / 3))


def test_nothing_seen_is_no_crash() -> None:
    """A drill that was stopped before its first call still has a table."""
    figures = overall(Result("hotspare", OUTAGE))
    assert figures["calls"] == 0
    assert figures["p99"] is None and figures["noticed"] is None


def test_the_page_loads_nothing_and_holds_every_figure() -> None:
    """Self-contained, well-formed, both clients side by side."""
    page = html([seen(), seen("plain", lost=True)])
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "src=" not in page and "@import" not in page

    tags: list[str] = []

    class Opened(HTMLParser):
        def handle_starttag(self, tag: str, attrs: object) -> None:
            tags.append(tag)

    Opened().feed(page)
    assert tags.count("table") == 3 and "svg" in tags
    assert "3.0" not in page.split("<svg")[0]
    for words in ("93.4 %", "plain", "us-east is dead", "attempts wasted", "hatching"):
        assert words in page


def test_the_picture_shows_every_target_and_its_trouble() -> None:
    """Well-formed XML: a lane for each client and target, the phases, and hatching where a target was sick."""
    text = picture([seen(), seen("plain")])
    root = ET.fromstring(text)
    words = {"".join(node.itertext()) for node in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {*ENDPOINTS, "calm", "callers: hotspare", "callers: plain", "recovering", "really sick"} <= words
    sick = sum(len(phase.sick) for phase in OUTAGE.phases)
    assert text.count('fill="url(#h)"') == sick + 1
    assert len(text) < 60_000


def test_a_terminal_sees_it_move(monkeypatch: pytest.MonkeyPatch) -> None:
    """Phase, callers, and each target's state; wiped away at the end."""
    out = StringIO()
    monkeypatch.setattr(screen, "console", lambda: Console(file=out, force_terminal=True, width=140))
    with screen.watch(True) as tell:
        tell(seen(lost=True))
    shown = Console(file=StringIO(), record=True, width=140)
    shown.print(screen.moving(seen(lost=True)))
    text = shown.export_text()
    assert all(name in text for name in (*ENDPOINTS, "surge", "43 answered", "3 lost", "closed"))
    assert "surge" in out.getvalue()
    screen.tables([seen(lost=True)])
    assert "lost: wrong text" in out.getvalue()
    with screen.watch(False) as silent:
        silent(seen())
