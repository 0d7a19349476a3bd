"""A report as text: for terminals and mails."""

from __future__ import annotations

from collections.abc import Iterable

from hotspare.monitor.report.data import Report, Spread
from hotspare.monitor.report.labels import WORDS, Language, moment, percent, seconds, usd
from hotspare.monitor.report.outages import Outage


def report_text(report: Report, language: Language = "en") -> str:
    """The whole report as plain text."""
    words = WORDS[language]
    lines = [
        f"{words['title']}: {moment(report.start)} – {moment(report.end)} UTC",
        "",
        *(f"{name}: {value}" for name, value in summary(report, language)),
        "",
        f"{words['targets']}:",
        *_targets(report, language),
    ]
    if report.domains:
        lines += [
            "",
            f"{words['domains']}:",
            *(f"  {name}: {percent(value)}" for name, value in report.domains.items()),
        ]
    if used := report.limits | report.budgets:
        lines += ["", f"{words['limits']}:", *(f"  {name}: {percent(share)}" for name, share in used.items())]
    if report.outages:
        lines += ["", f"{words['outages']}:"]
        lines += [f"  {moment(one.start)}  {one.subject}  " + outage_duration(one, language) for one in report.outages]
    for title, rows in (("routes", report.routes), ("labels", report.labels)):
        if rows:
            lines += ["", f"{words[title]}:"]
            lines += [
                f"  {row.name}: {words['calls']} {row.calls:,}, p95 {seconds(row.p95)}, {words['cost']} {usd(row.cost)}"
                for row in rows
            ]
    if report.alerts:
        lines += ["", f"{words['alerts']}:"]
        lines += [
            f"  {moment(one['at'])}  {one['severity']}  {one['rule']}  {one['value']:.4g}" for one in report.alerts
        ]
    return "\n".join(lines) + "\n"


def outage_duration(one: Outage, language: Language) -> str:
    """How long an outage lasted, as far as it is recorded."""
    if one.end is not None:
        return seconds(one.end - one.start)
    return f"{seconds(one.last - one.start)}, {WORDS[language]['not_over']}"


def summary(report: Report, language: Language) -> list[tuple[str, str]]:
    """The figures of the whole period, with their labels."""
    words = WORDS[language]
    cost = usd(report.cost)
    if report.priced_calls < report.calls:
        cost += f" ({words['cost_note'].format(priced=report.priced_calls, calls=report.calls)})"
    return [
        (words["calls"], f"{report.calls:,}"),
        (words["success"], percent(report.success)),
        (words["lost"], f"{report.results.get('failed', 0) + report.results.get('interrupted', 0):,}"),
        (words["abandoned"], f"{report.results.get('abandoned', 0):,}"),
        (words["rescued"], f"{report.rescued:,} ({words['rescued_note']})"),
        (words["latency"], _spread(report.latency, language)),
        (words["ttft"], _spread(report.ttft, language)),
        (words["failovers"], f"{report.failovers:,}"),
        (words["rate_limits"], f"{sum(report.rate_limits.values()):,}"),
        (words["survived"], f"{seconds(report.survived)} ({words['survived_note']})"),
        (words["detect"], seconds(report.detect)),
        (words["recover"], seconds(report.recover)),
        (words["tokens"], f"{report.input_tokens:,} / {report.output_tokens:,}"),
        (words["cached"], f"{report.cached_tokens:,}"),
        (words["wasted"], f"{report.wasted_tokens:,}"),
        (words["cost"], cost),
        (words["wasted_usd"], usd(report.wasted)),
        (words["saved_usd"], usd(report.saved)),
        *([(words["saved_cache"], usd(report.saved_cache))] if report.saved_cache else []),
        *([(words["saved_tokens"], f"{report.saved_tokens:,}")] if report.saved_tokens else []),
    ]


def _spread(spread: Spread, language: Language) -> str:
    if not spread.count:
        return "–"
    names = ("mean", "p50", "p95", "p99", "max", "min")
    return ", ".join(f"{WORDS[language][name]} {seconds(getattr(spread, name))}" for name in names)


def _targets(report: Report, language: Language) -> Iterable[str]:
    words = WORDS[language]
    for one in report.targets:
        failed = ", ".join(f"{kind} {count}" for kind, count in sorted(one.failures.items())) or words["none"]
        yield (
            f"  {one.name}: {words['uptime']} {percent(one.uptime)}, {words['attempts']} {one.attempts:,}, "
            f"{words['failures']}: {failed}, p95 {seconds(one.seconds.p95)}, {words['ttft']} p95 {seconds(one.ttft.p95)}"
        )
