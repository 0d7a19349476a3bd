"""The report of a drill: one HTML page without external resources."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from hotspare import __version__
from hotspare.drill.labels import comparison, highlights, phase_heads, phase_rows
from hotspare.drill.metrics import Result, overall
from hotspare.drill.svg import draw_timeline

_STYLE = """
:root{color-scheme:light dark;--ink:#1f2937;--dim:#6b7280;--line:#e5e7eb;--card:#f6f7f9;--paper:#fff}
@media(prefers-color-scheme:dark){:root{--ink:#e5e7eb;--dim:#9ca3af;--line:#374151;--card:#1f2937;--paper:#111827}}
body{font:15px/1.5 system-ui,-apple-system,'Segoe UI',sans-serif;color:var(--ink);background:var(--paper);margin:0}
main{max-width:1120px;margin:0 auto;padding:2rem 1.25rem}h1{margin:0 0 .25rem;font-size:1.7rem}h2{margin:2.2rem 0 .6rem;font-size:1.15rem}
p{color:var(--dim);max-width:52rem;margin:.3rem 0}.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(190px,1fr));gap:.8rem;margin:1.4rem 0}
.cards div{background:var(--card);border-radius:8px;padding:.8rem 1rem}.cards b{display:block;font-size:1.6rem;font-variant-numeric:tabular-nums}
.cards span{color:var(--dim);font-size:.85rem}.picture{border:1px solid var(--line);border-radius:8px;overflow:hidden}svg{display:block;width:100%;height:auto}
.warning{color:#b45309;font-weight:600}.wide{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}th{font-weight:600;color:var(--dim);font-size:.85rem}
td,th{padding:.35rem .8rem;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}td:first-child,th:first-child{text-align:left;padding-left:0}
"""
_METHOD = (
    "All calls are real HTTP requests through hotspare to an embedded provider on this machine, which fails as the scenario says. "
    "The right answer to each prompt is known, so every answer was compared exactly. "
    "A process of its own offers the load, and a call's time counts from the moment at which it was to arrive. Hatching marks when a target was faulty; the "
    "band below its traffic is its state in the pool. Each bar is a quarter of a second, on a square-root scale."
)


def report_page(results: Sequence[Result]) -> str:
    """The whole page."""
    first = results[0]
    targets = "four targets: two providers in two regions each"
    values = highlights(first.scenario, overall(first))
    cards = "".join(f"<div><b>{escape(value)}</b><span>{escape(label)}</span></div>" for value, label in values)
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>hotspare drill</title><style>{_STYLE}</style><main><h1>hotspare drill</h1>",
        f"<p>{escape(first.scenario.about)} {len(first.calls):,} calls to {targets}. hotspare {__version__}.</p>",
        f"<div class=cards>{cards}</div>",
        f"<div class=picture>{draw_timeline(results)}</div><p>{_METHOD}</p>",
        "<h2>Comparison</h2>" if len(results) > 1 else "<h2>Results</h2>",
        _table(["", *(result.name for result in results)], comparison(results)),
    ]
    for result in results:
        for shortfall in result.shortfalls():
            parts.append(
                f"<p class=warning>{escape(f'{result.name}: the planned load was not achieved: {shortfall}')}</p>"
            )
        heads = [head.replace("\n", " ") for head in phase_heads(result.scenario)]
        parts.append(f"<h2>Phases: {escape(result.name)}</h2>" + _table(heads, phase_rows(result)))
    return "\n".join([*parts, "</main></html>"])


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<div class=wide><table><tr>{head}</tr>{body}</table></div>"
