"""`hotspare replay`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from hotspare._cli.options import JsonOption
from hotspare._cli.recordings import FileArgument, changed_policy, progress_of
from hotspare._recording.changes import Change, Changes, changes
from hotspare._recording.explanation import describe_decision
from hotspare._recording.replay import Replay, replay

HELP = """Replay a recording: repeat every decision from the recorded inputs, and compare it byte for byte.

With --config or --set: show which decisions would differ under another policy, given everything that was recorded before.

Examples: hotspare replay calls.jsonl; hotspare replay calls.jsonl --set max_attempts=3 --set breaker.break_duration=2
"""


def run(
    file: FileArgument,
    config: Annotated[Path | None, typer.Option("--config", help="Use the policy of this configuration file.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="A setting, name=value or breaker.name=value. May be repeated.")
    ] = None,
    show: Annotated[int, typer.Option(help="Number of changed decisions to show.", min=0)] = 5,
    as_json: JsonOption = False,
) -> None:
    """See `HELP`. Exit code 1 if the recording is not reproduced."""
    if config is not None or settings:
        policy = changed_policy(file, config, settings or ())
        with progress_of(file, shown=not as_json) as progress:
            changed = changes(file, policy, progress)
        _print(_changes_as_dict(changed, show) if as_json else _changes_text(changed, show))
        return
    with progress_of(file, shown=not as_json) as progress:
        found = replay(file, progress)
    _print(asdict(found) if as_json else _replay_text(found))
    raise typer.Exit(0 if found.first is None else 1)


def _print(shown: object) -> None:
    if isinstance(shown, str):
        Console(soft_wrap=True).print(shown, markup=False, highlight=False)
    else:
        print(json.dumps(shown, ensure_ascii=False))


def _replay_text(found: Replay) -> str:
    lines = [
        f"{found.calls:,} calls, {found.decisions:,} decisions, {found.lines:,} lines, {found.seconds:,.1f} s of the pool's clock"
    ]
    first = found.first
    if first is None:
        lines.append("every line is reproduced byte for byte")
    else:
        lines += [
            f"not reproduced: line {first.line}" + (f" of {first.call}" if first.call else "") + " differs",
            f"  recorded: {first.recorded}",
            f"  replayed: {first.replayed}",
        ]
    return "\n".join([*lines, *_end(found)])


def _end(found: Replay | Changes) -> list[str]:
    ends: list[str] = []
    if found.is_cut:
        ends.append("the file ends in the middle of a line, as after a crash: it was replayed up to there")
    if found.is_full:
        ends.append("the file had reached Recorder.max_bytes: later calls are not in it")
    if found.is_reloaded:
        ends.append("the pool's configuration was reloaded: later calls are not in the file")
    return ends


def _changes_text(found: Changes, show: int) -> str:
    calls = len({one.call for one in found.other_decisions})
    lines = [
        f"{found.calls:,} calls, {found.decisions:,} decisions",
        f"other decisions: {len(found.other_decisions):,}, in {calls:,} calls",
        f"the same decisions with other times: {len(found.other_times):,}",
        f"circuit breakers open {found.opened['changed']:,} times; in the recording, {found.opened['recorded']:,} times",
    ]
    lines += [_in_words(one) for one in _first(found, show)]
    return "\n".join([*lines, *_end(found)])


def _first(found: Changes, show: int) -> list[Change]:
    return (found.other_decisions or found.other_times)[:show]


def _in_words(change: Change) -> str:
    head = f"line {change.line}, {change.call}, at {change.at:.3f} s"
    return f"{head}\n  recorded: {describe_decision(change.recorded)}\n  changed:  {describe_decision(change.changed)}"


def _changes_as_dict(found: Changes, show: int) -> dict[str, object]:
    return {
        "calls": found.calls, "decisions": found.decisions, "other_decisions": len(found.other_decisions),
        "other_times": len(found.other_times), "opened": dict(found.opened), "first": [asdict(one) for one in _first(found, show)],
        "is_cut": found.is_cut, "is_full": found.is_full, "is_reloaded": found.is_reloaded,
    }  # fmt: skip
