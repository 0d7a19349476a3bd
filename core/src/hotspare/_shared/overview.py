"""Shows and changes the shared state of a fleet, from any host that can connect to the store."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from hotspare._engine.fleet import COMMAND_SECONDS
from hotspare._health.facts import Fact
from hotspare._shared.file_store import FileStore
from hotspare._shared.redis_store import RedisStore
from hotspare._shared.store import Counted

FleetStore = RedisStore | FileStore
"""A store that can be accessed from outside the fleet's processes."""
MAX_BUDGETS = 1000
"""Maximum number of budget counts that are read, because there may be one per tenant."""


@dataclass(frozen=True, slots=True)
class Overview:
    """The content of the store. `processes`: number of live processes."""

    processes: int
    facts: tuple[Fact, ...]
    budgets: tuple[Counted, ...]


def overview(store: FleetStore) -> Overview:
    """Read everything. This process is not counted. Raises StoreError."""
    member = f"operator-{os.urandom(4).hex()}"
    picture = store.sync(member)
    store.leave(member)
    facts = sorted(picture.facts or (), key=lambda fact: (fact.name, fact.slot))
    return Overview(
        picture.members - 1, tuple(facts), tuple(sorted(store.counts(MAX_BUDGETS), key=lambda one: one.name))
    )


def disable(store: FleetStore, target: str, reason: str) -> None:
    """Disable a target in every process. Raises StoreError."""
    store.write([Fact(target, "command", "disabled", COMMAND_SECONDS, name=target, cause=reason)])


def enable(store: FleetStore, target: str) -> None:
    """Enable a target in every process. Raises StoreError."""
    store.write([Fact(target, "command", "enabled", COMMAND_SECONDS, name=target)])


def rows(found: Overview) -> list[dict[str, Any]]:
    """The facts about each target or account, in the format of `PoolHealth.as_dict()["targets"]`. Targets without a fact are in use."""
    by_name: dict[str, dict[str, Any]] = {}
    for fact in found.facts:
        row = by_name.setdefault(fact.name, _row(fact.name))
        if fact.kind in ("open", "recovering"):
            row |= {"state": fact.kind, "since": fact.age, "reason": fact.cause if fact.kind == "open" else ""}
        if fact.kind == "open":
            row["available_in"] = max(row["available_in"] or 0.0, fact.remaining)
            row["trips"] = int(fact.level)
        elif fact.kind == "limited":
            row["rate_limited_for"] = fact.remaining
        elif fact.kind == "disabled":
            row |= {"disabled": fact.cause or "by an operator", "available_in": None}
        elif fact.kind == "lease":
            row["probed_by"] = fact.cause
    return list(by_name.values())


def _row(name: str) -> dict[str, Any]:
    return {
        "target": name, "state": "closed", "reason": "", "available_in": 0.0, "rate_limited_for": 0.0, "disabled": "", "probed_by": "",
        "since": None, "trips": 0, "calls": 0, "failures": 0, "completion_p50": None, "completion_p95": None, "limits_left": {},
    }  # fmt: skip
