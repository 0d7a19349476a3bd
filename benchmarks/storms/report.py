"""The table of storms: each figure beside its threshold, and whether all of them hold."""

from __future__ import annotations

from collections.abc import Sequence

from hotspare.drill.metrics import MIN_ACHIEVED
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.storms.scenarios import Storm
from benchmarks.storms.thresholds import Result, Thresholds

WIDTH = 160
"""Columns of the table if the output is not a terminal."""
MOST_LATE = 1.0
"""Seconds. If a call was started later than this after its scheduled time, the client or the machine was too slow, and the row is not
judged."""


class Report:
    """The table, with the worst figures of all seeds in each row.

    Of hotspare's `rows`, `missed` counts those that miss a threshold, and `unjudged` those whose load fell behind its script.
    """

    def __init__(self, *, clients: bool = False) -> None:
        self.rows = self.missed = self.unjudged = 0
        self._notes: dict[str, str] = {}
        self._short: list[str] = []
        self._clients = clients
        self._table = Table(box=SIMPLE_HEAD)
        self._table.add_column("storm", no_wrap=True)
        if clients:
            self._table.add_column("client", no_wrap=True)
        for name in (
            "right %",
            "wrong",
            "calls a call",
            "p50 s",
            "p99 s",
            "back s",
            *(("late s", "load /s") if clients else ()),
            "",
        ):
            self._table.add_column(name, justify="right", no_wrap=True)

    def add(self, storm: Storm, client: str, found: Sequence[Result], bounds: Thresholds) -> None:
        """One row."""
        worst = Result.worst(found)
        missed = {name for one in found for name in bounds.missed(one)}
        short = worst.late > MOST_LATE or worst.achieved < MIN_ACHIEVED * worst.offered
        if short:
            self._short.append(f"{storm.name}, {client}: {load(worst)}")
        cells = [
            _cell(f"{100 * worst.share:.2f} ≥ {100 * bounds.right:.1f}", missed="right" in missed),
            _cell(f"{worst.wrong}", missed="wrong" in missed),
            _cell(f"{worst.requests:.3f} ≤ {bounds.requests:.3f}", missed="requests" in missed),
            _cell(f"{worst.p50:.2f}"),
            _cell(_bounded(worst.p99, bounds.p99), missed="p99" in missed),
            _cell(_bounded(worst.back, bounds.back), missed="back" in missed),
        ]
        late = (
            [_cell(f"{worst.late:.2f}"), _cell(f"{worst.achieved:.1f} of {worst.offered:.1f}")] if self._clients else []
        )
        verdict = Text("load", "yellow") if short else Text("missed", "bold red") if missed else Text("pass", "green")
        names = (storm.name, client) if self._clients else (storm.name,)
        self._table.add_row(*names, *cells, *late, verdict)
        if client == "hotspare":
            self.rows += 1
            self.unjudged += short
            self.missed += bool(missed) and not short
        if storm.because:
            self._notes[storm.name] = f"{storm.name}: {storm.unavoidable:.3f} calls more are allowed: {storm.because}"

    @property
    def failed(self) -> bool:
        """Whether a threshold was missed, or a row could not be judged."""
        return self.missed + self.unjudged > 0

    def print(self) -> None:
        """Print the table, the reasons for storms with more allowed calls, and the rows whose load fell behind its script."""
        console = Console()
        console = console if console.is_terminal else Console(width=WIDTH)
        console.print(self._table)
        for note in self._notes.values():
            console.print(note, style="dim", highlight=False)
        for short in self._short:
            console.print(f"the load fell behind: {short}", highlight=False)
        if self.unjudged:
            console.print(f"{self.unjudged} of {self.rows} not judged: their load fell behind")
        if self.missed:
            console.print(f"{self.missed} of {self.rows} missed")
        if self.rows and not self.failed:
            console.print("every threshold holds")


def load(result: Result) -> str:
    """The load of a storm on the wire as text: achieved and offered, and the largest delay of a call's start."""
    return f"{result.achieved:.1f} of {result.offered:.1f} calls/s, begun up to {result.late:.2f} s late"


def _bounded(value: float | None, bound: float | None) -> str:
    shown = "-" if value is None else f"{value:.2f}"
    return shown if bound is None else f"{shown} ≤ {bound:.2f}"


def _cell(text: str, *, missed: bool = False) -> Text:
    return Text(text, "bold red" if missed else "")
