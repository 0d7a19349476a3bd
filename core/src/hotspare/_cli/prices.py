"""`hotspare prices`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime

from rich.text import Text

from hotspare._cli.options import ConfigArgument, JsonOption, config_file
from hotspare._cli.tables import console, table
from hotspare._config.loader import load
from hotspare._cost import dataset
from hotspare.errors import MissingExtra
from hotspare.target import Price, Target

HELP = """Show the prices of a configuration's targets, and their source.

Prices in the configuration come first, then those of genai-prices (pip install 'hotspare[prices]'), which a pool uses with
prices = true. USD per million tokens. No network is used.
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One target. `source`: configuration, the entry of the data set, or unknown."""

    target: str
    price: Price | None
    context_window: int | None
    source: str


def run(config: ConfigArgument = None, as_json: JsonOption = False) -> None:
    """See `HELP`."""
    now = datetime.now(UTC)
    rows = [_row(target, now) for target in load(config_file(config)).targets]
    try:
        found = dataset.edition(now)
        edition = f"genai-prices {found.version}, newest dated price {found.newest}{_age(found.newest, now)}"
    except MissingExtra as missing:
        edition = str(missing)
    if as_json:
        print(json.dumps({"dataset": edition, "targets": [_as_dict(row) for row in rows]}))
        return
    shown = table("target", title="USD per million tokens", title_justify="left", title_style="", box=None)
    for name in ("input / output", "cached / written", "window", "source"):
        shown.add_column(name, overflow="fold", no_wrap="/" in name)
    for row in rows:
        shown.add_row(Text(row.target), *_cells(row), row.source)
    out = console()
    out.print(shown)
    out.print(edition, markup=False, highlight=False)


def _age(newest: date | None, now: datetime) -> str:
    return "" if newest is None else f", {(now.date() - newest).days} days old"


def _row(target: Target, now: datetime) -> Row:
    try:
        known = dataset.look_up(target, now)
    except MissingExtra:
        known = None
    window = target.context_window or (known.context_window if known else None)
    if target.price is not None:
        return Row(target.name, target.price, window, "configuration")
    if known is None or known.price is None:
        return Row(target.name, None, window, "unknown")
    return Row(target.name, known.price, window, known.model)


def _cells(row: Row) -> list[str]:
    """The table's cells for a row. Prices of long prompts are on a second line."""
    price, window = row.price, "-" if row.context_window is None else f"{row.context_window:,}"
    if price is None:
        return ["?", "?", window]
    cells = [f"{_usd(price.input)} / {_usd(price.output)}", f"{_usd(price.cached)} / {_usd(price.cache_write)}", window]
    if price.long is not None:
        long = price.of_prompt(price.long.above + 1)
        cells[0] += f"\n{_usd(long.input)} / {_usd(long.output)}"
        cells[1] += f"\n{_usd(long.cached)} / {_usd(long.cache_write)}"
        cells[2] += f"\nabove {price.long.above:,}"
    return cells


def _usd(amount: float | None) -> str:
    return "-" if amount is None else f"{amount:.10g}"


def _as_dict(row: Row) -> Mapping[str, object]:
    price = None
    if row.price is not None:
        price = row.price._asdict() | {"long": row.price.long and row.price.long._asdict()}
    return asdict(row) | {"price": price}
