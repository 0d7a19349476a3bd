"""`hotspare explain`."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console

from hotspare._cli.options import JsonOption
from hotspare._cli.output import printable
from hotspare._cli.recordings import FileArgument, progress_of
from hotspare._recording.explanation import explain_call

HELP = """Explain one call of a recording: each decision, its rule, the chosen target, and why others were skipped.

Example: hotspare explain calls.jsonl call-17
"""


def run(
    file: FileArgument,
    call: Annotated[str, typer.Argument(help="The id of the call, as in events: call-17, or 17.")],
    as_json: JsonOption = False,
) -> None:
    """See `HELP`."""
    with progress_of(file, shown=not as_json) as progress:
        lines = explain_call(file, call, progress)
    if as_json:
        print(json.dumps(lines, ensure_ascii=False))
        return
    Console(soft_wrap=True).print(printable("\n".join(lines)), markup=False, highlight=False)
