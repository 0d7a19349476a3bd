"""The decisions of another policy on the inputs of a recording."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from hotspare._recording.file import RecordingFile
from hotspare._recording.lines import Line
from hotspare._recording.player import Player
from hotspare._recording.replay import EVERY, Progress
from hotspare.policy import Policy

_BOUNDS = ("timeout", "stall", "race_after", "waits", "retry_after")
"""What a decision says about times."""
_DECIDED = frozenset(
    {*_BOUNDS, "rule", "takes", "attempt", "reason", "unary", "probe", "continues", "queued", "gives_up", "free"}
)


@dataclass(frozen=True, slots=True)
class Change:
    """A decision that another policy makes otherwise. `at`: on the pool's clock."""

    line: int
    call: str
    at: float
    recorded: Line
    changed: Line


@dataclass(slots=True)
class Changes:
    """What another policy decides. `elsewhere`: decisions for something else; `bounds`: those with other times only.
    `opened`: how often breakers opened, `recorded` and `changed`."""

    calls: int = 0
    decisions: int = 0
    elsewhere: list[Change] = field(default_factory=list[Change])
    bounds: list[Change] = field(default_factory=list[Change])
    opened: Counter[str] = field(default_factory=Counter[str])
    is_cut: bool = False
    is_full: bool = False
    is_reloaded: bool = False

    @property
    def all(self) -> list[Change]:
        """All of them, in the order of the file."""
        return sorted([*self.elsewhere, *self.bounds], key=lambda one: one.line)


def changes(path: Path, policy: Policy, progress: Progress | None = None, *, stop_at: int | None = None) -> Changes:
    """What another policy decides at each point of a recording, given all that happened until then. `stop_at`: end after so
    many changes.

    After a decision that differs the call goes on as recorded, since what other targets would have answered is not known.
    Raises RecordingError for a file that cannot be read or played.
    """
    file, found, unreported = RecordingFile(path), Changes(), 0
    pair = _Pair(file.header, policy, found)
    for number, size, line, _ in file.lines():
        pair.play(line, number)
        unreported += size
        if progress is not None and not number % EVERY:
            progress(unreported)
            unreported = 0
        if stop_at is not None and len(found.elsewhere) + len(found.bounds) >= stop_at:
            break
    found.is_cut, found.is_full, found.is_reloaded = file.is_cut, file.is_full, file.is_reloaded
    return found


class _Pair:
    """A recording played twice side by side: with its own policy, and with another one."""

    def __init__(self, header: Line, policy: Policy, found: Changes) -> None:
        self._recorded = Player(header, sampled=lambda _: True)
        self._changed = Player(header, policy, sampled=lambda _: True)
        self._found = found

    def play(self, line: Line, number: int) -> None:
        """One line, by both; then both stand where the recording stood."""
        found, do = self._found, line["do"]
        found.calls += do == "call"
        recorded, call = (one.calls.get(line.get("call", "")) for one in (self._recorded, self._changed))
        most = (0, 0) if recorded is None or call is None else (recorded.max_attempts, call.max_attempts)
        self._recorded.play(line, number)
        step = self._changed.play(line, number)
        was, now = self._written(self._recorded, "recorded"), self._written(self._changed, "changed")
        if do not in ("next", "alternative"):
            return
        found.decisions += do == "next"
        if was != now:
            same = _without_bounds(was) == _without_bounds(now)
            change = Change(number, line["call"], line["at"], was, now)
            (found.bounds if same else found.elsewhere).append(change)
            if not same and step is not None:
                assert recorded is not None and call is not None
                self._changed.follow(step, call, recorded, line["at"])
                call.max_attempts = most[1] + recorded.max_attempts - most[0]

    def _written(self, player: Player, which: str) -> Line:
        """What was decided, without why others were passed over."""
        (written,) = player.written
        player.written.clear()
        for event in written.get("events", ()):
            self._found.opened[which] += event["event"] == "StateChanged" and event["after"] == "open"
        return {name: value for name, value in written.items() if name in _DECIDED}


def _without_bounds(decision: Line) -> Line:
    return {name: value for name, value in decision.items() if name not in _BOUNDS}
