"""Terminal output of a drill: the progress, and the tables at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager

from rich.box import SIMPLE
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from hotspare.drill.labels import comparison, phase_heads, phase_rows, seconds
from hotspare.drill.metrics import Result, quantile
from hotspare.drill.run import Progress
from hotspare.drill.svg import STATES
from hotspare.outcome import Kind

_LEVELS = " ▁▂▃▄▅▆▇█"
_COLUMNS, _SLOT = 48, 0.25  # bars of a target, and seconds per bar
_ROLES = {"outage": "red", "total_outage": "red", "fault": "red", "surge": "blue"}
_ERRORS_SHOWN = 3


def console() -> Console:
    """The console of a drill. 132 columns wide if the output is not a terminal, so that the tables fit."""
    found = Console()
    return found if found.is_terminal else Console(width=132)


@contextmanager
def watch(live: bool) -> Generator[Progress]:
    """Show the progress: a live view on a terminal, else one line per phase; nothing if `live` is false."""
    out = console()
    if not live:
        yield lambda result: None
    elif not out.is_terminal:
        lines = _PhaseLines(out)
        yield lines
        lines.close()
    else:
        with Live(console=out, transient=True, auto_refresh=False) as screen:
            yield lambda result: screen.update(live_view(result), refresh=True)


class _PhaseLines:
    """Prints each phase in one line when it has ended."""

    def __init__(self, out: Console) -> None:
        self._out, self._printed = out, 0
        self._latest: Result | None = None

    def __call__(self, result: Result) -> None:
        self._latest = result
        self._print(result, len(result.phase_starts) - 1)

    def close(self) -> None:
        """Print the last phase."""
        if self._latest is not None:
            self._print(self._latest, len(self._latest.phase_starts))

    def _print(self, result: Result, until: int) -> None:
        width = max(len(phase.name) for phase in result.phases)
        for index in range(self._printed, until):
            calls = [call for call in result.calls if call.phase == index]
            correct, done = sum(call.correct for call in calls), sum(call.done for call in calls)
            counts = (
                f"{len(calls):,} calls: {correct:,} answered, {done - correct:,} lost, {len(calls) - done:,} running"
            )
            self._out.print(Text.assemble((result.name, "dim"), f"  {result.phases[index].name:<{width}}  {counts}"))
        self._printed = max(self._printed, until)


def live_view(result: Result) -> RenderableType:
    """The current phase, the calls, and the state and the recent attempts of each target."""
    now = result.states[-1][0]
    index = len(result.phase_starts) - 1
    phase, start = result.phases[index], result.phase_starts[index]
    elapsed = min(phase.seconds, now - start)
    head = Table.grid(padding=(0, 1))
    head.add_row(
        Text(result.name, style="bold"),
        ProgressBar(total=sum(one.seconds for one in result.phases), completed=now, width=36),
        Text(f"{phase.name}  {elapsed:.0f} of {phase.seconds:.0f} s", style=f"bold {_ROLES.get(phase.role, 'green')}"),
    )
    done = [call for call in result.calls if call.done]
    correct, recent = sum(call.correct for call in done), [call.seconds for call in done[-200:] if call.correct]
    lost = len(done) - correct
    callers = Text.assemble(
        (f"{correct:,} answered", "green"), "  ", (f"{lost:,} lost", "red" if lost else "dim"), "  ",
        (f"{len(result.calls) - len(done):,} running", "yellow"), f"  recent p50 {seconds(quantile(recent, 0.5))}",
    )  # fmt: skip
    return Group(head, callers, _target_lanes(result, now))


def _target_lanes(result: Result, now: float) -> RenderableType:
    lanes = Table.grid(padding=(0, 2))
    since = now - _COLUMNS * _SLOT
    recent = [one for one in result.attempts if one.ended >= since and (one.failed or one.kind is Kind.OK)]
    faulted = result.phases[len(result.phase_starts) - 1].faulted
    for name, state in result.states[-1][1].items():
        answered, failed = Counter[int](), Counter[int]()
        for one in recent:
            if one.target == name:
                (failed if one.failed else answered)[int((one.ended - since) / _SLOT)] += 1
        bars = Text()
        most = max([8, *answered.values(), *failed.values()])
        for slot in range(_COLUMNS):
            count = answered[slot] or failed[slot]
            level = max(1, round(8 * count / most)) if count else 0
            bars.append(_LEVELS[level], style=STATES["open"] if failed[slot] else "#5b7db8")
        lanes.add_row(
            Text(name), Text(f"{state:<12}", style=STATES[state]), bars, Text(faulted.get(name, ""), style="red")
        )
    return lanes


def _table(title: str) -> Table:
    return Table(
        title=Text(f"\n{title}", style="bold"), title_justify="left", box=SIMPLE, pad_edge=False, collapse_padding=True
    )


def print_tables(results: Sequence[Result]) -> None:
    """Print the phases of each client, the clients side by side, and the errors of lost calls."""
    out = console()
    for result in results:
        phases = _table(f"Phases: {result.name}")
        for place, head in enumerate(phase_heads(result.scenario)):
            phases.add_column(Text(head), justify="right" if place else "left", no_wrap=True)
        for row in phase_rows(result):
            phases.add_row(*map(Text, row))
        out.print(phases)
    table = _table("Comparison" if len(results) > 1 else "Results")
    table.add_column("")
    for result in results:
        table.add_column(Text(result.name), justify="right")
    for row in comparison(results):
        table.add_row(*map(Text, row))
    out.print(table)
    for result in results:
        summary = f"{result.correct_calls:,} of {len(result.calls):,} calls answered exactly, within the deadline."
        out.print(Text.assemble((f"{result.name}:", "bold"), f" {summary}"))
        for shortfall in result.shortfalls():
            out.print(Text(f"  warning: the planned load was not achieved: {shortfall}", style="yellow"))
        for error in list(dict.fromkeys(call.error for call in result.calls if call.error))[:_ERRORS_SHOWN]:
            out.print(f"  lost: {error}", markup=False, style="dim", soft_wrap=True)
