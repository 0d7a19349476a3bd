"""The targets of a call, in the order in which it tries them now. The scheduler holds the lock."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from math import inf
from random import Random

from hotspare._engine.attempts import SharedState
from hotspare._engine.call import Call
from hotspare._engine.timeouts import wants_unary
from hotspare._health.breaker import State
from hotspare._health.target_state import AnswerKind, TargetState
from hotspare._routing.strategies import Candidate, Demand, candidate, ordered
from hotspare.outcome import Kind
from hotspare.target import Domain

_NONE: frozenset[Domain] = frozenset()
_UNTESTED_PART = 0.3
"""Part of the time of `timeouts.stalled_after`: three times the pool's p95 with the default factors."""


class Candidates:
    """The targets that a call may use, in their order: computed one by one, as far as a rule needs them, and kept.

    `kept`: the target of the call's conversation. `passed`: targets moved back in the order, and why.
    """

    __slots__ = ("_found", "_source", "kept", "passed")

    def __init__(self, call: Call, shared: SharedState, now: float) -> None:
        demand = demand_of(call, shared, now, shared.rng)
        self.kept, self.passed = kept_target(call, shared, demand), demand.passed
        self._source = usable(call, shared, demand, self.kept)
        self._found: list[TargetState] = []

    def _find_next(self) -> bool:
        """Compute the next one. Returns whether there is one."""
        state = next(self._source, None)
        if state is not None:
            self._found.append(state)
        return state is not None

    def __iter__(self) -> Iterator[TargetState]:
        found, place = self._found, 0
        while place < len(found) or self._find_next():
            yield found[place]
            place += 1

    def before(self, state: TargetState) -> list[TargetState]:
        """The targets before `state`; all computed so far if it is not among them."""
        return self._found[: self._found.index(state)] if state in self._found else [*self._found]

    def begins_with(self, state: TargetState) -> bool:
        """Whether this target is the first, and none was moved back."""
        return not self.passed and bool(self._found) and self._found[0] is state

    def has(self, count: int) -> bool:
        """Whether there are at least `count` targets."""
        while len(self._found) < count:
            if not self._find_next():
                return False
        return True


def usable(call: Call, shared: SharedState, demand: Demand, kept: TargetState | None) -> Iterator[TargetState]:
    """The targets that support the request. Moved to the end: targets known to reject its features, and those whose other calls wait too
    long: untested targets, and after a timeout of this call all of them."""
    late: list[TargetState] = []
    now = demand.now
    has_waited = call.last is not None and call.last.outcome is not None and call.last.outcome.kind is Kind.TIMEOUT
    for state in in_order(call, demand, kept):
        if call.unsupported(state) or state in call.excluded:
            continue
        if state.breaker.in_flight:
            shared.tracker.open_if_stalled(state, now)
        if state.refused and state.refuses(call.features, now):
            demand.passed[state] = "it has rejected similar requests"
            late.append(state)
        elif (has_waited and state.breaker.is_waited_for(now)) or keeps_waiting(call, state, shared, now):
            demand.passed[state] = "other calls wait for it longer than usual"
            late.append(state)
        else:
            yield state
    yield from late


def keeps_waiting(call: Call, state: TargetState, shared: SharedState, now: float) -> bool:
    """Whether a target without a record lets other calls wait for so long, by the record of the pool, that another one is tried first
    until it answers: if it is silent, few calls meet it before its breaker opens."""
    if not state.breaker.in_flight:
        return False
    unary, enough = wants_unary(call, state, call.policy), call.policy.timeouts.min_samples
    usual, own = (shared.completion, state.completion) if unary else (shared.first_token, state.first_token)
    if len(own) >= enough or len(usual) < enough:
        return False
    return state.breaker.is_waited_for(now, _UNTESTED_PART)


def in_order(call: Call, demand: Demand, kept: TargetState | None) -> Iterator[TargetState]:
    """The targets by tier and strategy: the target of the call's conversation first, and all targets of the model that the call names
    before those of other models."""
    own, states = call.own_tiers, ordered(call.tiers[call.own_tiers :], demand)
    if own:
        states = chain(ordered(call.tiers[:own], demand), states)
    return states if kept is None else chain((kept,), (state for state in states if state is not kept))


def kept_target(call: Call, shared: SharedState, demand: Demand) -> TargetState | None:
    """The target that answered the call's conversation before, if it may be used and is healthy."""
    if call.session is None:
        return None
    state = shared.sessions.target_of(call.session, demand.now, call.policy.sticky_seconds)
    if state is None or state.breaker.state_at(demand.now) is not State.CLOSED:
        return None
    if not any(state in tier.members for tier in call.tiers[: call.own_tiers or None]):
        return None
    pace = demand.pace(state)
    return None if pace is not None and pace.slow else state


def demand_of(call: Call, shared: SharedState, now: float, rng: Random) -> Demand:
    """The inputs of the order of targets."""

    def kind(state: TargetState) -> AnswerKind:
        return wants_unary(call, state, call.policy), call.reasons

    tokens, avoided = min(call.request.max_tokens or inf, shared.output_tokens), _NONE
    if call.last is not None:
        avoided = call.avoided_domains
    return Demand(call.policy, now, rng, kind, tokens, avoided, {})


def candidates_by_tier(call: Call, shared: SharedState, now: float) -> list[dict[Candidate, TargetState]]:
    """The targets that support the request, with their figures, as input of a custom strategy."""
    demand = demand_of(call, shared, now, shared.rng)
    return [{candidate(state, demand): state for state in call.supporting(tier)} for tier in call.tiers]
