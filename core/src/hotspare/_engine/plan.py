"""The targets of a call, in the order in which it tries them now. The scheduler holds the lock."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from random import Random

from hotspare._engine.attempts import SharedState
from hotspare._engine.call import Call
from hotspare._engine.timeouts import wants_unary
from hotspare._health.pace import Pace
from hotspare._health.target_state import AnswerKind, TargetState
from hotspare._routing.strategies import Candidate, Demand, candidate, ordered


class Candidates:
    """The targets that a call may use, in their order. They are drawn one by one, as far as a rule looks, and kept."""

    def __init__(self, source: Iterator[TargetState]) -> None:
        self._source = source
        self._drawn: list[TargetState] = []

    def __iter__(self) -> Iterator[TargetState]:
        place = 0
        while self.has(place + 1):
            yield self._drawn[place]
            place += 1

    def has(self, count: int) -> bool:
        """Whether there are so many."""
        while len(self._drawn) < count:
            state = next(self._source, None)
            if state is None:
                return False
            self._drawn.append(state)
        return True


def in_order(call: Call, shared: SharedState, now: float) -> Iterator[TargetState]:
    """The targets that can be sent the request; last those that are known to refuse its features."""
    refusing: list[TargetState] = []
    for state in call.supporting(ordered(call.tiers, demand_of(call, shared, now, shared.rng))):
        if state.breaker.in_flight:
            shared.tracker.open_if_stalled(state, now)
        if state.refused and state.refuses(call.features, now):
            refusing.append(state)
        else:
            yield state
    yield from refusing


def demand_of(call: Call, shared: SharedState, now: float, rng: Random) -> Demand:
    """What the order of the targets depends on."""

    def whole(state: TargetState) -> bool:
        return wants_unary(call, state, call.policy)

    def pace(state: TargetState) -> Pace | None:
        return state.paces.get(AnswerKind(whole(state), call.reasons)) if state.paces else None

    tokens = min(call.request.max_tokens or inf, shared.output_tokens)
    return Demand(call.policy, now, rng, pace, whole, tokens, call.avoided_domains)


def candidates_by_tier(call: Call, shared: SharedState, now: float) -> list[dict[Candidate, TargetState]]:
    """The targets that can be sent the request, with their figures, for a strategy of the caller's own."""
    demand = demand_of(call, shared, now, shared.rng)
    return [{candidate(state, demand): state for state in call.supporting(tier)} for tier in call.tiers]
