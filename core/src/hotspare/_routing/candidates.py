"""Which targets a call may use: the tiers of a route, and which targets may be tried after an outcome."""

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
    """Targets of equal standing, with values that strategies need: computed once per tier, not per call."""

    @cached_property
    def cumulative_weights(self) -> list[float]:
        """For each target, the sum of the weights up to and including its own."""
        return list(accumulate(state.target.weight for state in self))

    @cached_property
    def members(self) -> frozenset[TargetState]:
        """The targets as a set."""
        return frozenset(self)

    @cached_property
    def by_price(self) -> tuple[TargetState, ...]:
        """The targets by price, cheapest first; those without a known price last."""
        return tuple(sorted(self, key=lambda state: blended_price(state.target)))


Tiers = tuple[Tier, ...]
"""A route: its tiers in order."""


def blended_price(target: Target) -> float:
    """USD per million tokens at three input tokens per output token, as in published comparisons; `inf` if unknown."""
    return inf if target.price is None else (3 * target.price.input + target.price.output) / 4


RETRYABLE = frozenset({Kind.SERVER, Kind.TRANSPORT})
"""Kinds after which a call may try the same target again."""

TRANSIENT = frozenset({Kind.SERVER, Kind.TRANSPORT, Kind.TIMEOUT, Kind.RATE_LIMITED})
"""Kinds that are temporary: a call that failed only with these may wait for a recovery."""


def tiers_for(model: str | None, routes: Mapping[str, Tiers], states: Iterable[TargetState]) -> tuple[str, Tiers]:
    """The name and the tiers of a route. For a model or an alias: the targets that serve it, then the default route's other targets.

    Raises RequestError for an unknown name.
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
    """Whether the call's one retry is made now, at the target that has just failed (`Policy.retry_same_target`).

    `seconds`: how long the failed attempt took."""
    if policy.retry_same_target == "always":
        return outcome.kind in RETRYABLE
    if policy.retry_same_target == "never" or outcome.should_retry is False or outcome.retry_after is not None:
        return False
    if outcome.fault_scope is Scope.TARGET:  # e.g. a firewall in front of it, which would reject the request again
        return False
    retryable = outcome.kind is Kind.SERVER or (outcome.kind is Kind.TRANSPORT and not outcome.before_connect)
    return retryable and seconds < policy.fast_failure and state.breaker.mostly_successful()


def window_allows(state: TargetState, outcomes: Mapping[TargetState, Outcome]) -> bool:
    """Whether the target may be tried after these outcomes. After CONTEXT_LENGTH: if its context window is larger; if one of the two
    windows is unknown, if it has another model."""
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
