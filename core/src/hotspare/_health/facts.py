"""Facts about targets and accounts that the processes of a fleet share, and which of two about the same thing holds.

Durations only: how long a fact still holds, and how long ago it came true. No process's clock, and no wall time, is part of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Slot = Literal["health", "limit", "hand", "probe"]
"""What a fact is about: the circuit breaker, a rest that the provider named, an operator's command, the lease of a probe. Of one subject there is
one fact in each."""
FactKind = Literal["open", "recovering", "limited", "disabled", "enabled", "lease"]
_KINDS: Mapping[Slot, tuple[FactKind, ...]] = {
    "health": ("open", "recovering"),
    "limit": ("limited",),
    "hand": ("disabled", "enabled"),
    "probe": ("lease",),
}
MAX_SECONDS = 40 * 86400.0
"""No fact holds longer: a month, and more is garbage."""
SLACK = 0.1
"""Seconds by which a rest must be longer than the one that is known, to be news: many processes see one outage."""
_MAX_TEXT = 200


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that holds for the whole fleet.

    subject: of which target or account: a digest (`hotspare._engine.subjects`); of an operator's command, the target's name.
    slot, kind: what it is. remaining: seconds for which it holds (0: it holds no more, a lease was given back). age: seconds since it came true.
    name: the target's or account's name, for people.
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
    """Whether `new` changes what holds. Of two that say the same the longer one holds, else the newer one."""
    if new.kind == old.kind and new.slot in ("health", "limit") and new.kind != "recovering":
        return new.remaining > old.remaining + SLACK
    return new.age < old.age


def merged(new: Fact, old: Fact) -> Fact:
    """What holds, where `new` supersedes `old`: it came true when the newer of them did."""
    if new.kind != old.kind or old.age >= new.age:
        return new
    return Fact(new.subject, new.slot, new.kind, new.remaining, old.age, new.name, new.cause, max(new.level, old.level))


def checked(values: Mapping[str, Any]) -> Fact | None:
    """A fact as it came from the store; None if it is none: something else wrote it, or a newer version did."""
    try:
        slot, kind = values["slot"], values["kind"]
        remaining, age, level = float(values["remaining"]), float(values["age"]), float(values.get("level", 0.0))
        words = [values["subject"], values.get("name", ""), values.get("cause", "")]
    except (KeyError, TypeError, ValueError):
        return None
    if kind not in _KINDS.get(slot, ()) or not all(isinstance(word, str) for word in words):
        return None
    if not (0 <= remaining <= MAX_SECONDS and age > -1 and 0 <= level < 1e6):
        return None
    subject, name, cause = (word[:_MAX_TEXT] for word in words)
    return Fact(subject, slot, kind, remaining, max(0.0, age), name, cause, level)
