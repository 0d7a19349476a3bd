"""How long a target stays open after its key, its account or its model was rejected. Pure."""

from __future__ import annotations

from hotspare.outcome import Kind, Outcome, Scope
from hotspare.policy import Breaker


def is_refused(outcome: Outcome) -> bool:
    """Whether a provider has rejected the target. Otherwise the function of `api_key` gave no key, and no provider was called."""
    return (outcome.kind, outcome.fault_scope) != (Kind.AUTH, Scope.TARGET)


def shortest_break(outcome: Outcome, not_founds: int, config: Breaker) -> float:
    """Seconds for which the target stays open at least. `not_founds`: how often in a row the model was not found before: it may be
    deployed again, so that this break starts short and doubles. If there was no key, the breaker's own, short break is enough."""
    if outcome.kind is Kind.NOT_FOUND:
        return min(config.not_found_break_duration * 2.0 ** min(not_founds, 30), config.max_not_found_break_duration)
    if not is_refused(outcome):
        return 0.0
    reset = outcome.retry_after if outcome.kind is Kind.QUOTA else None
    return reset or config.auth_break_duration
