"""In which order the targets of a route are tried."""

from __future__ import annotations

import random
from collections.abc import Set

from hotspare._health.target_state import TargetState
from hotspare._routing.candidates import Tiers
from hotspare.policy import Policy
from hotspare.target import Domain


def ordered(tiers: Tiers, policy: Policy, avoided: Set[Domain], now: float, rng: random.Random) -> list[TargetState]:
    """The targets in the order in which they are tried now.

    Tiers in order; inside a tier the strategy's order. A recovering target keeps its place with the probability of its
    traffic share, and comes last otherwise. Targets in an `avoided` domain come last in their tier.
    """
    ranked: list[tuple[bool, int, bool, float, int, TargetState]] = []
    for level, tier in enumerate(tiers):
        for place, state in enumerate(tier):
            share = state.breaker.traffic_share(now)
            last = share < 1 and rng.random() >= share
            rank = 0.0
            if policy.strategy == "weighted":
                # Exponential ranks sort by weighted sampling without replacement (Efraimidis and Spirakis, 2006).
                rank = rng.expovariate(state.target.weight)
            ranked.append((last, level, bool(avoided) and not avoided.isdisjoint(state.domains), rank, place, state))
    ranked.sort(key=lambda row: row[:5])
    return [row[5] for row in ranked]
