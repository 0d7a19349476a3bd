"""Who is asked next, in which order, and why not the others."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from math import inf

from hotspare._engine.call import Call, TargetState
from hotspare.errors import RequestError
from hotspare.outcome import Kind, Outcome
from hotspare.policy import Policy

RETURNABLE = frozenset({Kind.SERVER, Kind.TRANSPORT})
"""Kinds after which the same target may be asked again by the same call."""

SUSPICIOUS = 3
"""INVALID answers in a row after which a target's word is doubted, and another one is asked."""

WAITABLE = frozenset({Kind.SERVER, Kind.TRANSPORT, Kind.TIMEOUT, Kind.RATE_LIMITED})
"""Kinds that pass by themselves: a call that met only these may wait for a recovery."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One target's place in a call's plan. `why` says why it would not be asked now ("" if it would).

    `reopens_in`: seconds until it may be asked (0: now, None: not by itself).
    """

    target: str
    tier: int
    state: str
    reason: str = ""
    reopens_in: float | None = 0.0

    @property
    def admissible(self) -> bool:
        """Whether it would be asked now."""
        return not self.reason


@dataclass(frozen=True, slots=True)
class Explanation:
    """Who would be asked, in what order, who is skipped and why. `str()` gives a table."""

    route: str
    choices: tuple[Choice, ...]

    def __str__(self) -> str:
        width = max((len(choice.target) for choice in self.choices), default=0)
        lines = [f"route {self.route}"]
        for place, choice in enumerate(self.choices, 1):
            note = f"skipped: {choice.reason}" if choice.reason else "would be asked"
            lines.append(f"{place:>3}. {choice.target:<{width}}  tier {choice.tier}  {choice.state:<10}  {note}")
        return "\n".join(lines)


def ordered(call: Call, policy: Policy, now: float, rng: random.Random) -> list[TargetState]:
    """The route's members in the order in which they are asked now.

    Tiers in order; inside a tier the strategy's order. A recovering target keeps its place with the probability of its
    ramp and stands behind all others else; members that share a domain with a failure of this call come later.
    """
    ranked: list[tuple[bool, int, bool, float, int, TargetState]] = []
    for level, tier in enumerate(call.tiers):
        for place, member in enumerate(tier):
            share = member.breaker.traffic_share(now)
            late = share < 1 and rng.random() >= share
            rank = 0.0
            if policy.strategy == "weighted":
                # Exponential ranks sort by weighted sampling without replacement (Efraimidis and Spirakis, 2006).
                rank = rng.expovariate(member.target.weight)
            blamed = bool(call.blamed) and not call.blamed.isdisjoint(member.domains)
            ranked.append((late, level, blamed, rank, place, member))
    ranked.sort(key=lambda row: row[:5])
    return [row[5] for row in ranked]


def fits(call: Call, member: TargetState) -> bool:
    """Whether the member can take the request at all; the reason why not is kept in `call.unfit`."""
    if member in call.unfit:
        return not call.unfit[member]
    lacking = tuple(name for name in member.backend.unsupported(call.request) if name not in member.target.droppable)
    call.unfit[member] = f"cannot carry {', '.join(lacking)}" if lacking else ""
    return not lacking


def check_fit(call: Call) -> None:
    """Raise RequestError, naming every target's reason, if no target can take the request."""
    members = call.members()
    if any(fits(call, member) for member in members):
        return
    reasons = "; ".join(f"{member.name} {call.unfit[member]}" for member in members)
    raise RequestError(
        f"no target can take this request: {reasons}. Leave the field out, or let a target drop it (droppable)"
    )


def goes_on(call: Call, policy: Policy) -> bool:
    """Whether the call's last outcome leaves anything to be tried elsewhere."""
    if call.last is None:
        return True
    member, outcome, _ = call.last
    if outcome.kind is Kind.INVALID:
        if member not in call.asked:  # it refused a prefill, and is asked again without one
            return True
        return outcome.kind in policy.failover_on or member.invalid >= SUSPICIOUS
    return outcome.kind is not Kind.CONTENT_FILTER or outcome.kind in policy.failover_on


def same_again(outcome: Outcome, seconds: float, member: TargetState, policy: Policy) -> bool:
    """Whether the return visit comes at once, to the target that failed: `Policy.retry_same_target`."""
    if policy.retry_same_target == "always":
        return outcome.kind in RETURNABLE
    if policy.retry_same_target == "never" or outcome.should_retry is False or outcome.retry_after is not None:
        return False
    quick = outcome.kind is Kind.SERVER or (outcome.kind is Kind.TRANSPORT and not outcome.before_connect)
    return quick and seconds < 1 and member.breaker.mostly_successful()


def window_allows(call: Call, member: TargetState) -> bool:
    """After CONTEXT_LENGTH: only a target whose context window is larger, or unknown."""
    for asked, outcome in call.asked.items():
        if outcome.kind is Kind.CONTEXT_LENGTH:
            mine, theirs = member.target.context_window, asked.target.context_window
            if mine is not None and theirs is not None and mine <= theirs:
                return False
    return True


def tiers_for(
    model: str | None, routes: dict[str, tuple[tuple[TargetState, ...], ...]], members: Iterable[TargetState]
) -> tuple[str, tuple[tuple[TargetState, ...], ...]]:
    """The tiers of a route, or of a model alias: every target that serves it, then the default route's others.

    Raises RequestError for a name that is neither.
    """
    if model is None:
        return "default", routes["default"]
    if model in routes:
        return model, routes[model]
    serving = [member for member in members if member.target.serves(model)]
    if not serving:
        known = sorted({*routes, *(member.target.model for member in members)})
        raise RequestError(
            f"model: {model!r} is no route, target, model or alias of this pool; known: {', '.join(known)}"
        )
    tiers: dict[int, list[TargetState]] = {}
    for member in serving:
        tiers.setdefault(member.target.tier, []).append(member)
    backups = [tuple(m for m in tier if m not in serving) for tier in routes["default"]]
    first = [tuple(tiers[level]) for level in sorted(tiers)]
    return model, tuple(tier for tier in (*first, *backups) if tier)


def choice(call: Call, member: TargetState, opens_at: float, resting: str, tier: int, now: float) -> Choice:
    """How `explain` shows one member."""
    health = member.breaker
    reopens = None if opens_at == inf else max(0.0, opens_at - now)
    if not fits(call, member):
        return Choice(member.name, tier, health.state, call.unfit[member], None)
    if health.disabled:
        return Choice(member.name, tier, health.state, f"disabled: {health.disabled}", None)
    if opens_at <= now:
        return Choice(member.name, tier, health.state)
    return Choice(member.name, tier, health.state, f"{resting} for {opens_at - now:.1f} s", reopens)
