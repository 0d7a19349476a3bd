"""Shared by `replay` and `explain`: the argument, the progress of a long file, and a policy with changed settings."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from hotspare import Policy
from hotspare._config.loader import load
from hotspare._recording.file import RecordingFile
from hotspare._recording.lines import policy_from
from hotspare.errors import ConfigError, Problem

FileArgument = Annotated[Path, typer.Argument(help="A file that a pool wrote with Pool(record=…).")]


@contextmanager
def progress_of(path: Path, *, shown: bool) -> Generator[Callable[[int], object]]:
    """A progress bar on stderr while a file is replayed, only on a terminal. Yields a function to call with the number of bytes read."""
    console = Console(stderr=True)
    size = path.stat().st_size if path.is_file() else 0
    columns = (TextColumn("replaying the recording"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not (shown and console.is_terminal)) as bar:
        task = bar.add_task("", total=size)
        yield lambda count: bar.advance(task, count)


UNUSED = "http://unused.invalid"
"""Placeholder for environment variables that are not set, if no request is sent: valid as a key and as an address."""


def changed_policy(path: Path, config: Path | None, settings: Sequence[str]) -> Policy:
    """The policy of a configuration file, or else the recording's, with changed settings: ``name=value``, ``breaker.name=value``.

    Raises ConfigError, RecordingError.
    """
    recorded = RecordingFile(path).header["policy"]
    if config is not None:
        from hotspare._recording.lines import policy_line

        recorded = policy_line(load(config, placeholder=UNUSED).policy)
    table = dict(recorded)
    for setting in settings:
        name, equals, value = setting.partition("=")
        group, _, field = name.strip().rpartition(".")
        if not equals or not field:
            raise ConfigError(
                Problem.at("--set", setting, "must be name=value, e.g. max_attempts=3 or breaker.failure_ratio=0.4")
            )
        if not group:
            table[field] = _value(value)
        elif isinstance(table.get(group), Mapping) or group == "hedge":
            table[group] = {**(table.get(group) or {}), field: _value(value)}
        else:
            raise ConfigError(
                Problem.at("--set", setting, "names no group of settings: use breaker, timeouts, retry_budget or hedge")
            )
    return policy_from(table)


def _value(text: str) -> Any:
    """A TOML value; ``none`` is None; anything else is a string."""
    if text.strip().lower() in ("none", "null"):
        return None
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text.strip()
