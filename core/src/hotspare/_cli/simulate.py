"""`hotspare simulate`."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from hotspare._cli.options import ConfigOption, JsonOption, SinceOption, config_file, ledger_file, since_time
from hotspare._cli.recordings import UNUSED
from hotspare._cli.tables import console, table
from hotspare._config.loader import Config, load
from hotspare._simulation.figures import Figures
from hotspare._simulation.from_ledger import traffic_of
from hotspare._simulation.from_load import read_load
from hotspare._simulation.simulator import simulate
from hotspare._simulation.traffic import Traffic
from hotspare.errors import ConfigError, Problem
from hotspare.ledger.schema import open_to_read

HELP = """Replay traffic in virtual time against a configuration, and show what would have changed: targets, cost, latency, refusals.

The traffic comes from a ledger, or from a file that describes it. No call is made and no key is needed. With --against, both
configurations are simulated; without it, the result is compared with the ledger.

Examples: hotspare simulate --config new.toml --ledger ledger.db --since 24h; hotspare simulate --config new.toml --load load.toml --against old.toml
"""
_ROWS = ("calls", "answered", "refused", "failed", "rescued", "attempts", "p50", "p95", "p99", "cost")
_UNITS = {"p50": " s", "p95": " s", "p99": " s", "cost": " USD"}


def run(
    config: ConfigOption = None,
    ledger: Annotated[Path | None, typer.Option("--ledger", help="Replay the calls of this ledger.")] = None,
    load_file: Annotated[
        Path | None, typer.Option("--load", help="Replay the traffic that this TOML file describes.")
    ] = None,
    against: Annotated[Path | None, typer.Option("--against", help="Another configuration to compare with.")] = None,
    since: SinceOption = "",
    most: Annotated[int, typer.Option(help="Replay at most this many of the latest calls.", min=1)] = 20_000,
    seed: Annotated[int, typer.Option(help="Random seed: the same seed gives the same figures.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """See `HELP`."""
    new = load(config_file(config), placeholder=UNUSED)
    old = None if against is None else load(config_file(against), placeholder=UNUSED)
    traffic = _traffic(ledger, load_file, since, most, seed)
    runs = 1 if old is None else 2
    with _progress(runs * len(traffic.arrivals), shown=not as_json) as progress:
        before = traffic.recorded if old is None else simulate(old, traffic, seed=seed, progress=progress)
        after = simulate(new, traffic, seed=seed, progress=progress)
    name = "recorded" if old is None else "before"
    if as_json:
        found: dict[str, Any] = {} if before is None else {name: before.as_dict()}
        print(json.dumps(found | {"simulated": after.as_dict(), "notes": _notes(traffic, new)}, ensure_ascii=False))
        return
    out = console()
    out.print(_table(before, after, name))
    for note in _notes(traffic, new):
        out.print(f"note: {note}", markup=False, highlight=False)


def _traffic(ledger: Path | None, load_file: Path | None, since: str, most: int, seed: int) -> Traffic:
    if ledger is not None and load_file is not None:
        raise ConfigError(Problem("--ledger, --load: give one of them"))
    if load_file is not None:
        return read_load(load_file, seed)
    start = since_time(since)
    with closing(open_to_read(ledger_file(ledger))) as connection:
        return traffic_of(connection, start, most)


def _notes(traffic: Traffic, config: Config) -> list[str]:
    unknown = [] if traffic.known is None else [one.name for one in config.targets if one.name not in traffic.known]
    found = [*traffic.notes]
    if unknown:
        found.append(f"never called in the ledger, assumed to answer like the others: {', '.join(unknown)}")
    return found


@contextmanager
def _progress(calls: int, *, shown: bool) -> Generator[Callable[[int], object]]:
    """A progress bar on stderr, only on a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("simulating"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not (shown and console.is_terminal)) as bar:
        task = bar.add_task("", total=calls)
        yield lambda count: bar.advance(task, count)


def _table(before: Figures | None, after: Figures, name: str) -> Table:
    shown = table("")
    for title in ("simulated",) if before is None else (name, "simulated", "change"):
        shown.add_column(title, justify="right")
    old, new = None if before is None else before.as_dict(), after.as_dict()
    for row in _ROWS:
        shown.add_row(
            *_cells(row, None if old is None else old[row], new[row], _UNITS.get(row, ""), compared=old is not None)
        )
    known: dict[str, int] = {} if old is None else old["answered_by"]
    for target in sorted({*known, *new["answered_by"]}):
        cells = _cells(
            f"by {target}", known.get(target, 0), new["answered_by"].get(target, 0), "", compared=old is not None
        )
        shown.add_row(*cells)
    return shown


def _cells(row: str, old: float | None, new: float | None, unit: str, *, compared: bool) -> list[Text]:
    words = [row]
    if compared:
        words.append(_number(old, unit))
    words.append(_number(new, unit))
    if compared:
        words.append("" if old is None or new is None or old == new else _change(old, new))
    return [Text(word) for word in words]  # a target's name may contain rich's markup


def _number(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.{4 if 'USD' in unit else 2}f}{unit}"


def _change(old: float, new: float) -> str:
    if old:
        return f"{(new - old) / old:+.1%}"
    return f"{new:+,}" if isinstance(new, int) else "new"
