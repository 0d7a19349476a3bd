"""`hotspare report`."""

from __future__ import annotations

import json
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from hotspare._cli.delivery import send_to_channels
from hotspare._cli.options import (
    ConfigOption,
    JsonOption,
    LedgerOption,
    SinceOption,
    ledger_file,
    since_time,
)
from hotspare._cli.output import printable
from hotspare.errors import ConfigError, Problem
from hotspare.ledger.schema import open_to_read
from hotspare.monitor.channels import Notice
from hotspare.monitor.report import Report, read_report, report_html, report_text
from hotspare.monitor.report.labels import WORDS, Language

HELP = """Report on a period: calls, success, latency, uptime, rescued calls, outages, tokens and cost, by route and label.

Default: the last 24 hours. The HTML page is self-contained. With --send the report is sent to the alert channels of a configuration: run it
from cron for a report every morning. Times are UTC.
"""
_DAY = 86_400.0
_DAYS_AGO = {"today": 0, "yesterday": 1}


def run(
    day: Annotated[str, typer.Option(help="A day (UTC): 2026-01-31, today or yesterday.")] = "",
    since: SinceOption = "",
    html: Annotated[Path | None, typer.Option("--html", help="Write an HTML page to this file.")] = None,
    language: Annotated[str, typer.Option("--lang", help="en or ko.")] = "en",
    send: Annotated[bool, typer.Option("--send", help="Send it to the channels of the configuration.")] = False,
    config: ConfigOption = None,
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """See `HELP`."""
    words: Language | None = next((one for one in WORDS if one == language), None)
    if words is None:
        raise ConfigError(Problem.at("--lang", language, f"must be {' or '.join(WORDS)}"))
    start, end = _period(day, since)
    with closing(open_to_read(ledger_file(ledger))) as connection:
        report = read_report(connection, start, end)
    if html is not None:
        try:
            html.write_text(report_html(report, words), encoding="utf-8")
        except OSError as error:
            raise ConfigError(Problem.at("--html", str(html), f"cannot be written: {error.strerror}")) from None
    if send:
        raise typer.Exit(send_to_channels(config, _notice(report, words)))
    if as_json:
        print(json.dumps(report.as_dict(), ensure_ascii=False))
    elif html is None:
        print(printable(report_text(report, words)), end="")
    else:
        print(printable(f"Report: {html}"))


def _period(day: str, since: str) -> tuple[float, float]:
    now = time.time()
    if not day:
        return (since_time(since) if since else now - _DAY), now
    if since:
        raise ConfigError(Problem.at("--since", since, "cannot be combined with --day: give one of them"))
    try:
        start = (
            (now // _DAY - _DAYS_AGO[day]) * _DAY
            if day in _DAYS_AGO
            else datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()
        )
    except ValueError:
        raise ConfigError(Problem.at("--day", day, "must be like 2026-01-31, today or yesterday")) from None
    if start > now:
        raise ConfigError(Problem.at("--day", day, "has not begun yet (UTC); give a day up to today"))
    return start, start + _DAY


def _notice(report: Report, language: Language) -> Notice:
    title, _, rest = report_text(report, language).partition("\n")
    return Notice("report", "info", title, rest.strip(), time.time(), html=report_html(report, language))
