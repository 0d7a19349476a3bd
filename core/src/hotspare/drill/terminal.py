"""A drill at the terminal: what is going on while it runs, and its tables at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

from rich.box import SIMPLE
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from hotspare.drill.labels import phase_cells, phase_heads, seconds, side_by_side
from hotspare.drill.metrics import Result, quantile
from hotspare.drill.svg import STATES
from hotspare.outcome import Kind

_LEVELS = " ▁▂▃▄▅▆▇█"
_COLUMNS, _SLOT = 48, 0.25

Tell = Callable[[Result], None]


def console() -> Console:
    """Where a drill prints; wide enough for its tables where nobody says how wide it is."""
    found = Console()
    return found if found.is_terminal else Console(width=132)


@contextmanager
def watch(live: bool) -> Generator[Tell]:
    """What a running drill is told to: a moving picture at a terminal, a line a phase elsewhere, or nothing."""
    out = console()
    if not live:
        yield lambda result: None
    elif not out.is_terminal:
        lines = _Lines(out)
        yield lines
        lines.close()
    else:
        with Live(console=out, transient=True, auto_refresh=False) as screen:
            yield lambda result: screen.update(moving(result), refresh=True)


class _Lines:
    """Tells each phase in one line when it is over."""

    def __init__(self, out: Console) -> None:
        self._out, self._told = out, 0
        self._last: Result | None = None

    def __call__(self, result: Result) -> None:
        self._last = result
        self._tell(result, len(result.starts) - 1)

    def _tell(self, result: Result, until: int) -> None:
        wide = max(len(phase.name) for phase in result.phases)
        for index in range(self._told, until):
            calls = [call for call in result.calls if call.phase == index]
            right, ended = sum(call.right for call in calls), sum(call.ended for call in calls)
            words = (
                f"{len(calls):,} calls: {right:,} answered, {ended - right:,} lost, {len(calls) - ended:,} under way"
            )
            self._out.print(f"[dim]{result.name}[/]  {result.phases[index].name:<{wide}} {words}", highlight=False)
        self._told = max(self._told, until)

    def close(self) -> None:
        """Tell the last phase."""
        if self._last is not None:
            self._tell(self._last, len(self._last.starts))


def moving(result: Result) -> RenderableType:
    """The moment: the phase, the callers, and each target's state with its last traffic."""
    now = result.states[-1][0]
    index = len(result.starts) - 1
    phase, begun = result.phases[index], result.starts[index]
    done = min(1.0, (now - begun) / phase.seconds)
    whole = sum(one.seconds for one in result.phases)
    head = Table.grid(padding=(0, 1))
    colour = {"outage": "red", "blackout": "red", "fault": "red", "surge": "blue"}.get(phase.role, "green")
    head.add_row(
        Text(result.name, style="bold"), ProgressBar(total=whole, completed=now, width=36),
        Text(f"{phase.name}  {done * phase.seconds:.0f} of {phase.seconds:.0f} s", style=f"bold {colour}"),
    )  # fmt: skip
    ended = [call for call in result.calls if call.ended]
    right = sum(call.right for call in ended)
    times = [call.seconds for call in ended[-200:] if call.right]
    told = Text.assemble(
        (f"{right:,} answered", "green"), "  ", (f"{len(ended) - right:,} lost", "red" if right < len(ended) else "dim"), "  ",
        (f"{len(result.calls) - len(ended):,} under way", "yellow"), f"  p50 of the last {seconds(quantile(times, 0.5))}",
    )  # fmt: skip
    return Group(head, told, _lanes(result, now))


def _lanes(result: Result, now: float) -> RenderableType:
    lanes = Table.grid(padding=(0, 2))
    since = now - _COLUMNS * _SLOT
    recent = [one for one in result.tried if one.ended >= since and (one.failed or one.kind is Kind.OK)]
    sick = result.phases[len(result.starts) - 1].sick
    for name, state in result.states[-1][1].items():
        answered, failed = Counter[int](), Counter[int]()
        for one in recent:
            if one.target == name:
                (failed if one.failed else answered)[int((one.ended - since) / _SLOT)] += 1
        bars = Text()
        most = max([8, *answered.values(), *failed.values()])
        for slot in range(_COLUMNS):
            count = answered[slot] or failed[slot]
            level = 0 if not count else max(1, round(8 * count / most))
            bars.append(_LEVELS[level], style=STATES["open"] if failed[slot] else "#5b7db8")
        lanes.add_row(
            Text(name), Text(f"{state:<10}", style=STATES[state]), bars, Text(sick.get(name, ""), style="red")
        )
    return lanes


def _table(title: str) -> Table:
    """Narrow: a table of phases has a dozen columns."""
    return Table(
        title=f"\n{title}", title_justify="left", title_style="bold", box=SIMPLE, pad_edge=False, collapse_padding=True
    )


def tables(results: Sequence[Result]) -> None:
    """Print the phases of each client, all clients side by side, and what was lost."""
    out = console()
    for result in results:
        phases = _table(f"Phase by phase: {result.name}")
        for place, head in enumerate(phase_heads(result.scenario)):
            phases.add_column(head, justify="right" if place else "left", no_wrap=True)
        for row in phase_cells(result):
            phases.add_row(*row)
        out.print(phases)
    side = _table("Side by side" if len(results) > 1 else "The whole drill")
    side.add_column("")
    for result in results:
        side.add_column(result.name, justify="right")
    for row in side_by_side(results):
        side.add_row(*row)
    out.print(side)
    for result in results:
        right = sum(call.right for call in result.calls)
        words = f"{right:,} of {len(result.calls):,} calls answered word for word within the deadline."
        out.print(f"[bold]{result.name}:[/] {words}", highlight=False)
        for error in list(dict.fromkeys(call.error for call in result.calls if call.error))[:3]:
            out.print(f"  lost: {error}", markup=False, style="dim")
