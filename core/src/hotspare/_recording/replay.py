"""Replays a recording from its own inputs, and compares it line by line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hotspare._recording.file import RecordingFile
from hotspare._recording.lines import text_of
from hotspare._recording.replayer import Replayer

Progress = Callable[[int], object]
"""Called with the number of bytes read since the previous call."""
EVERY = 256
"""Lines between two progress reports."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A line that the replay wrote differently: its number, its call, and both versions."""

    line: int
    call: str | None
    recorded: str
    replayed: str


@dataclass(slots=True)
class Replay:
    """The result of a replay. `first`: the first line that differs, where the replay ends. `seconds`: from the first line to the
    last, on the pool's clock."""

    lines: int = 0
    calls: int = 0
    decisions: int = 0
    seconds: float = 0.0
    is_cut: bool = False
    is_full: bool = False
    is_reloaded: bool = False
    first: Difference | None = None


def replay(path: Path, progress: Progress | None = None) -> Replay:
    """Replay a recording, and compare each line with the one written again, byte for byte, until one differs.

    Raises RecordingError for a file that cannot be read or replayed.
    """
    file, found = RecordingFile(path), Replay()
    replayer, unreported, started = Replayer(file.header), 0, file.header["at"]
    for number, size, line, text in file.lines():
        replayer.replay(line, number)
        again = text_of(replayer.written.pop())
        found.lines += 1
        found.calls += line["do"] == "call"
        found.decisions += line["do"] == "next"
        found.seconds = line.get("at", started) - started
        if again != text:
            found.first = Difference(number, line.get("call"), text, again)
            break
        unreported += size
        if progress is not None and not found.lines % EVERY:
            progress(unreported)
            unreported = 0
    found.is_cut, found.is_full, found.is_reloaded = file.is_cut, file.is_full, file.is_reloaded
    return found
