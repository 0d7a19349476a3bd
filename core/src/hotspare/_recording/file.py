"""The file of a recording: JSON Lines, appended immediately, bounded in size; and its reader."""

from __future__ import annotations

import json
import logging
import os
import threading
import weakref
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from hotspare._recording.lines import VERSION, JsonLine, text_of
from hotspare.errors import ConfigError, Problem, RecordingError

log = logging.getLogger("hotspare")
_LAST_LINE_BYTES = 64
"""Bytes reserved for the last line, which says that the file is full."""


class FileSink:
    """Appends lines to a file, each as soon as it is complete: a process that is killed loses at most the line that it was
    writing. One thread at a time writes, and no thread waits for another. A failed write, or reaching `max_bytes`, ends the
    recording but not the call. Raises ConfigError if the file cannot be created."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._path, self._left = path, max_bytes - _LAST_LINE_BYTES
        self._pending: deque[bytes] = deque()
        self._writing = threading.Lock()
        self._is_open = True
        try:
            if path.exists() and path.stat().st_size:
                path.replace(path.with_name(f"{path.name}.1"))
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        except OSError as error:
            hint = f"cannot be written ({error.strerror}): name a file in a folder that exists"
            raise ConfigError(Problem.at("record", str(path), hint)) from None
        self._close = weakref.finalize(self, os.close, self._file)

    def add(self, line: JsonLine) -> None:
        """Queue a line. The first line that exceeds `max_bytes` is replaced by one that says that the file is full."""
        if not self._is_open:
            return
        written = (text_of(line) + "\n").encode("utf-8", "surrogatepass")
        self._left -= len(written)
        if self._left < 0:
            self._is_open = False
            written = b'{"do":"full"}\n'
        self._pending.append(written)

    def flush(self) -> None:
        """Write the queued lines. Checks the queue again after each release: another thread may have queued a line while the lock was held."""
        while self._pending and self._writing.acquire(blocking=False):
            try:
                while self._pending:
                    self._write(self._pending.popleft())
            except OSError as error:
                self._is_open = False
                self._pending.clear()
                log.warning("the recording %s ends here: %s", self._path, error.strerror)
            finally:
                self._writing.release()

    def _write(self, data: bytes) -> None:
        while data and self._close.alive:
            data = data[os.write(self._file, data) :]

    def end(self) -> None:
        """Accept no further lines."""
        self._is_open = False

    def close(self) -> None:
        """End the recording."""
        self.end()
        self.flush()
        with self._writing:
            self._close()

    def after_fork(self) -> None:
        """Stop recording in this child process: the file belongs to the parent."""
        self._writing = threading.Lock()
        self._pending.clear()
        if self._is_open:
            self._is_open = False
            log.warning("the recording %s continues in the parent process only", self._path)


class RecordingFile:
    """Reads a recording. `header`: its first line. `is_cut`: it ends in the middle of a line; `is_full`: it ended at `max_bytes`;
    `is_reloaded`: it ended when the pool's configuration was reloaded. The three are known after `lines` has reached the end.

    Raises RecordingError for a file that cannot be read, that is not a recording, or that has another format version.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.is_cut = self.is_full = self.is_reloaded = False
        try:
            self.size = path.stat().st_size
            with path.open("rb") as file:
                self.header = self._checked(file.readline())
        except OSError as error:
            raise RecordingError(Problem.at("recording", str(path), f"cannot be read: {error.strerror}")) from None

    def _checked(self, first: bytes) -> JsonLine:
        header = _parsed(first)
        if header is None or header.get("recording") != "hotspare":
            hint = "is not a recording of hotspare: name a file written by Pool(record=…)"
            raise RecordingError(Problem.at("recording", str(self._path), hint))
        version = header.get("version")
        if version != VERSION:
            hint = f"has format {version!r}, and this hotspare reads format {VERSION}: use the release that wrote it"
            raise RecordingError(Problem.at("recording", str(self._path), f"{hint} ({header.get('hotspare')})"))
        return header

    def lines(self) -> Iterator[tuple[int, int, JsonLine, str]]:
        """Number, size in bytes, content and text of every line but the first. Raises RecordingError for a line that is not a JSON object."""
        with self._path.open("rb") as file:
            file.readline()
            for number, raw in enumerate(file, 2):
                line = _parsed(raw)
                if not raw.endswith(b"\n") or line is None:
                    if next(file, b""):
                        raise RecordingError(f"{self._path}: line {number} is damaged: it is not a JSON object")
                    self.is_cut = True
                    return
                if line.get("do") in ("full", "reload"):
                    self.is_full, self.is_reloaded = line["do"] == "full", line["do"] == "reload"
                    return
                yield number, len(raw), line, raw.decode("utf-8", "surrogatepass").rstrip("\n")


def _parsed(raw: bytes) -> JsonLine | None:
    try:
        found = json.loads(raw.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError):
        return None
    return cast("JsonLine", found) if isinstance(found, dict) else None
