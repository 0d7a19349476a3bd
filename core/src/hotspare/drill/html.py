"""The report of a drill: one HTML page without external resources."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from hotspare import __version__
from hotspare.drill.labels import comparison, highlights, phase_heads, phase_rows
from hotspare.drill.metrics import Result, overall
from hotspare.drill.scenarios import REGIONS
from hotspare.drill.svg import NARROW, draw_timeline

_STYLE = """
:root{color-scheme:light dark;--ink:#1f2937;--dim:#5b6472;--line:#e5e7eb;--card:#f3f4f6;--paper:#fff;--warn:#a1500a}
@media(prefers-color-scheme:dark){:root{--ink:#e5e7eb;--dim:#a7b0bd;--line:#374151;--card:#1f2937;--paper:#111827;--warn:#f0a04b}}
*{box-sizing:border-box}body{font:15px/1.5 system-ui,-apple-system,'Segoe UI',sans-serif;color:var(--ink);background:var(--paper);margin:0}
main{max-width:1160px;margin:0 auto;padding:1.5rem 1rem}h1{margin:0 0 .25rem;font-size:1.7rem}h2{margin:2.2rem 0 .6rem;font-size:1.15rem}
p{color:var(--dim);max-width:52rem;margin:.5rem 0}.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(160px,1fr));gap:.7rem;margin:1.2rem 0}
.cards div{background:var(--card);border-radius:8px;padding:.8rem 1rem}.cards b{display:block;font-size:1.6rem;font-variant-numeric:tabular-nums}
.cards span{color:var(--dim);font-size:.85rem;line-height:1.35;display:block}.picture{border:1px solid var(--line);border-radius:8px;overflow:hidden}svg{display:block;width:100%;height:auto}
.narrow{display:none}.warning{color:var(--warn);font-weight:600}.wide{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th{font-weight:600;color:var(--dim);font-size:.85rem}th:not(:first-child){white-space:pre-line}td,th{padding:.35rem .6rem;border-bottom:1px solid var(--line);text-align:right;vertical-align:bottom}
td:first-child,th:first-child{text-align:left;padding-left:0}td:not(:first-child){white-space:nowrap}
@media(max-width:760px){.narrow{display:block}.broad{display:none}.phases,.phases tbody{display:block}.phases tr:first-child{display:none}
.phases tr{display:grid;grid-template-columns:1fr 1fr;gap:0 1.2rem;border-bottom:1px solid var(--line);padding:.5rem 0}.phases td{border:0;padding:.1rem 0;display:flex;justify-content:space-between;gap:.6rem}
.phases td:first-child{grid-column:1/-1;font-weight:600}.phases td:not(:first-child)::before{content:attr(data-head);color:var(--dim);font-size:.85rem;text-align:left}}
"""
_METHOD = (
    "All calls are real HTTP requests through hotspare to an embedded provider on this machine, which fails as the scenario says. "
    "The right answer to each prompt is known, so every answer was compared exactly. "
    "The load comes from a separate process; a call's duration is measured from its scheduled arrival. Hatching marks the time in which a target was faulty; the "
    "band below its traffic shows its state in the pool. Each bar is a quarter of a second, on a square-root scale."
)


def report_page(results: Sequence[Result]) -> str:
    """The whole page."""
    first = results[0]
    regions = ": two providers in two regions each" if first.scenario.endpoints is REGIONS else ""
    targets = f"{len(first.scenario.endpoints)} targets{regions}"
    values = highlights(first.scenario, overall(first))
    cards = "".join(f"<div><b>{escape(value)}</b><span>{escape(label)}</span></div>" for value, label in values)
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>hotspare drill</title><style>{_STYLE}</style><main><h1>hotspare drill</h1>",
        f"<p>{escape(first.scenario.about)} {len(first.calls):,} calls to {targets}. hotspare {__version__}.</p>",
        f"<div class=cards>{cards}</div>",
        f"<div class='picture broad'>{draw_timeline(results)}</div><div class='picture narrow'>{draw_timeline(results, NARROW)}</div><p>{_METHOD}</p>",
        "<h2>Comparison</h2>" if len(results) > 1 else "<h2>Results</h2>",
        _table(["", *(result.name for result in results)], comparison(results)),
    ]
    for result in results:
        for shortfall in result.shortfalls():
            parts.append(
                f"<p class=warning>{escape(f'{result.name}: the planned load was not achieved: {shortfall}')}</p>"
            )
        heads = phase_heads(result.scenario)
        parts.append(f"<h2>Phases: {escape(result.name)}</h2>" + _table(heads, phase_rows(result), "phases"))
    return "\n".join([*parts, "</main></html>"])


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], style: str = "plain") -> str:
    """A table. With the style `phases`, each row becomes a block of names and values on a narrow screen."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in heads)
    names = [escape(head.replace("\n", " "), quote=True) for head in heads]
    body = "".join(
        "<tr>"
        + "".join(f'<td data-head="{name}">{escape(cell)}</td>' for name, cell in zip(names, row, strict=True))
        + "</tr>"
        for row in rows
    )
    return f"<div class=wide><table class={style}><tr>{head}</tr>{body}</table></div>"
