"""Which targets a call may use: the tiers of a route, and what an outcome leaves to be tried."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from itertools import accumulate
from math import inf

from hotspare._health.target_state import TargetState
from hotspare.errors import Problem, RequestError, did_you_mean
from hotspare.outcome import Kind, Outcome, Scope
from hotspare.policy import Policy
from hotspare.target import Target


class Tier(tuple[TargetState, ...]):
    """Targets of equal standing, and what the strategies need of all of them: computed once, not for each call."""

    @cached_property
    def cumulative_weights(self) -> list[float]:
        """The sums of the weights, from the first target to each."""
        return list(accumulate(state.target.weight for state in self))

    @cached_property
    def members(self) -> frozenset[TargetState]:
        """For look-ups."""
        return frozenset(self)

    @cached_property
    def by_price(self) -> tuple[TargetState, ...]:
        """The cheapest first; those whose price is not known last."""
        return tuple(sorted(self, key=lambda state: blended_price(state.target)))


Tiers = tuple[Tier, ...]
"""A route: its tiers in order."""


def blended_price(target: Target) -> float:
    """USD for a million tokens, three of input to one of output, as published comparisons have it; `inf` if not known."""
    return inf if target.price is None else (3 * target.price.input + target.price.output) / 4


RETRYABLE = frozenset({Kind.SERVER, Kind.TRANSPORT})
"""Kinds after which a call may try the same target again."""

TRANSIENT = frozenset({Kind.SERVER, Kind.TRANSPORT, Kind.TIMEOUT, Kind.RATE_LIMITED})
"""Kinds that pass by themselves: a call that met only these may wait for a recovery."""


def tiers_for(model: str | None, routes: Mapping[str, Tiers], states: Iterable[TargetState]) -> tuple[str, Tiers]:
    """The name and the tiers of a route; of a model or an alias: the targets that serve it, then the default route's
    others.

    Raises RequestError for a name that is neither.
    """
    if model is None:
        return "default", routes["default"]
    if model in routes:
        return model, routes[model]
    serving = [state for state in states if state.target.serves(model)]
    if not serving:
        targets = [state.target for state in states]
        known = sorted({*routes, *(name for one in targets for name in (one.name, one.model, *one.aliases))})
        near = did_you_mean(model, known)
        hint = f"is not a route, target, model or alias of this pool; {near and near + ' '}known: {', '.join(known)}"
        raise RequestError(Problem.at("model", model, hint))
    tiers: dict[int, list[TargetState]] = {}
    for state in serving:
        tiers.setdefault(state.target.tier, []).append(state)
    first = [Tier(tiers[level]) for level in sorted(tiers)]
    backups = [Tier(state for state in tier if state not in serving) for tier in routes["default"]]
    return model, tuple(tier for tier in (*first, *backups) if tier)


def retries_at_once(outcome: Outcome, seconds: float, state: TargetState, policy: Policy) -> bool:
    """Whether the one retry of a call goes to the target that has just failed (`Policy.retry_same_target`)."""
    if policy.retry_same_target == "always":
        return outcome.kind in RETRYABLE
    if policy.retry_same_target == "never" or outcome.should_retry is False or outcome.retry_after is not None:
        return False
    if outcome.fault_scope is Scope.TARGET:  # a firewall in front of it: the same request is rejected again
        return False
    retryable = outcome.kind is Kind.SERVER or (outcome.kind is Kind.TRANSPORT and not outcome.before_connect)
    return retryable and seconds < policy.fast_failure and state.breaker.mostly_successful()


def window_allows(state: TargetState, outcomes: Mapping[TargetState, Outcome]) -> bool:
    """After CONTEXT_LENGTH: only a target whose context window is larger, or unknown and of another model."""
    window = state.target.context_window
    for other, outcome in outcomes.items():
        if outcome.kind is Kind.CONTEXT_LENGTH:
            exceeded = other.target.context_window
            if window is not None and exceeded is not None:
                if window <= exceeded:
                    return False
            elif state.target.model == other.target.model:
                return False
    return True
