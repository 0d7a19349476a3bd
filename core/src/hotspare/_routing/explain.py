"""The result of `Pool.explain`: a call's plan."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class SkipReason(StrEnum):
    """Why a target would not be tried now."""

    EXCLUDED = "excluded"  # by its region, its price, or the call's `require`, `only` or `avoid`
    UNSUPPORTED = "unsupported"  # it does not support a field of the request
    DISABLED = "disabled"  # by an operator
    TOO_LONG = "too_long"  # the estimated prompt is certainly longer than its context window
    OVER_BUDGET = "over_budget"  # a budget is used up
    UNAVAILABLE = "unavailable"  # its circuit breaker or a domain's is open, or a rate limit holds


class Exclusion(NamedTuple):
    """Why a call must not use a target: the kind of reason, and the reason as text."""

    skipped: SkipReason
    reason: str


@dataclass(frozen=True, slots=True)
class Choice:
    """One target's place in a call's plan.

    `skipped`: None if it would be tried now. `reason`: the reason as text ("" if it would be tried). `unsupported`: the
    fields of the request that it does not support. `available_in`: seconds until it may be tried (0: now; None: not before an
    operator or a change of the request allows it). `score`: the value that the strategy compares: for `latency` the expected seconds
    divided by the weight, for `cost` USD per million tokens (lower first), for `weighted` the weight. `note`: why it was moved back.
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
            if choice.skipped:
                note = f"skipped: {choice.reason}"
            else:
                note = f"would be tried later: {choice.note}" if choice.note else "would be tried"
            score = "" if choice.score is None else f"{choice.score:<8.3g}  "
            lines.append(f"{place:>3}. {choice.target:<{width}}  tier {choice.tier}  {choice.state:<10}  {score}{note}")
        return "\n".join(lines)
