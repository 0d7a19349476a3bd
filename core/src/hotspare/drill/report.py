"""How a drill is shown: live progress, a table, and a self-contained page with a timeline."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING

from hotspare.drill.scenarios import ENDPOINTS

if TYPE_CHECKING:
    from rich.console import Console

    from hotspare.drill.run import Result

COLOURS = {
    "closed": "#2e9e5b",
    "recovering": "#9acd32",
    "half-open": "#e6b800",
    "open": "#d64545",
    "throttled": "#e08a2e",
}


def console() -> Console:
    """Where a drill prints."""
    from rich.console import Console

    found = Console()
    return found if found.is_terminal else Console(width=130)


@contextmanager
def progress_bar(live: bool) -> Generator[Callable[[str, float], None]]:
    """What a running drill tells of itself: the phase, and how much of it is over."""
    if not live or not console().is_terminal:
        yield lambda name, done: None
        return
    from rich.progress import Progress

    with Progress(transient=True) as bars:
        tasks: dict[str, object] = {}

        def show(name: str, done: float) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(name, total=1.0)
            bars.update(tasks[name], completed=done)  # type: ignore[arg-type]

        yield show


def _ms(value: object) -> str:
    return f"{value * 1000:,.0f} ms" if isinstance(value, float) else "-"


def _cells(row: dict[str, str | int | float | None]) -> list[str]:
    calls, right = int(row["calls"] or 0), int(row["answered"] or 0)
    each = row["attempts_per_call"]
    return [
        str(row["phase"]), f"{calls:,}", f"{100 * right / calls:.1f} %" if calls else "-", _ms(row["p50"]), _ms(row["p95"]),
        _ms(row["p99"]), _ms(row["ttft_p50"]), f"{row['failovers']:,}", f"{each:.2f}" if isinstance(each, float) else "-", str(row["wrong"]),
    ]  # fmt: skip


HEAD = ("phase", "calls", "answered", "p50", "p95", "p99", "first token", "failovers", "attempts a call", "wrong texts")


def tables(results: Sequence[Result]) -> None:
    """Print one table a client, and what they mean."""
    from rich.table import Table

    from hotspare.drill.run import summary

    out = console()
    for result in results:
        table = Table(*HEAD, title=result.name)
        for row in summary(result):
            table.add_row(*_cells(row))
        out.print(table)
        right = sum(call.right for call in result.calls)
        share = 100 * right / max(1, len(result.calls))
        out.print(
            f"{right:,} of {len(result.calls):,} calls answered word for word within the deadline ({share:.2f} %)."
        )
        if (noticed := result.noticed()) is not None:
            out.print(f"The region's return was noticed after {noticed:.1f} s.")
        for error in list(dict.fromkeys(call.error for call in result.calls if call.error))[:3]:
            out.print(f"  lost: {error}", markup=False)
    out.print("'attempts a call' in an outage counts from 2 s on, when the breakers have their evidence.", style="dim")


def html(results: Sequence[Result]) -> str:
    """The whole page; it loads nothing."""
    from hotspare.drill.run import summary

    parts = [
        "<!doctype html><meta charset=utf-8><title>hotspare drill</title>"
        "<style>body{font:15px system-ui;margin:2em auto;max-width:1100px;color:#222}table{border-collapse:collapse;margin:1em 0}"
        "td,th{padding:.3em .8em;border-bottom:1px solid #ddd;text-align:right}td:first-child,th:first-child{text-align:left}"
        "svg{width:100%;height:auto}.key span{margin-right:1.2em}.key i{display:inline-block;width:1em;height:1em;margin-right:.3em;vertical-align:-2px}</style>"
        "<h1>hotspare drill</h1><p>Real HTTP calls through the real library to an embedded, fault-scripted provider. "
        "Each lane is a target: its colour is its health, its bars are answers (dark) and failures (red) each quarter of a second.</p>",
        "<p class=key>"
        + "".join(f"<span><i style='background:{c}'></i>{n}</span>" for n, c in COLOURS.items())
        + "</p>",
    ]
    for result in results:
        parts.append(f"<h2>{escape(result.name)}</h2>")
        if result.attempts:
            parts.append(timeline(result))
        rows = "".join(
            "<tr>" + "".join(f"<td>{escape(c)}</td>" for c in _cells(row)) + "</tr>" for row in summary(result)
        )
        parts.append("<table><tr>" + "".join(f"<th>{h}</th>" for h in HEAD) + f"</tr>{rows}</table>")
    return "\n".join(parts)


def timeline(result: Result) -> str:
    """The picture: a lane a target, over the phases."""
    if not result.ticks:
        return ""
    end, left, width, lane = result.ticks[-1].at, 110, 960, 70
    most = max((max(t.answered[n], t.failed[n]) for t in result.ticks for n in ENDPOINTS), default=1) or 1

    def x(at: float) -> float:
        return left + width * at / end

    height = 40 + lane * len(ENDPOINTS)
    out = [f"<svg viewBox='0 0 {left + width + 10} {height + 10}' font-family='system-ui' font-size='12'>"]
    for index, (phase, start) in enumerate(zip(result.phases, result.starts, strict=True)):
        stop = result.starts[index + 1] if index + 1 < len(result.starts) else end
        out.append(
            f"<rect x='{x(start):.1f}' y='0' width='{max(0.0, x(stop) - x(start)):.1f}' height='{height}' fill='{'#fafafa' if index % 2 else '#f0f2f5'}'/>"
        )
        out.append(f"<text x='{x(start) + 3:.1f}' y='{14 + 14 * (index % 2)}'>{escape(phase.name)}</text>")
    for row, name in enumerate(ENDPOINTS):
        top = 40 + row * lane
        out.append(f"<text x='0' y='{top + lane / 2}'>{escape(name)}</text>")
        before = 0.0
        for tick in result.ticks:
            x0, wide = x(before), x(tick.at) - x(before) + 0.3
            out.append(
                f"<rect x='{x0:.1f}' y='{top + lane - 16}' width='{wide:.1f}' height='10' fill='{COLOURS[tick.states[name]]}'/>"
            )
            room = lane - 22
            for count, colour in ((tick.answered[name], "#33507a"), (tick.failed[name], "#d64545")):
                if count:
                    tall = max(3.0, room * (count / most) ** 0.5)
                    out.append(
                        f"<rect x='{x0:.1f}' y='{top + room - tall + 2:.1f}' width='{max(1.0, wide - 1):.1f}' height='{tall:.1f}' fill='{colour}'/>"
                    )
            before = tick.at
    out.append("</svg>")
    return "".join(out)
