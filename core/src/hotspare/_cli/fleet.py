"""The option `--shared` of `status`, `top`, `disable` and `enable`: use the store of a fleet instead of one application."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.text import Text

from hotspare._cli.output import printable
from hotspare._cli.tables import console, table
from hotspare._shared import overview
from hotspare._shared.joining import outer_store_of
from hotspare._shared.overview import FleetStore
from hotspare._shared.store import StoreError
from hotspare.errors import ConfigError, HotspareError, Problem
from hotspare.shared import Shared


def open_fleet(given: str) -> FleetStore:
    """The store at a URL, or that of a configuration file. Raises ConfigError."""
    settings: object = given
    if ":" not in given[:20] or Path(given).exists():
        from hotspare._config.loader import load

        settings = load(Path(given)).shared
        if settings is None:
            raise ConfigError(Problem.at("--shared", given, "has no `shared`, which names the store"))
    if isinstance(settings, str):
        settings = Shared(settings)
    assert isinstance(settings, Shared)
    return outer_store_of(settings)


def ask(store: FleetStore, command: str, **values: Any) -> Any:
    """The commands of `hotspare top` for the whole fleet. `drain` only disables the target, without waiting."""
    target = str(values.get("target", ""))
    with _reached():
        return _run_command(store, command, target, values)


def _run_command(store: FleetStore, command: str, target: str, values: dict[str, Any]) -> Any:
    if command == "health":
        found = overview.overview(store)
        spent = ", ".join(f"{one.name}: ${one.spent:.2f}" for one in found.budgets[:3])
        head: dict[str, Any] = {
            "in_flight": 0,
            "waiting": 0,
            "domains": [],
            "head": f"{_processes(found)}; {spent or 'no budget'}",
        }
        return {"targets": overview.rows(found), **head}
    if command == "enable":
        overview.enable(store, target)
        return {"done": f"{target} is enabled in the whole fleet"}
    overview.disable(store, target, str(values.get("reason") or "by an operator"))
    return {"done": f"{target} is disabled in the whole fleet"}


@contextmanager
def _reached() -> Generator[None]:
    """Turn an error of the store into one that says what to check."""
    try:
        yield
    except StoreError as error:
        raise HotspareError(
            f"the store cannot be used: {str(error).rstrip('.')}. Check that it runs, and that this user may read and write it."
        ) from None


def show(given: str, *, as_json: bool) -> int:
    """Print the fleet's shared state. Returns 1 if a target or an account is unavailable, else 0."""
    with _reached():
        found = overview.overview(open_fleet(given))
    rows = overview.rows(found)
    if as_json:
        budgets = [asdict(one) for one in found.budgets]
        print(json.dumps({"processes": found.processes, "targets": rows, "budgets": budgets}, ensure_ascii=False))
    else:
        _print(found, rows)
    return 1 if any(row["available_in"] != 0 or row["rate_limited_for"] for row in rows) else 0


def _print(found: overview.Overview, rows: list[dict[str, Any]]) -> None:
    out = console()
    out.print(f"{_processes(found)}; targets that are not listed are in use")
    if rows:
        targets = table("target", "state", "for", "since", "probed by")
        for row in rows:
            targets.add_row(*(Text(printable(cell)) for cell in _cells(row)))
        out.print(targets)
    if found.budgets:
        budgets = table("budget", "spent", "reserved", "of")
        for one in found.budgets:
            limit = f"${one.limit:g}" if one.limit else "-"
            budgets.add_row(Text(printable(one.name)), f"${one.spent:.4f}", f"${one.reserved:.4f}", limit)
        out.print(budgets)


def _cells(row: dict[str, Any]) -> list[str]:
    state = f"disabled: {row['disabled']}" if row["disabled"] else str(row["state"])
    if row["rate_limited_for"] and not row["disabled"]:
        state = "rate-limited" if state == "closed" else f"{state}, rate-limited"
    if row["reason"] and not row["disabled"]:
        state += f": {row['reason']}"
    seconds = max(row["available_in"] or 0.0, row["rate_limited_for"])
    since = "-" if row["since"] is None else f"{row['since']:.0f} s"
    return [row["target"], state, f"{seconds:.0f} s" if seconds else "-", since, row["probed_by"] or "-"]


def _processes(found: overview.Overview) -> str:
    return "1 process" if found.processes == 1 else f"{found.processes} processes"
