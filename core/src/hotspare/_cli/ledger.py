"""`hotspare ledger`."""

from __future__ import annotations

import json
import sqlite3
import sys
from contextlib import closing
from typing import Annotated

import typer
from rich.text import Text

from hotspare._cli.options import JsonOption, LedgerOption, SinceOption, ledger_file, since_time
from hotspare._cli.output import printable
from hotspare._cli.tables import console, table
from hotspare.errors import ConfigError, Problem, did_you_mean
from hotspare.ledger import queries
from hotspare.ledger.schema import open_to_read

HELP = """Query the ledger: every attempt and call that a process recorded.

Queries: failures (the latest), calls (the latest), attempts by target, hour, kind or reason, export (CSV to stdout).
Times are UTC. Example: hotspare ledger failures --since 1h
"""
_QUERIES = ("failures", "calls", *queries.GROUPS)


def _rows(query: str, ledger: sqlite3.Connection, limit: int, since: float) -> list[sqlite3.Row]:
    if query == "failures":
        return queries.last_failures(ledger, limit, since)
    return queries.last_calls(ledger, limit, since) if query == "calls" else queries.attempts_by(ledger, query, since)


def run(
    query: Annotated[str, typer.Argument(help=f"{', '.join(_QUERIES)} or export.")] = "failures",
    ledger: LedgerOption = None,
    since: SinceOption = "",
    limit: Annotated[int, typer.Option(help="Rows of failures and calls.", min=1)] = 20,
    export: Annotated[str, typer.Option("--table", help=f"Table to export: {', '.join(queries.TABLES)}.")] = "calls",
    as_json: JsonOption = False,
) -> None:
    """See `HELP`."""
    _check("query", query, (*_QUERIES, "export"))
    _check("--table", export, queries.TABLES)
    path, start = ledger_file(ledger), since_time(since)
    with closing(open_to_read(path)) as connection:
        if query == "export":
            queries.export_csv(connection, export, sys.stdout, start)
            return
        rows = _rows(query, connection, limit, start)
    if as_json:
        print(json.dumps([dict(row) for row in rows], ensure_ascii=False))
        return
    shown = table(*queries.columns(rows), box=None, header_style="bold", pad_edge=False, padding=(0, 1))
    for row in rows:
        shown.add_row(*(Text("" if value is None else printable(str(value))) for value in row))
    console().print(shown if rows else "no records")


def _check(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        hint = did_you_mean(value, known, f"use one of {', '.join(known)}")
        raise ConfigError(Problem.at(name, value, f"is unknown; {hint}"))
