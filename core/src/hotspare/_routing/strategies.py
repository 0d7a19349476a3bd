"""In which order the targets of a route are tried."""

from __future__ import annotations

import random
from collections.abc import Set

from hotspare._health.breaker import State
from hotspare._health.target_state import TargetState
from hotspare._routing.candidates import Tiers
from hotspare.policy import Policy
from hotspare.target import Domain


def ordered(tiers: Tiers, policy: Policy, avoided: Set[Domain], now: float, rng: random.Random) -> list[TargetState]:
    """The targets in the order in which they are tried now.

    Tiers in order; inside a tier the strategy's order. While another target of its tier with the same model is closed, a
    recovering target keeps its place with the probability of its traffic share, and comes last otherwise; else its admission
    window alone bounds it. Targets in an `avoided` domain come last in their tier.
    """
    ranked: list[tuple[bool, int, bool, float, int, TargetState]] = []
    for level, tier in enumerate(tiers):
        for place, state in enumerate(tier):
            share = state.breaker.traffic_share(now)
            if share < 1 and not _has_closed_equal(state, tier, now):
                share = 1.0
            last = share < 1 and rng.random() >= share
            rank = 0.0
            if policy.strategy == "weighted":
                # Exponential ranks sort by weighted sampling without replacement (Efraimidis and Spirakis, 2006).
                rank = rng.expovariate(state.target.weight)
            ranked.append((last, level, bool(avoided) and not avoided.isdisjoint(state.domains), rank, place, state))
    ranked.sort(key=lambda row: row[:5])
    return [row[5] for row in ranked]


def _has_closed_equal(state: TargetState, tier: tuple[TargetState, ...], now: float) -> bool:
    return any(
        other.breaker.state_at(now) is State.CLOSED and other.target.model == state.target.model
        for other in tier
        if other is not state
    )
