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

WIDTH = 150
"""Columns of the table where the output is no terminal."""


class Report:
    """Rows of the table, the worst figures of all seeds each. `missed`: rows of hotspare in which a threshold does not hold."""

    def __init__(self, *, clients: bool = False) -> None:
        self.missed = 0
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
        load = f"{worst.achieved:.1f} of {worst.offered:.1f}"
        if worst.achieved < MIN_ACHIEVED * worst.offered:
            self._short.append(f"{storm.name}, {client}: {load} calls/s")
        cells = [
            _cell(f"{100 * worst.share:.2f} ≥ {100 * bounds.right:.1f}", missed="right" in missed),
            _cell(f"{worst.wrong}", missed="wrong" in missed),
            _cell(f"{worst.requests:.3f} ≤ {bounds.requests:.3f}", missed="requests" in missed),
            _cell(f"{worst.p50:.2f}"),
            _cell(_bounded(worst.p99, bounds.p99), missed="p99" in missed),
            _cell(_bounded(worst.back, bounds.back), missed="back" in missed),
        ]
        late = [_cell(f"{worst.late:.2f}"), _cell(load)] if self._clients else []
        verdict = Text("missed", "bold red") if missed else Text("pass", "green")
        names = (storm.name, client) if self._clients else (storm.name,)
        self._table.add_row(*names, *cells, *late, verdict)
        self.missed += bool(missed) and client == "hotspare"
        if storm.because:
            self._notes[storm.name] = f"{storm.name}: {storm.unavoidable:.3f} calls more are allowed: {storm.because}"

    def print(self) -> None:
        """Print the table, why some storms may take more calls than others, and where the planned load was not achieved."""
        console = Console()
        console = console if console.is_terminal else Console(width=WIDTH)
        console.print(self._table)
        for note in self._notes.values():
            console.print(note, style="dim", highlight=False)
        for short in self._short:
            console.print(f"the load was not achieved: {short}", highlight=False)
        console.print(f"{self.missed} of {self._table.row_count} missed" if self.missed else "every threshold holds")


def _bounded(value: float | None, bound: float | None) -> str:
    shown = "-" if value is None else f"{value:.2f}"
    return shown if bound is None else f"{shown} ≤ {bound:.2f}"


def _cell(text: str, *, missed: bool = False) -> Text:
    return Text(text, "bold red" if missed else "")
