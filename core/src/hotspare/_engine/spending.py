"""The cost of a call: per attempt, the sum, and the budgets that limit it. The scheduler holds the lock for budgets."""

from __future__ import annotations

from hotspare import events
from hotspare._cost.budgets import Budgets, Reached
from hotspare._cost.prices import cost_of
from hotspare._engine.call import Call
from hotspare._engine.continuation import estimate_usage
from hotspare._health.target_state import TargetState
from hotspare._routing.candidates import blended_price
from hotspare._routing.explain import Exclusion, SkipReason
from hotspare.errors import BudgetExceeded
from hotspare.target import Target


def bill(call: Call) -> tuple[events.Paid, ...]:
    """The cost of each attempt: the answer, streams that broke or that the caller closed early, and the prompts of attempts that were
    cancelled. Unknown usage is estimated."""
    parts = list(call.parts)
    lost = [attempt for attempt in call.attempts if attempt.lost]
    if lost:
        prompt = estimate_usage(call, 0)
        parts += [(attempt, prompt) for attempt in lost]
    answer = call.parts[-1] if call.parts and call.usage is not None else None
    return tuple(
        events.Paid(
            attempt.number, attempt.state.name, usage, cost_of([(attempt.target, usage)]), (attempt, usage) != answer
        )
        for attempt, usage in parts
    )


def call_cost(call: Call) -> float | None:
    """USD of all attempts; None if a price or a usage is unknown."""
    parts = [(attempt.state.target, usage) for attempt, usage in call.parts]
    for attempt in call.attempts:
        if attempt.lost:
            parts.append((attempt.target, estimate_usage(call, 0)))
    return cost_of(parts)


def saved(call: Call) -> float | None:
    """USD by which the answer was cheaper than the same usage at the first target of its route; None: unknown."""
    if not call.parts or call.usage is None:
        return None
    attempt, usage = call.parts[-1]
    cost, first = cost_of([(attempt.target, usage)]), cost_of([(call.tiers[0][0].target, usage)])
    return None if cost is None or first is None else max(0.0, first - cost)


def allow(call: Call, budgets: Budgets) -> None:
    """Exclude the targets that a used-up budget forbids for this call. Raises BudgetExceeded if none is left."""
    reached = [one for one in budgets.reached(call.route, call.labels) if one.budget.action != "warn"]
    if not reached:
        return
    excluded = dict(call.excluded)
    for one in reached:
        for state in call.states():
            if _is_barred(state, one):
                excluded[state] = Exclusion(SkipReason.OVER_BUDGET, one.message)
    call.excluded = excluded
    if not any(True for _ in call.supporting(call.states())):
        last = max(reached, key=lambda one: one.resets_in)
        hint = "raise its `usd`, or allow cheaper targets (action = 'cheaper')"
        if last.budget.action == "cheaper":
            hint = f"raise its `usd`, or its `max_price` of {last.budget.max_price:g}: no target of the call is cheaper"
        raise BudgetExceeded(
            f"no target may be used: {last.message}; {hint}", budget=last.key, retry_after=last.resets_in
        )


def _is_barred(state: TargetState, reached: Reached) -> bool:
    budget, target = reached.budget, state.target
    if budget.account not in (None, target.account):
        return False
    return budget.action == "refuse" or blended_price(target) > (budget.max_price or 0.0)


def count(call: Call, budgets: Budgets) -> list[events.Event]:
    """Add a call's cost to the budgets. Returns the events to emit."""
    costs: list[tuple[Target, float]] = []
    targets = {attempt.state.name: attempt.target for attempt in call.attempts}
    for paid in bill(call):
        if paid.cost is not None:
            costs.append((targets[paid.target], paid.cost))
    return [
        events.BudgetReached(one.key, one.spent, one.budget.usd, one.budget.action, one.resets_in)
        for one in budgets.add(call.route, call.labels, costs)
    ]
