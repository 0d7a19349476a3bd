"""The decisions of another policy on the inputs of a recording."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from hotspare._recording.file import RecordingFile
from hotspare._recording.lines import JsonLine
from hotspare._recording.replay import EVERY, Progress
from hotspare._recording.replayer import Replayer
from hotspare.policy import Policy

_BOUNDS = ("timeout", "stall", "race_after", "waits", "retry_after")
"""The fields of a decision that are times, in seconds."""
_DECIDED = frozenset(
    {*_BOUNDS, "rule", "takes", "attempt", "reason", "unary", "probe", "continues", "queued", "gives_up", "free"}
)


@dataclass(frozen=True, slots=True)
class Change:
    """A decision that differs under another policy. `at`: seconds on the pool's clock."""

    line: int
    call: str
    at: float
    recorded: JsonLine
    changed: JsonLine


@dataclass(slots=True)
class Changes:
    """The decisions that differ under another policy. `other_times`: those of which only a time differs; `other_decisions`: the rest.
    `opened`: how often breakers opened, by `recorded` and `changed`."""

    calls: int = 0
    decisions: int = 0
    other_decisions: list[Change] = field(default_factory=list[Change])
    other_times: list[Change] = field(default_factory=list[Change])
    opened: Counter[str] = field(default_factory=Counter[str])
    is_cut: bool = False
    is_full: bool = False
    is_reloaded: bool = False

    @property
    def all(self) -> list[Change]:
        """All changes, in the order of the file."""
        return sorted([*self.other_decisions, *self.other_times], key=lambda one: one.line)


def changes(path: Path, policy: Policy, progress: Progress | None = None, *, stop_at: int | None = None) -> Changes:
    """What another policy decides at each point of a recording, given everything recorded before it. `stop_at`: the number of changes
    after which to stop. Default: none.

    After a decision that differs, the call continues as recorded, because the answers of other targets are not known.
    Raises RecordingError for a file that cannot be read or replayed.
    """
    file, found, unreported = RecordingFile(path), Changes(), 0
    pair = _Pair(file.header, policy, found)
    for number, size, line, _ in file.lines():
        pair.replay(line, number)
        unreported += size
        if progress is not None and not number % EVERY:
            progress(unreported)
            unreported = 0
        if stop_at is not None and len(found.other_decisions) + len(found.other_times) >= stop_at:
            break
    found.is_cut, found.is_full, found.is_reloaded = file.is_cut, file.is_full, file.is_reloaded
    return found


class _Pair:
    """Replays a recording twice, line by line: with its own policy, and with another one."""

    def __init__(self, header: JsonLine, policy: Policy, found: Changes) -> None:
        self._recorded = Replayer(header, sampled=lambda _: True)
        self._changed = Replayer(header, policy, sampled=lambda _: True)
        self._found = found

    def replay(self, line: JsonLine, number: int) -> None:
        """Replay one line with both policies; then bring both engines into the recorded state."""
        found, do = self._found, line["do"]
        found.calls += do == "call"
        recorded, call = (one.calls.get(line.get("call", "")) for one in (self._recorded, self._changed))
        most = (0, 0) if recorded is None or call is None else (recorded.max_attempts, call.max_attempts)
        self._recorded.replay(line, number)
        step = self._changed.replay(line, number)
        was, now = self._written(self._recorded, "recorded"), self._written(self._changed, "changed")
        if do not in ("next", "alternative"):
            return
        found.decisions += do == "next"
        if was != now:
            same = _without_bounds(was) == _without_bounds(now)
            change = Change(number, line["call"], line["at"], was, now)
            (found.other_times if same else found.other_decisions).append(change)
            if not same and step is not None:
                assert recorded is not None and call is not None
                self._changed.follow(step, call, recorded, line["at"])
                call.max_attempts = most[1] + recorded.max_attempts - most[0]

    def _written(self, replayer: Replayer, which: str) -> JsonLine:
        """The decision, without the reasons why other targets were skipped."""
        (written,) = replayer.written
        replayer.written.clear()
        for event in written.get("events", ()):
            self._found.opened[which] += event["event"] == "StateChanged" and event["after"] == "open"
        return {name: value for name, value in written.items() if name in _DECIDED}


def _without_bounds(decision: JsonLine) -> JsonLine:
    return {name: value for name, value in decision.items() if name not in _BOUNDS}
