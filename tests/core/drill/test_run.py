"""The drill itself, in small: every answer right, what it prints, the page and the picture it writes."""

import json
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path

import pytest
from hotspare.drill import screen
from hotspare.drill.figures import Asked, Result, Tried, by_phase, overall
from hotspare.drill.page import html
from hotspare.drill.run import run
from hotspare.drill.scenarios import ENDPOINTS, OUTAGE
from hotspare.drill.timeline import picture
from hotspare.outcome import Kind
from rich.console import Console


def seen(name: str = "hotspare", *, lost: bool = False) -> Result:
    """A drill that was not played: one call a second, two of them failed over, and the states that a pool showed."""
    result = Result(name, OUTAGE)
    at = 0.0
    for index, phase in enumerate(OUTAGE):
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
    assert (ours["overall"]["answered"], ours["overall"]["surge_prompt"], ours["overall"]["wrong"]) == (1, 1, 0)
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
    assert [phase.name in shown.split("Phase by phase")[0] for phase in OUTAGE] == [True] * len(OUTAGE)
    assert "word for word" in shown
    assert ET.parse(path).getroot().tag.endswith("svg")


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
    for words in ("93.4 %", "plain", "us-east is dead", "calls wasted", "hatching"):
        assert words in page


def test_the_picture_shows_every_target_and_its_trouble() -> None:
    """Well-formed XML: a lane for each client and target, the phases, and hatching where a target was sick."""
    text = picture([seen(), seen("plain")])
    root = ET.fromstring(text)
    words = {"".join(node.itertext()) for node in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {*ENDPOINTS, "calm", "callers: hotspare", "callers: plain", "recovering", "really sick"} <= words
    sick = sum(len(phase.sick) for phase in OUTAGE)
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
