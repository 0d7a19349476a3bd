"""A report as one self-contained HTML page without scripts; for phones and large screens, light and dark."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from hotspare.monitor.report.data import Bucket, Report, Row
from hotspare.monitor.report.labels import WORDS, Language, moment, percent, seconds, usd
from hotspare.monitor.report.text import outage_duration, summary

LONG = 20
"""Characters of a name and its value from which on they take a whole line on a phone."""
_STYLE = """
:root{color-scheme:light dark;--ink:#1f2937;--dim:#4b5563;--line:#e5e7eb;--card:#f3f4f6;--paper:#fff;--ok:#33607a;--saved:#2f9e6e;--lost:#d1453b}
@media(prefers-color-scheme:dark){:root{--ink:#e5e7eb;--dim:#a7b0bd;--line:#374151;--card:#1f2937;--paper:#111827;--ok:#7aa7c7;--saved:#4cc38a;--lost:#f0786e}}
*{box-sizing:border-box}body{font:15px/1.5 system-ui,-apple-system,'Segoe UI','Apple SD Gothic Neo','Noto Sans KR',sans-serif;color:var(--ink);background:var(--paper);margin:0;word-break:keep-all}
main{max-width:1120px;margin:0 auto;padding:1.5rem 1rem}h1{margin:0;font-size:1.6rem}h2{margin:2rem 0 .6rem;font-size:1.15rem}p{color:var(--dim);margin:.3rem 0}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(160px,1fr));gap:.7rem;margin:1.2rem 0}.cards div{background:var(--card);border-radius:8px;padding:.7rem .9rem}
.cards b{display:block;font-size:1.5rem;font-variant-numeric:tabular-nums}.cards span,.key,.axis,.lane b{color:var(--dim);font-size:.85rem}
dl{display:grid;grid-template-columns:minmax(8rem,auto) 1fr;gap:.3rem 1rem;margin:0}dt{color:var(--dim)}dd{margin:0;font-variant-numeric:tabular-nums}
.chart{display:flex;align-items:flex-end;gap:1px;height:140px;border-bottom:1px solid var(--line)}.chart.low{height:80px}
.chart i{flex:1;display:flex;flex-direction:column-reverse;height:100%;min-width:0}.chart u{display:block;width:100%}
.ok{background:var(--ok)}.saved{background:var(--saved)}.lost{background:var(--lost)}.axis{display:flex;justify-content:space-between;gap:1rem}
.key{display:flex;flex-wrap:wrap;gap:0 .9rem}.key span{white-space:nowrap}.key i{display:inline-block;width:.8em;height:.8em;border-radius:2px;margin-right:.35em}.lane{margin:.45rem 0}.lane b{display:block;font-weight:400;overflow-wrap:anywhere}
.lane div{position:relative;height:12px;background:var(--saved);border-radius:3px;overflow:hidden}.lane div u{position:absolute;top:0;bottom:0;min-width:2px}
.wide{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums;width:100%}th{font-weight:600;color:var(--dim);font-size:.85rem}
td,th{padding:.35rem .7rem;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}td:first-child,th:first-child{text-align:left;padding-left:0;white-space:normal;overflow-wrap:anywhere;min-width:8rem}
@media(max-width:640px){table,tbody{display:block}tr:first-child{display:none}tr{display:grid;grid-template-columns:1fr 1fr;gap:0 1.2rem;border-bottom:1px solid var(--line);padding:.45rem 0}
td{border:0;padding:.1rem 0;display:flex;justify-content:space-between;gap:.6rem;white-space:normal}td:first-child{grid-column:1/-1;font-weight:600}td.long{grid-column:1/-1}
td:not(:first-child)::before{content:attr(data-head);color:var(--dim);font-size:.85rem;text-align:left}}
"""


def report_html(report: Report, language: Language = "en") -> str:
    """The whole page."""
    words = WORDS[language]
    parts = [
        f"<!doctype html><html lang={language}><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>{words['title']}</title><style>{_STYLE}</style><main><h1>{words['title']}</h1>",
        f"<p>{moment(report.start)} – {moment(report.end)}. {words['utc']}</p>",
        _cards(report, language),
        _timeline(report, language),
        "<h2>" + words["calls"] + "</h2><dl>",
        *(f"<dt>{escape(name)}</dt><dd>{escape(_unbroken(value))}</dd>" for name, value in summary(report, language)),
        "</dl>",
        *_tables(report, language),
        "</main></html>",
    ]
    return "\n".join(parts)


def _unbroken(value: str) -> str:
    """The text with no-break spaces between numbers and their units."""
    return re.sub(r"(?<=\d) (?=s\b|min\b)", "\u00a0", value)


def _cards(report: Report, language: Language) -> str:
    words = WORDS[language]
    values = [
        (f"{report.calls:,}", words["calls"]),
        (percent(report.success), words["success"]),
        (f"{report.rescued:,}", words["rescued"]),
        (seconds(report.survived), words["survived"]),
        (seconds(report.latency.p95), f"{words['latency']}, p95"),
        (usd(report.cost), words["cost"]),
    ]
    cards = "".join(f"<div><b>{escape(value)}</b><span>{escape(name)}</span></div>" for value, name in values)
    return f"<div class=cards>{cards}</div>"


def _timeline(report: Report, language: Language) -> str:
    """Calls by result, their p95, and a lane for each target and domain that was unavailable."""
    if not report.timeline:
        return ""
    words = WORDS[language]
    most = max(one.answered + one.rescued + one.lost for one in report.timeline) or 1
    slowest = max((one.p95 or 0.0 for one in report.timeline), default=0.0) or 1.0
    key = "".join(
        f"<span><i class={style}></i>{words[name]}</span>"
        for style, name in (("ok", "at_once"), ("saved", "rescued"), ("lost", "lost"))
    )
    axis = f"<div class=axis><span>{moment(report.start)[11:]}</span><span>{moment(report.end)[11:]}</span></div>"
    low = "".join(_bar([("ok", one.p95 or 0.0)], slowest, one, seconds(one.p95)) for one in report.timeline)
    bars = "".join(
        _bar(
            [("ok", one.answered), ("saved", one.rescued), ("lost", one.lost)],
            most,
            one,
            f"{one.answered} + {one.rescued} / {one.lost}",
        )
        for one in report.timeline
    )
    return (
        f"<h2>{words['timeline']}</h2><p class=key>{key}</p><div class=chart>{bars}</div>{axis}"
        f"<p class=key>{words['p95_line']} (≤ {seconds(slowest)})</p><div class='chart low'>{low}</div>{axis}"
        + "".join(_lane(report, name, language) for name in _subjects(report))
    )


def _bar(parts: Sequence[tuple[str, float]], most: float, bucket: Bucket, title: str) -> str:
    pieces = "".join(
        f"<u class={style} style='height:{100 * value / most:.2f}%'></u>" for style, value in parts if value
    )
    return f"<i title='{moment(bucket.start)[11:]}: {escape(title)}'>{pieces}</i>"


def _subjects(report: Report) -> Iterable[tuple[str, str]]:
    return [
        *(("target", one.name) for one in report.targets),
        *dict.fromkeys((one.level, one.subject) for one in report.outages if one.level != "target"),
    ]


def _lane(report: Report, subject: tuple[str, str], language: Language) -> str:
    level, name = subject
    span = max(report.end - report.start, 1e-9)
    marks: list[str] = []
    for one in report.outages:
        if (one.level, one.subject) == subject:
            left, width = (one.start - report.start) / span, ((one.end or one.last) - one.start) / span
            marks.append(f"<u class=lost style='left:{100 * left:.2f}%;width:{100 * width:.2f}%'></u>")
    shown = name if level == "target" else f"{level} {name}"
    uptime = next((one.uptime for one in report.targets if level == "target" and one.name == name), None)
    uptime = report.domains.get(shown) if uptime is None else uptime
    title = f"{escape(shown)} · {WORDS[language]['uptime']} {percent(uptime)}"
    return f"<div class=lane><b>{title}</b><div>{''.join(marks)}</div></div>"


def _tables(report: Report, language: Language) -> Iterable[str]:
    words = WORDS[language]
    yield _table(
        words["targets"],
        [words[name] for name in ("target", "uptime", "attempts", "failures", "mean", "p95", "max", "ttft_p95")],
        [
            [
                one.name, percent(one.uptime), f"{one.attempts:,}",
                ", ".join(f"{kind} {count:,}" for kind, count in sorted(one.failures.items())) or "0",
                seconds(one.seconds.mean), seconds(one.seconds.p95), seconds(one.seconds.max),
                seconds(one.ttft.p95),
            ]
            for one in report.targets
        ],
    )  # fmt: skip
    yield _table(
        words["outages"],
        [words[name] for name in ("name", "start", "duration", "to_detect")],
        [
            [
                one.subject, moment(one.start), outage_duration(one, language), seconds(one.detect),
            ]
            for one in report.outages
        ],
    )  # fmt: skip
    yield _table(
        words["limits"],
        [words["limit"], words["used"]],
        [[name, percent(share)] for name, share in (report.limits | report.budgets).items()],
    )
    yield _rows(words["routes"], report.routes, words)
    yield _rows(words["labels"], report.labels, words)
    yield _table(
        words["alerts"],
        [words[name] for name in ("rule", "start", "severity", "value")],
        [[one["rule"], moment(one["at"]), one["severity"], f"{one['value']:.4g}"] for one in report.alerts],
    )


def _rows(title: str, rows: Sequence[Row], words: Mapping[str, str]) -> str:
    heads = [
        words[name] for name in ("name", "calls", "success", "rescued", "p95", "tokens", "cost", "wasted_usd", "saved")
    ]
    return _table(
        title,
        heads,
        [
            [
                row.name, f"{row.calls:,}", percent(row.answered / row.calls), f"{row.rescued:,}", seconds(row.p95),
                f"{row.input_tokens:,} / {row.output_tokens:,}", usd(row.cost),
                usd(row.wasted), usd(row.saved),
            ]
            for row in rows
        ],
    )  # fmt: skip


def _cell(name: str, value: str) -> str:
    """A table cell. On a phone a row becomes a block of names and values, two per line unless one of them is long."""
    style = " class=long" if len(name) + len(value) > LONG else ""
    return f'<td{style} data-head="{name}">{escape(value)}</td>'


def _table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    head = "".join(f"<th>{escape(one)}</th>" for one in heads)
    names = [escape(one, quote=True) for one in heads]
    body = "".join(
        "<tr>" + "".join(_cell(name, one) for name, one in zip(names, row, strict=True)) + "</tr>" for row in rows
    )
    return f"<h2>{escape(title)}</h2><div class=wide><table><tr>{head}</tr>{body}</table></div>"
