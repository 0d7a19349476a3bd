"""A report's numbers equal what the embedded provider counted; its page is self-contained; it never contains a prompt."""

import json
import re
from contextlib import closing
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hotspare import Kind, Pool, Price, Usage
from hotspare._cli.app import app
from hotspare.drill.provider import KEY, Provider
from hotspare.events import CacheServed, CallEnded, UsageSampled
from hotspare.ledger import Ledger
from hotspare.ledger.schema import open_to_read
from hotspare.monitor.report import Report, read_report, report_html, report_text
from hotspare.monitor.report.labels import WORDS, percent
from hotspare.outcome import Outcome
from hotspare.target import Target
from hotspare.testing import ScriptedTarget, VirtualClock, answer, fail, scripted_pool
from typer.testing import CliRunner

from tests.support.calls import Ask, run_calls
from tests.support.eventually import eventually
from tests.support.receivers import Receiver

FOREVER = (0.0, 1e11)


def read(path: Path) -> Report:
    """The report of everything in a ledger."""
    with closing(open_to_read(path)) as ledger:
        return read_report(ledger, *FOREVER)


@pytest.fixture
def outage(tmp_path: Path) -> tuple[Path, Report]:
    """An outage of a minute in virtual time: a is out, b answers; then a is back. The ledger and its report."""
    path, clock = tmp_path / "ledger.db", VirtualClock()
    refused = fail(Outcome(Kind.TRANSPORT, "refused", before_connect=True), delay=1.0)
    a = ScriptedTarget("a", [refused] * 6 + ["ok"] * 99)
    b = ScriptedTarget("b", answer("ok", usage=Usage(100, 50), delay=2.0), price=Price(1.0, 2.0))
    pool = scripted_pool(a, b, clock=clock, retry_same_target="never")
    Ledger(path, clock=lambda: 1_767_225_600.0 + clock()).attach(pool)
    run_calls(
        "sync", pool, clock, [Ask(streaming=False, pause=1, options={"labels": {"team": "x<b>"}}) for _ in range(30)]
    )
    run_calls("sync", pool, clock, [Ask(pause=1) for _ in range(3)])
    pool.close()
    return path, read(path)


def test_the_numbers_equal_what_the_provider_counted(tmp_path: Path) -> None:
    """Over real sockets: every request that the provider received is an attempt, every answer an answered call."""
    path = tmp_path / "ledger.db"
    with Provider(["a", "b"]) as provider:
        targets = [
            Target("openai/m", name=name, base_url=provider.base_url(name, "openai"), api_key=KEY)
            for name in ("a", "b")
        ]
        with Pool(targets, retry_same_target="never") as pool:
            Ledger(path).attach(pool)
            provider.fault("a", "status", status=503)
            for _ in range(10):
                pool.chat("my secret words")
            provider.clear()
            eventually(lambda: pool.chat("my secret words").target == "a")
            assert list(pool.stream("my secret words"))
        report = read(path)
        counted = {name: provider.stats(name) for name in ("a", "b")}
    rows = {one.name: one for one in report.targets}
    assert {name: one.attempts for name, one in rows.items()} == {name: one.requests for name, one in counted.items()}
    assert rows["a"].failures == {"server": counted["a"].outcomes["status"]}
    answered = sum(one.requests for one in counted.values()) - counted["a"].outcomes["status"]
    assert (report.answered, report.calls, report.success) == (answered, answered, 1.0)
    assert report.rescued == counted["a"].outcomes["status"]
    assert sum(one.answered + one.rescued for one in report.timeline) == answered
    assert rows["a"].uptime < 1.0 == rows["b"].uptime
    assert report.survived > 0 and report.detect is not None and report.recover is not None
    assert b"secret words" not in (report_html(report) + report_text(report)).encode()


def test_an_outage_in_numbers(outage: tuple[Path, Report]) -> None:
    """Uptime, detection, recovery, tokens, USD and labels, from a ledger whose every second is known."""
    _, report = outage
    (target,) = [one for one in report.outages if one.level == "target"]
    assert target.subject == "a" and target.detect is not None and target.end is not None
    assert target.detect == pytest.approx(16.0)  # five failures, four seconds a call
    row = next(one for one in report.targets if one.name == "a")
    assert row.uptime == pytest.approx(1 - (target.end - target.start) / (report.end - report.start))
    assert report.survived == pytest.approx(report.recover or 0.0)
    rescued = report.rescued
    assert report.failovers == rescued == row.failures["transport"]
    (label,) = report.labels
    assert (label.name, label.calls) == ("team=x<b>", 30)
    assert report.cost == pytest.approx(200e-6 * report.priced_calls)
    assert report.input_tokens == 100 * report.priced_calls + (report.calls - report.priced_calls)
    assert report.latency.min == 0.0 and report.latency.max == 3.0 and report.ttft.count == 3


def test_savings_waste_and_use(tmp_path: Path) -> None:
    """USD saved by a cheaper target, of a lost race, from the cache; the most used minute of limits and budgets; p95 and USD by label."""
    path = tmp_path / "ledger.db"
    with scripted_pool("a") as pool:
        Ledger(path, clock=lambda: 1_767_225_600.0).attach(pool)
        usage = Usage(100, 50)
        for seconds in (1.0, 2.0):
            pool.publish(
                CallEnded(
                    f"c{seconds}",
                    "b",
                    (),
                    seconds,
                    labels={"team": "x"},
                    usage=usage,
                    cost=0.5,
                    wasted=0.2,
                    saved=0.25,
                    saved_tokens=7,
                )
            )
        pool.publish(CacheServed("hit", "default", {}, "b", 0.125))
        for share in (0.5, 0.75):
            pool.publish(UsageSampled("limit", "a: 60 requests a minute", share))
        pool.publish(UsageSampled("budget", "day", 0.9))
    report = read(path)
    assert (report.wasted, report.saved, report.saved_cache, report.saved_tokens) == (0.4, 0.5, 0.125, 14)
    assert (report.limits, report.budgets) == ({"a: 60 requests a minute": 0.75}, {"day": 0.9})
    (label,) = report.labels
    assert (label.p95, label.cost, label.wasted, label.saved) == (2.0, 1.0, 0.4, 0.5)
    for shown in (report_html(report), report_text(report)):
        assert all(text in shown for text in ("75.00%", "60 requests a minute", "$0.1250", "$0.4000", "90.00%"))


class Page(HTMLParser):
    """What a page refers to, and whether its tags are closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "html"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag != "html":
            assert self.open.pop() == tag


@pytest.mark.parametrize("language", ["en", "ko"])
def test_the_page_stands_alone(outage: tuple[Path, Report], language: str) -> None:
    """No link, no script, every tag closed, every word in the language; the outage is on the timeline; labels are escaped."""
    page = report_html(outage[1], "ko" if language == "ko" else "en")
    parser = Page()
    parser.feed(page)
    assert not parser.open and not parser.links and "url(" not in page and "<script" not in page
    assert WORDS["ko" if language == "ko" else "en"]["survived"] in page
    assert re.search(r"class=lost style='left:[\d.]+%;width:[\d.]+%'", page)
    assert "x&lt;b&gt;" in page and "<b>x" not in page


def test_both_languages_have_every_word() -> None:
    """And no other."""
    assert WORDS["en"].keys() == WORDS["ko"].keys()


def test_an_empty_period(outage: tuple[Path, Report]) -> None:
    """Nothing to report is no error."""
    with closing(open_to_read(outage[0])) as ledger:
        report = read_report(ledger, 0.0, 1.0)
    assert report.calls == 0 and report.success is None
    assert "–" in report_text(report) and "<main>" in report_html(report)


def test_what_is_almost_all_is_not_all() -> None:
    """One lost call of a million is not 100 %."""
    assert (percent(0.999999), percent(1.0), percent(0.0)) == ("99.99%", "100.00%", "0.00%")


def test_a_cost_that_is_not_known_is_not_zero(tmp_path: Path) -> None:
    """Without prices neither costs nor savings are shown as $0.0000: not in the totals, not by route, not for an answer of the cache."""
    path = tmp_path / "ledger.db"
    with scripted_pool("a") as pool:
        Ledger(path, clock=lambda: 1_767_225_600.0).attach(pool)
        pool.publish(CallEnded("c1", "a", (), 1.0, usage=Usage(100, 50), wasted=None))
        pool.publish(CallEnded("c2", "a", (), 1.0, usage=Usage(100, 50)))
        pool.publish(CacheServed("hit", "default", {}, "a", None))
    report = read(path)
    assert (report.cost, report.wasted, report.saved, report.saved_cache, report.routes[0].cost) == (None,) * 5
    for shown in (report_html(report), report_text(report, "ko")):
        assert "$" not in shown


def test_the_command(outage: tuple[Path, Report], tmp_path: Path) -> None:
    """A day as text, as JSON, and as a page; sent to the channels; a day that is none is named."""
    run, path = CliRunner().invoke, str(outage[0])
    shown = run(app, ["report", "--day", "2026-01-01", "--ledger", path, "--lang", "ko"])
    assert "구제된 호출: " in shown.stdout and "a: 가동률" in shown.stdout
    numbers = json.loads(run(app, ["report", "--day", "2026-01-01", "--ledger", path, "--json"]).stdout)
    assert (numbers["calls"], numbers["success"]) == (33, 1.0)
    run(app, ["report", "--since", "2025-12-31", "--ledger", path, "--html", str(tmp_path / "r.html")])
    assert "hotspare report" in (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "--day: 'monday' must be like" in str(run(app, ["report", "--day", "monday", "--ledger", path]).exception)
    today, yesterday = (
        json.loads(run(app, ["report", "--day", day, "--ledger", path, "--json"]).stdout)
        for day in ("today", "yesterday")
    )
    assert (today["start"] - yesterday["start"], today["start"] % 86_400) == (86_400, 0)
    assert "--day: '9999-01-01' has not begun" in str(run(app, ["report", "--day", "9999-01-01"]).exception)
    receiver = Receiver()
    with receiver.serve() as url:
        config = tmp_path / "c.json"
        channels = {
            "targets": [{"id": "openai/m", "api_key": "k-1234567"}],
            "monitor": {"channels": [{"type": "webhook", "url": url}]},
        }
        config.write_text(json.dumps(channels), encoding="utf-8")
        sent = run(app, ["report", "--day", "2026-01-01", "--ledger", path, "--send", "--config", str(config)])
    assert (sent.exit_code, sent.stdout) == (0, "webhook 127.0.0.1: delivered\n")
    assert receiver.notices[0]["status"] == "report" and "Rescued calls" in receiver.notices[0]["text"]


def test_a_process_that_ended_has_no_further_outage(tmp_path: Path) -> None:
    """A short process ends while a breaker is open, another one calls the same target for ten minutes: the outage has the seconds
    that were recorded."""
    path, clock = tmp_path / "ledger.db", VirtualClock()
    for script, calls in ((fail(503), 5), ("ok", 60)):
        pool = scripted_pool(ScriptedTarget("a", script), "b", clock=clock, retry_same_target="never")
        Ledger(path, clock=lambda: 1_767_225_600.0 + clock()).attach(pool)
        run_calls("sync", pool, clock, [Ask(streaming=False, pause=10)] * calls)
        pool.close()
    report = read(path)
    (one,) = [one for one in report.outages if one.level == "target"]
    assert one.end is None and one.last - one.start < 60
    (row,) = [row for row in report.targets if row.name == "a"]
    assert row.uptime == pytest.approx(1 - (one.last - one.start) / (report.end - report.start)) and row.uptime > 0.9
    assert f"a  {one.last - one.start:.2f} s, no recovery recorded" in report_text(report)
    assert "복구 기록 없음" in report_html(report, "ko")
