"""A live view of running applications: the content of the screen, and the actions of keys. No terminal I/O."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from hotspare.ledger.recent import Recent

_COLOURS = {"closed": "green", "recovering": "yellow", "half-open": "yellow", "open": "red"}
_WORDS = re.compile(r"(?<=[a-z])(?=[A-Z])")
_KEYS = "↑↓ or jk: select   d: drain   e: enable   q: quit"

Query = Callable[..., Any]
"""Sends a command with its values to one application, and returns the answer."""


@dataclass(slots=True)
class View:
    """The state of the screen. `applications`: for each name, the function that queries the application. `rows`: (application, target).
    `heads`: a line about each application. `message`: the answer to the latest key."""

    applications: Mapping[str, Query]
    selected: int = 0
    message: str = ""
    is_over: bool = False
    rows: list[tuple[str, dict[str, Any]]] = field(default_factory=list[tuple[str, dict[str, Any]]])
    heads: dict[str, str] = field(default_factory=dict[str, str])

    def refresh(self) -> None:
        """Query the health of every application. If a query fails, its error is shown as the application's head."""
        self.rows, self.heads = [], {}
        for name, ask in self.applications.items():
            try:
                health = ask("health")
            except Exception as error:  # e.g. the application has ended, or is restarting
                self.heads[name] = str(error)
                continue
            self.rows += [(name, row) for row in health["targets"]]
            out = [f"{one['level']} {one['domain']}" for one in health["domains"] if one["available_in"] > 0]
            self.heads[name] = health.get(
                "head"
            ) or f"{health['in_flight']} attempts in flight, {health['waiting']} calls wait" + (
                f", out: {', '.join(out)}" if out else ""
            )
        self.selected = max(0, min(self.selected, len(self.rows) - 1))

    def press(self, keys: str) -> None:
        """Execute the keys one after the other; several may have been pressed since the last refresh."""
        for key in re.findall(r"\x1b\[.|.", keys, re.S):
            self._press(key)

    def _press(self, key: str) -> None:
        if key in ("q", "\x03"):
            self.is_over = True
        elif key in ("j", "\x1b[B"):
            self.selected = min(self.selected + 1, max(0, len(self.rows) - 1))
        elif key in ("k", "\x1b[A"):
            self.selected = max(self.selected - 1, 0)
        elif key in ("d", "e") and self.rows:
            name, row = self.rows[self.selected]
            try:  # a short timeout, so that the screen does not wait until streams have ended
                answer = (
                    self.applications[name]("drain", target=row["target"], timeout=0.1)
                    if key == "d"
                    else self.applications[name]("enable", target=row["target"])
                )
                self.message = str(answer["done"])
            except Exception as error:
                self.message = str(error)

    def draw(self, recent: Recent | None, *, keys: bool = True) -> Group:
        """The screen. `recent`: data from the ledger (None: no ledger). `keys`: whether keys are read, and therefore listed."""
        table = Table(box=None, header_style="bold", expand=True)
        table.add_column("", width=1)
        if len(self.applications) > 1:
            table.add_column("application", overflow="fold")
        table.add_column("target", overflow="fold", max_width=32)
        table.add_column("state", ratio=2)
        for name in ("a minute", "failed", "p50 / p95"):
            table.add_column(name, no_wrap=True, justify="right")
        if any(row["limits_left"] for _, row in self.rows):
            table.add_column("limits left", ratio=1)
        for place, (name, row) in enumerate(self.rows):
            application = [Text(_clean(name))] if len(self.applications) > 1 else []
            table.add_row(
                *(Text("›" if place == self.selected else ""), *application, *_cells(row, recent)),
                style="reverse" if place == self.selected else "",
            )
        below = [Text(_clean(self.message), style="yellow"), Text(_KEYS, style="dim")] if keys else []
        heads = [Text(_clean(f"{name}: {head}"), style="dim") for name, head in self.heads.items()]
        return Group(*heads, table, *_recent(recent), *below)


def _cells(row: Mapping[str, Any], recent: Recent | None) -> Sequence[Text]:
    state, style = str(row["state"]), _COLOURS.get(str(row["state"]), "")
    if row["disabled"]:
        state, style = f"disabled: {row['disabled']}", "red"
    elif row["rate_limited_for"]:
        state, style = f"rate-limited, {row['rate_limited_for']:.0f} s", "yellow"
    elif row["available_in"]:
        state += f", {row['available_in']:.0f} s: {row['reason']}"
    attempts, failures = (
        recent.traffic.get(row["target"], (0, 0)) if recent is not None else (row["calls"], row["failures"])
    )
    times = [row["completion_p50"], row["completion_p95"]]
    speeds = "-" if None in times else " / ".join(f"{one:.2f}" for one in times) + " s"
    limits = ", ".join(f"{left:.0f} {name}" for name, left in row["limits_left"].items())
    return [
        Text(_clean(str(row["target"]))), Text(_clean(state), style=style), Text(str(attempts)),
        Text(str(failures), style="red" if failures else ""), Text(speeds), *([Text(_clean(limits))] if limits else []),
    ]  # fmt: skip


def _recent(recent: Recent | None) -> list[Text]:
    if recent is None:
        return [Text("no ledger: the traffic columns show each breaker's recent window", style="dim")]
    lines = [
        Text(
            f"\nlast minute: {recent.calls} call{'' if recent.calls == 1 else 's'}, {recent.rescued} rescued, {recent.lost} lost; last hour: ${recent.spent:.2f}"
        )
    ]
    lines += [
        Text(
            _clean(f"{datetime.fromtimestamp(at, UTC):%H:%M:%S}  {_WORDS.sub(' ', name).lower()}: {words}"), style="dim"
        )
        for at, name, words in recent.events
    ]
    return lines


def _clean(text: str) -> str:
    """The text without control characters, so that a provider's message cannot change the terminal."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)
