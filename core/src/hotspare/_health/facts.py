"""Facts about targets and accounts that the processes of a fleet share, and which of two facts about the same thing is valid.

A fact contains durations only: how long it remains valid, and how old it is. Processes' clocks need not agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Slot = Literal["health", "limit", "command", "probe"]
"""What a fact is about: the circuit breaker, a time to wait that the provider stated, an operator's command, the lease of a probe. There is one
fact per subject and slot."""
FactKind = Literal["open", "recovering", "limited", "disabled", "enabled", "lease"]
_KINDS: Mapping[Slot, tuple[FactKind, ...]] = {
    "health": ("open", "recovering"),
    "limit": ("limited",),
    "command": ("disabled", "enabled"),
    "probe": ("lease",),
}
MAX_SECONDS = 40 * 86400.0
"""Longest validity of a fact: a monthly quota needs a month; a longer time is invalid data."""
SLACK = 0.1
"""Seconds by which a new wait must exceed the known one to be written: many processes observe the same outage."""
_MAX_TEXT = 200


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact that is valid for the whole fleet.

    subject: the target or account, as a digest (`hotspare._shared.subjects`); of an operator's command, the target's name.
    slot, kind: what it states. remaining: seconds for which it is valid (0: not any more; a lease was released). age: seconds since it became valid.
    name: the target's or account's name, for display.
    cause: of an open breaker, the kind of the outcome; of an operator's command, the reason; of a lease and of a recovery, the process.
    level: of an open breaker, how often it has opened in a row; of a recovery, the size of the admission window.
    """

    subject: str
    slot: Slot
    kind: FactKind
    remaining: float
    age: float = 0.0
    name: str = ""
    cause: str = ""
    level: float = 0.0


def supersedes(new: Fact, old: Fact) -> bool:
    """Whether `new` replaces `old`. Of two facts that state the same, the one that is valid longer wins; else the newer one."""
    if new.kind == old.kind and new.slot in ("health", "limit") and new.kind != "recovering":
        return new.remaining > old.remaining + SLACK
    return new.age < old.age


def merged(new: Fact, old: Fact) -> Fact:
    """The valid fact, if `new` supersedes `old`: with the age of the newer one."""
    if new.kind != old.kind or old.age >= new.age:
        return new
    return Fact(new.subject, new.slot, new.kind, new.remaining, old.age, new.name, new.cause, max(new.level, old.level))


def checked(values: Mapping[str, Any]) -> Fact | None:
    """A fact from the store; None if it is invalid, for example written by another program or a newer version."""
    try:
        slot, kind = values["slot"], values["kind"]
        remaining, age, level = float(values["remaining"]), float(values["age"]), float(values.get("level", 0.0))
        words = [values["subject"], values.get("name", ""), values.get("cause", "")]
    except (KeyError, TypeError, ValueError, OverflowError):  # the last: an integer that is too large for a float
        return None
    if not all(isinstance(word, str) for word in (slot, *words)) or kind not in _KINDS.get(slot, ()):
        return None
    if not (0 <= remaining <= MAX_SECONDS and age > -1 and 0 <= level < 1e6):
        return None
    subject, name, cause = (word[:_MAX_TEXT] for word in words)
    return Fact(subject, slot, kind, remaining, max(0.0, age), name, cause, level)
