"""Checks of a pool's budgets: each must count at least one target, and know the price of all that it counts."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from hotspare.budget import Budget
from hotspare.errors import ConfigError, Problem
from hotspare.target import Target


def check_budgets(
    budgets: Collection[Budget], targets: Sequence[Target], routes: Mapping[str, Sequence[Sequence[Target]]]
) -> None:
    """Raises ConfigError, which lists every mistake in these budgets."""
    problems: list[Problem] = []
    for budget in budgets:
        counted = [target for target in targets if budget.account in (None, target.account)]
        if not counted:
            problems.append(Problem.at("budget.account", budget.account, "is not the account of a target of this pool"))
        if budget.route is not None and budget.route in routes:
            members = [target for tier in routes[budget.route] for target in tier]
            counted = [target for target in counted if target in members]
        elif budget.route is not None and not any(target.serves(budget.route) for target in targets):
            problems.append(Problem.at("budget.route", budget.route, "is not a route, target or model of this pool"))
        unpriced = [target.name for target in counted if target.price is None]
        if unpriced:
            hint = "has no known price, so budgets cannot count it: set `price`, or prices = true to look it up"
            problems += [Problem(f"target {name!r}: {hint}") for name in unpriced]
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)))
