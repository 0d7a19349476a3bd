"""What a new configuration changes in a running pool, as text; and the settings that cannot change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import Field, fields, is_dataclass
from typing import TYPE_CHECKING, Any, cast

from hotspare.errors import Problem
from hotspare.policy import Policy
from hotspare.target import Target

if TYPE_CHECKING:
    from hotspare.shared import Shared

_FIXED = ("budgets", "spend_file", "cache")
"""Fields of a policy that only a new pool can change: a running one holds counts and answers that depend on them."""


Parts = tuple[Iterable[Target], Policy, Mapping[str, Any]]
"""A configuration's targets, policy, and routes as tiers of names."""


def changes_between(before: Parts, after: Parts) -> Iterator[str]:
    """The differences, one line each. The values of fields with ``repr=False``, which may hold a secret, are not shown."""
    yield from _changed_targets(before[0], after[0])
    yield from _changed_policy(before[1], after[1])
    yield from _changed_routes(before[2], after[2])


def _changed_targets(before: Iterable[Target], after: Iterable[Target]) -> Iterator[str]:
    old, new = ({target.name: target for target in targets} for targets in (before, after))
    yield from (f"target {name}: removed" for name in old if name not in new)
    for name, target in new.items():
        if name not in old:
            yield f"target {name}: added"
            continue
        for one in fields(target):
            was, now = getattr(old[name], one.name), getattr(target, one.name)
            if one.name != "backend" and was != now:
                yield f"target {name}: {_change(one, was, now)}"


def _changed_policy(before: Any, after: Any, path: str = "") -> Iterator[str]:
    for one in fields(after):
        was, now = getattr(before, one.name), getattr(after, one.name)
        if is_dataclass(was) and type(was) is type(now):
            yield from _changed_policy(was, now, f"{path}{one.name}.")
        elif was != now:
            yield f"{path}{_change(one, was, now)}"


def _change(one: Field[Any], was: object, now: object) -> str:
    return f"{one.name}: {_shown(was)} -> {_shown(now)}" if one.repr else one.name


def _changed_routes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"route {name}: removed" for name in before if name not in after)
    for name, tiers in after.items():
        if name not in before:
            yield f"route {name}: added: {_shown(tiers)}"
        elif before[name] != tiers:
            yield f"route {name}: {_shown(before[name])} -> {_shown(tiers)}"


def unchangeable(before: tuple[Policy, Shared | None], after: tuple[Policy, Shared | None]) -> list[Problem]:
    """The changed settings that need a new pool: some of the policy, and the shared store."""
    hint = "cannot change in a running pool: restart the application"
    changed = (name for name in _FIXED if getattr(before[0], name) != getattr(after[0], name))
    problems = [Problem.at(name, getattr(after[0], name), hint) for name in changed]
    return [*problems, *([Problem(f"shared: {hint}")] if before[1] != after[1] else [])]


def _shown(value: object) -> str:
    text = str(sorted(map(str, cast("frozenset[object]", value)))) if isinstance(value, frozenset) else str(value)
    return text if len(text) <= 100 else text[:97] + "..."
