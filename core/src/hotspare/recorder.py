"""Recorder: the file to which a pool writes its decisions, and how many of them."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hotspare.errors import ConfigError, Problem

if TYPE_CHECKING:
    from hotspare._cost.budgets import Budgets
    from hotspare._engine.scheduler import Scheduler
    from hotspare._health.target_state import TargetState
    from hotspare._recording.file import FileSink
    from hotspare.policy import Policy

LEAST_BYTES = 4096
"""The smallest `max_bytes`: a smaller file has no room for a policy and one call."""


class Recorder:
    """Records the decisions of one pool, for `hotspare replay` and `hotspare explain`.

    The file contains times, outcomes and decisions, but no keys and no text of prompts, answers or error messages.
    A write error ends the recording, never a call. A child process does not record into its parent's file.

    Args:
        path: the path of the file. ``{pid}`` in it is replaced by the process id. An existing file is renamed to
            ``<path>.1``, replacing an older one.
        sample: the share of calls whose decisions are written, 0 to 1. The inputs of all calls are written in any case, because
            each can change the health of targets for the next one. Default 1.
        max_bytes: the recording ends when the file has reached this size. Default 64 MiB, some 100,000 calls.

    Raises:
        ConfigError: naming the field, its value and what to write instead.
    """

    def __init__(self, path: str | os.PathLike[str], *, sample: float = 1.0, max_bytes: int = 64 * 1024 * 1024) -> None:
        if not isinstance(path, str | os.PathLike) or not os.fspath(path):  # pyright: ignore[reportUnnecessaryIsInstance] - callers may be untyped
            raise ConfigError(Problem.at("record", path, "must be the path of a file, or a Recorder"))
        numbers: list[tuple[str, Any]] = [("sample", sample), ("max_bytes", max_bytes)]
        for name, value in numbers:
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ConfigError(Problem.at(f"record.{name}", value, "must be a number"))
        if not 0 <= sample <= 1:
            raise ConfigError(Problem.at("record.sample", sample, "must be between 0 and 1: a share of the calls"))
        if not max_bytes >= LEAST_BYTES:
            raise ConfigError(Problem.at("record.max_bytes", max_bytes, f"must be at least {LEAST_BYTES} bytes"))
        self.path = Path(os.fspath(path).replace("{pid}", str(os.getpid())))
        self.sample, self.max_bytes = sample, int(max_bytes)
        self._sink: FileSink | None = None

    def scheduler(
        self,
        states: Sequence[TargetState],
        policy: Policy,
        rng: random.Random,
        clock: Callable[[], float],
        budgets: Budgets | None = None,
    ) -> Scheduler:
        """The scheduler of the pool that is recorded, and the file with its first line. For `Pool`.

        Raises ConfigError if the file cannot be written, or if this recorder already has a pool.
        """
        from hotspare._recording.file import FileSink
        from hotspare._recording.scheduler import RecordingScheduler

        if self._sink is not None:
            raise ConfigError(
                Problem.at("record", str(self.path), "already records another pool: give each pool its own Recorder")
            )
        self._sink = FileSink(self.path, self.max_bytes)
        chosen = random.Random()
        return RecordingScheduler.start_recording(
            states,
            policy,
            rng,
            self._sink,
            lambda _: self._chosen(chosen),
            clock=clock,
            sample=self.sample,
            budgets=budgets,
        )

    def _chosen(self, chosen: random.Random) -> bool:
        return self.sample >= 1 or chosen.random() < self.sample

    def close(self) -> None:
        """End the recording. `Pool.close` does it."""
        if self._sink is not None:
            self._sink.close()

    def __repr__(self) -> str:
        return f"Recorder({str(self.path)!r}, sample={self.sample}, max_bytes={self.max_bytes})"


def recorder_of(given: str | os.PathLike[str] | Recorder | None) -> Recorder | None:
    """What `Pool(record=…)` means. Raises ConfigError."""
    return given if given is None or isinstance(given, Recorder) else Recorder(given)
