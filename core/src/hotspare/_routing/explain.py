"""How `Pool.explain` shows a call's plan."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class SkipReason(StrEnum):
    """Why a target would not be tried now."""

    EXCLUDED = "excluded"  # by its region, its price, or what the call requires, wants or avoids
    UNSUPPORTED = "unsupported"  # it cannot be sent the request
    DISABLED = "disabled"  # by hand
    TOO_LONG = "too_long"  # the prompt is longer than its context window, by any estimate
    OVER_BUDGET = "over_budget"  # a budget is used up
    UNAVAILABLE = "unavailable"  # its circuit breaker or a domain's is open, or a rate limit holds


class Exclusion(NamedTuple):
    """Why one call does not use a target: the reason, and the same in words."""

    skipped: SkipReason
    reason: str


@dataclass(frozen=True, slots=True)
class Choice:
    """One target's place in a call's plan.

    `skipped`: None if it would be tried now. `reason`: the same in words ("" if it would be tried). `unsupported`: the
    fields of the request that it cannot be sent. `available_in`: seconds until it may be tried (0: now; None: not by
    itself). `score`: what the strategy compares: under `latency` the expected seconds by weight, under `cost` USD per million
    tokens (lower first), under `weighted` the weight. `note`: why it comes later than its place.
    """

    target: str
    tier: int
    state: str
    skipped: SkipReason | None = None
    reason: str = ""
    unsupported: tuple[str, ...] = ()
    available_in: float | None = 0.0
    score: float | None = None
    note: str = ""

    @property
    def admissible(self) -> bool:
        """Whether it would be tried now."""
        return self.skipped is None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Which targets would be tried, in what order, and why the others are skipped. `str()` gives a table."""

    route: str
    choices: tuple[Choice, ...]

    def __str__(self) -> str:
        width = max((len(choice.target) for choice in self.choices), default=0)
        lines = [f"route {self.route}"]
        for place, choice in enumerate(self.choices, 1):
            note = (
                f"skipped: {choice.reason}"
                if choice.skipped
                else f"would be tried{choice.note and f' later: {choice.note}'}"
            )
            score = "" if choice.score is None else f"{choice.score:<8.3g}  "
            lines.append(f"{place:>3}. {choice.target:<{width}}  tier {choice.tier}  {choice.state:<10}  {score}{note}")
        return "\n".join(lines)
