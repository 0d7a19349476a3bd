"""A drill with monitoring on, from end to end: alerts at a real mail server and a real webhook, the report, and the provider's own counts."""

import json
import re
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hotspare import ConfigError
from hotspare._cli.app import app
from hotspare.drill import run
from hotspare.drill.provider import Provider, Stats
from hotspare.drill.scenarios import BLACKOUT, ENDPOINTS, SCENARIOS
from hotspare.ledger.schema import open_to_read
from hotspare.monitor.report import Report, read_report, report_html
from typer.testing import CliRunner

from tests.support.receivers import Mailbox, Receiver, mail_server

CONFIG = """
targets = ["openai/gpt-4.1"]
[monitor]
interval = 0.1
[[monitor.rules]]
name = "no_healthy_target"
hold = 0.3
[[monitor.rules]]
name = "rescue_rate"    # of the few calls of these seconds most are rescued
min_calls = 1000
[[monitor.channels]]
type = "webhook"
url = "{url}"
[[monitor.channels]]
type = "smtp"
host = "127.0.0.1"
port = {port}
security = "none"
sender = "hotspare@example.com"
to = ["oncall@example.com"]
"""
SECONDS = (0.6, 2.0, 2.0, 1.5, 0.8)
"""Of the phases: a fraction of the scenario's, as the rule's hold is; long enough for a busy machine."""


class Counted(Provider):
    """Keeps its counts when it stops."""

    counts: dict[str, Stats]

    def __exit__(self, *args: Any) -> None:
        Counted.counts = {name: self.stats(name) for name in ENDPOINTS}
        super().__exit__(*args)


def drill_results(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Receiver, Mailbox, Report, dict[str, Any]]:
    """`hotspare drill --scenario blackout --monitor …`: what was sent, the report, and the drill's own numbers."""
    phases = tuple(
        replace(phase, seconds=short, rate=20) for phase, short in zip(BLACKOUT.phases, SECONDS, strict=True)
    )
    monkeypatch.setitem(SCENARIOS, "blackout", replace(BLACKOUT, phases=phases))
    monkeypatch.setattr(run, "Provider", Counted)
    monkeypatch.setattr("hotspare._cli.drill.MIN_SECONDS", 0.1)
    monkeypatch.setenv("OPENAI_API_KEY", "k-1234567")
    receiver, mailbox = Receiver(), Mailbox()
    with receiver.serve() as url, mail_server(mailbox) as port:
        (folder / "hotspare.toml").write_text(CONFIG.format(url=url, port=port), encoding="utf-8")
        options = [
            "--scenario",
            "blackout",
            "--monitor",
            str(folder / "hotspare.toml"),
            "--report",
            str(folder / "d.html"),
            "--json",
        ]
        done = CliRunner().invoke(app, ["drill", *options], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    with closing(open_to_read(folder / "d.html.ledger.db")) as ledger:
        return receiver, mailbox, read_report(ledger, 0.0, time.time() + 60), json.loads(done.stdout)["hotspare"]


def test_an_outage_is_one_alert_and_every_number_is_the_providers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two total outages, the second within the cooldown: one critical alert within 10 s and one resolved notice, by mail and at the webhook.

    The report counts what the provider counted, shows both outages on its timeline, and agrees with the drill's own record.
    """
    receiver, mailbox, report, drill = drill_results(tmp_path, monkeypatch)
    assert [(one["status"], one["severity"], one["title"]) for one in receiver.notices] == [
        ("firing", "critical", "DRILL: CRITICAL: no_healthy_target"),
        ("resolved", "critical", "DRILL: RESOLVED: no_healthy_target"),
    ]
    assert [re.findall(r"Subject: (.*?)\r?\n", mail)[0] for mail in mailbox.mails] == [
        f"[hotspare] {one['title']}" for one in receiver.notices
    ]
    outages = [one for one in report.outages if one.level == "target"]
    fired, resolved = (one["at"] for one in receiver.notices)
    first, second = outages[0].start, outages[len(ENDPOINTS)].start
    assert 0 < fired - first < 10 and first < fired < resolved < second, "the second outage was silent"

    counts = Counted.counts
    rows = {one.name: one for one in report.targets}
    assert {name: one.attempts for name, one in rows.items()} == {name: one.requests for name, one in counts.items()}
    assert {name: one.failures.get("server", 0) for name, one in rows.items()} == {
        name: one.outcomes.get("status", 0) for name, one in counts.items()
    }
    answered = sum(one.outcomes.get("ok", 0) for one in counts.values())
    assert report.calls == report.answered == answered == drill["overall"]["calls"]
    assert report.output_tokens == answered * BLACKOUT.tokens and report.success == drill["overall"]["answered"] == 1.0
    assert sum(one.answered + one.rescued + one.lost for one in report.timeline) == answered
    assert report.latency.max is not None and report.latency.max >= SECONDS[1] * 0.8
    page = report_html(report)
    assert page.count("<u class=lost") >= 2 * len(ENDPOINTS) and "no_healthy_target" in page
    assert len(report.alerts) == 1


def test_a_configuration_without_channels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing would be sent: that is said before the drill."""
    monkeypatch.setenv("OPENAI_API_KEY", "k-1234567")
    config = tmp_path / "c.toml"
    config.write_text('targets = ["openai/gpt-4.1"]', encoding="utf-8")
    done = CliRunner().invoke(app, ["drill", "--monitor", str(config), "--report", ""])
    assert isinstance(done.exception, ConfigError) and "monitor.channels" in str(done.exception)
