"""Budget: how much may be spent in an hour, a day or a month, and what happens once it is spent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from hotspare.errors import ConfigError, Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How much may be spent in a calendar period (UTC), and what happens once it is spent. Every target needs a known price.

    A call is counted when it ends, with all of its attempts, so that only calls in flight can exceed the amount.

    usd: the amount.
    per: `hour`, `day` or `month`.
    action: what happens once it is spent. `refuse`: calls raise BudgetExceeded, with the seconds until the next period;
        `cheaper`: only targets of at most `max_price` are used; `warn`: only the event `BudgetReached` is emitted.
    max_price: for `cheaper`: USD per million tokens, three input to one output.
    route: calls of this route only. None: calls of all routes.
    account: attempts at targets of this account only (`Target.account`); the others may still be used.
    labels: calls with these labels only, e.g. ``{"tenant": "a"}``; ``{"tenant": "*"}`` is a budget for each tenant.
    warn_at: fraction of the amount at which `BudgetReached` is emitted for the first time. 0.8: early enough to act.

    Raises ConfigError.
    """

    usd: float
    per: Literal["hour", "day", "month"]
    action: Literal["refuse", "cheaper", "warn"] = "refuse"
    max_price: float | None = None
    route: str | None = None
    account: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict[str, str], hash=False)
    warn_at: float = 0.8

    def __post_init__(self) -> None:
        from hotspare._config.coercion import coerce

        for name, value in coerce("budget", self).items():
            object.__setattr__(self, name, value)
        problems: list[Problem] = []
        if not self.usd > 0:
            problems.append(Problem.at("budget.usd", self.usd, "must be above 0"))
        if not 0 < self.warn_at <= 1:
            problems.append(Problem.at("budget.warn_at", self.warn_at, "must be above 0 and at most 1"))
        if self.action == "cheaper" and self.max_price is None:
            problems.append(Problem("budget.max_price: is missing: action = 'cheaper' uses targets up to this price"))
        if problems:
            raise ConfigError(problems)

    @property
    def name(self) -> str:
        """The name of the budget in reports and in the spend file, made from what it counts: ``day route=batch tenant=*``."""
        parts = [
            self.per,
            *(f"{name}={value}" for name, value in (("route", self.route), ("account", self.account)) if value),
        ]
        return " ".join([*parts, *(f"{name}={value}" for name, value in sorted(self.labels.items()))])
