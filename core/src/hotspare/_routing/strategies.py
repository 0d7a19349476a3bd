"""The order in which the targets of a route are tried: tier by tier, inside a tier by the strategy.

The order is a generator: a call takes targets from it until one admits it, so that a choice among a thousand targets costs no more
than a choice among four.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from math import inf

from hotspare._health.breaker import State
from hotspare._health.pace import TOKENS, Pace
from hotspare._health.target_state import AnswerKind, TargetState
from hotspare._routing.candidates import Tier, Tiers, blended_price
from hotspare.errors import Problem, RequestError
from hotspare.policy import Policy
from hotspare.target import Domain, Target

_RECOVERING = State.RECOVERING
_BYTES_PER_TOKEN = 4.0
"""Of English text; throughput is measured in bytes."""
_DEFAULT_SECONDS = 0.05
"""Assumed seconds to the answer of a target without a record: short, so that it is tried; but not 0, because waiting attempts multiply
it, so that the target does not get all calls before its first answer."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A target, as input of a custom strategy.

    `expected_seconds`: to its answer (the first token of a stream, or a whole answer), estimated from its record, its attempts without
    an answer yet, and the usual length of answers; None without a record. `in_flight`: attempts in flight. `state`: of its circuit
    breaker. `slow`: whether it is far slower than usual (`Brownout`). `calls`, `failures`: in the breaker's recent window.
    """

    target: Target
    expected_seconds: float | None
    in_flight: int
    state: State
    slow: bool
    calls: int
    failures: int


StrategyFunction = Callable[[Sequence[Candidate]], Sequence[Candidate]]
"""A custom strategy: returns the candidates of a tier in the order in which to try them."""


@dataclass(slots=True)
class Demand:
    """The call to route, at one point in time.

    `kind`: gives the kind of answer that is requested from a target. `tokens`: the usual length of answers. `avoided`: domains that
    caused a failure of the call. `passed`: the targets that `ordered` has moved back, and why.
    """

    policy: Policy
    now: float
    rng: random.Random
    kind: Callable[[TargetState], AnswerKind]
    tokens: float = 0.0
    avoided: Set[Domain] = frozenset()
    passed: dict[TargetState, str] = field(default_factory=dict[TargetState, str])

    def pace(self, state: TargetState) -> Pace | None:
        """A target's record for this kind of answer; None if it has none."""
        return state.paces.get(self.kind(state)) if state.paces else None


def ordered(tiers: Tiers, demand: Demand) -> Iterator[TargetState]:
    """The targets in the order in which they are tried now.

    Targets in an avoided domain come last in their tier; those with a reduced share of traffic (`_share`) may come after all others.
    """
    last: list[TargetState] = []
    for tier in tiers:
        behind: list[TargetState] = []
        for state in tier if demand.policy.strategy == "ordered" else _by_strategy(tier, demand):
            share = 1.0
            if state.has_slowed or state.breaker.state is _RECOVERING:
                share = _share(state, tier, tiers, demand)
            if share < 1 and demand.rng.random() >= share:
                demand.passed[state] = _why_passed(state, demand)
                last.append(state)
            elif demand.avoided and not demand.avoided.isdisjoint(state.domains):
                demand.passed[state] = "it shares a failure domain with a target that has failed"
                behind.append(state)
            else:
                yield state
        yield from behind
    yield from last


def by_function(strategy: StrategyFunction, tiers: Iterable[Mapping[Candidate, TargetState]]) -> Tiers:
    """The tiers in the order of a custom strategy. Raises the strategy's own exceptions, and RequestError if it returns anything but
    the candidates that it was given."""
    found: list[Tier] = []
    for states in tiers:
        chosen = strategy(tuple(states))
        unknown = [one for one in chosen if one not in states]
        if unknown:
            hint = "is not one of the candidates: a strategy must return the candidates that it was given, in its order"
            raise RequestError(Problem.at("strategy", unknown[0], hint))
        found.append(Tier(states[one] for one in dict.fromkeys(chosen)))
    return tuple(found)


def candidate(state: TargetState, demand: Demand) -> Candidate:
    """A target as input of a custom strategy."""
    pace, (calls, failures) = demand.pace(state), state.breaker.recent
    known = pace is not None and pace.estimate(demand.now) is not None
    return Candidate(
        state.target,
        expected_seconds(state, demand) if known else None,
        state.breaker.active,
        state.breaker.state_at(demand.now),
        pace is not None and pace.slow,
        calls,
        failures,
    )


def expected_seconds(state: TargetState, demand: Demand) -> float:
    """Expected seconds to the target's answer: its usual time, or the age of its oldest waiting attempt if that is longer; times the
    number of waiting attempts plus one; plus, for a stream, the time to generate the answer."""
    pace, breaker, (whole, _) = demand.pace(state), state.breaker, demand.kind(state)
    seconds = None if pace is None else pace.estimate(demand.now)
    scale = 1 + demand.tokens / TOKENS if whole else 1.0
    first = _DEFAULT_SECONDS if seconds is None else seconds * scale
    oldest = next(iter(breaker.in_flight), None)
    if oldest is not None:
        first = max(first, demand.now - oldest.started)
    generation = 0.0
    if not whole and (throughput := state.throughput.quantile(0.5)):
        generation = demand.tokens * _BYTES_PER_TOKEN / throughput
    return first * (breaker.active + 1) + generation


# --- the order inside a tier ---------------------------------------------------------------------------------------


def _by_strategy(tier: Tier, demand: Demand) -> Iterator[TargetState]:
    strategy = demand.policy.strategy
    if len(tier) < 2:
        return iter(tier)
    if strategy == "weighted":
        return _weighted(tier, demand.rng)
    if strategy == "latency":
        return _fastest_of_two(tier, demand)
    return iter(tier.by_price if strategy == "cost" else tier)  # a custom strategy has ordered the tier before


def _weighted(tier: Tier, rng: random.Random) -> Iterator[TargetState]:
    """Weighted sampling without replacement. After a few draws that repeat a target, the remaining targets are sorted by exponential
    ranks instead (Efraimidis and Spirakis, 2006)."""
    sums, drawn = tier.cumulative_weights, set[int]()
    total, repeated = sums[-1], 0
    while repeated < 3:
        place = min(bisect_right(sums, rng.random() * total), len(tier) - 1)
        if place in drawn:
            repeated += 1
            continue
        drawn.add(place)
        yield tier[place]
    left = [state for place, state in enumerate(tier) if place not in drawn]
    yield from sorted(left, key=lambda state: rng.expovariate(state.target.weight))


def _fastest_of_two(tier: Tier, demand: Demand) -> Iterator[TargetState]:
    """Power of two choices (Mitzenmacher, 2001): of two random targets the one with the lower score; the other is compared with the
    next random target."""
    draws = _shuffled(tier, demand.rng)
    remaining = next(draws)
    for other in draws:
        if _score(remaining, demand) <= _score(other, demand):
            better, remaining = remaining, other
        else:
            better = other
        yield better
    yield remaining


def _score(state: TargetState, demand: Demand) -> float:
    """Of the strategy `latency`: lower is better."""
    return expected_seconds(state, demand) / state.target.weight


def _shuffled(tier: Tier, rng: random.Random) -> Iterator[TargetState]:
    """A random order, computed only as far as it is consumed (Fisher-Yates on a sparse array)."""
    moved: dict[int, int] = {}
    for place in range(len(tier)):
        drawn = place + int(rng.random() * (len(tier) - place))
        yield tier[moved.get(drawn, drawn)]
        moved[drawn] = moved.get(place, place)


# --- targets with a reduced share of traffic -----------------------------------------------------------------------


def _share(state: TargetState, tier: Tier, tiers: Tiers, demand: Demand) -> float:
    """A target's share of its usual calls: below 1 while it recovers or is slow, if another target can take the rest."""
    share, now = state.breaker.traffic_share(demand.now), demand.now
    if share < 1 and not _has_closed_equal(state, tier, now):
        share = 1.0
    config, pace = demand.policy.brownout, demand.pace(state)
    if config is None or pace is None or demand.policy.strategy == "latency":
        return share
    if pace.slow and now - state.breaker.last_used < config.interval and _has_faster(state, pace, tiers, demand):
        return min(share, config.share)
    slow_start = demand.policy.breaker.slow_start
    if now - pace.back_since < slow_start and _has_closed_equal(state, tier, now):
        return min(share, max(demand.policy.breaker.slow_start_min_share, (now - pace.back_since) / slow_start))
    return share


def _why_passed(state: TargetState, demand: Demand) -> str:
    pace = demand.pace(state)
    if pace is not None and pace.slow:
        return f"it is slow: {pace.lately or pace.slow_seconds:.2f} s, usually {pace.usual or 0.0:.2f} s"
    return "slow start after its recovery"


def score(state: TargetState, demand: Demand) -> float | None:
    """The value that the strategy compares: for `latency` the expected seconds divided by the weight, for `cost` USD per million tokens,
    for `weighted` the weight. None if the strategy compares nothing, or the value is unknown."""
    strategy, target = demand.policy.strategy, state.target
    if strategy == "latency":
        return _score(state, demand)
    if strategy == "cost":
        price = blended_price(target)
        return None if price == inf else price
    return target.weight if strategy == "weighted" else None


def _has_closed_equal(state: TargetState, tier: Tier, now: float) -> bool:
    """Whether another target of the tier has the same model and a closed breaker."""
    return any(
        other.breaker.state_at(now) is State.CLOSED and other.target.model == state.target.model
        for other in tier
        if other is not state
    )


def _has_faster(state: TargetState, pace: Pace, tiers: Tiers, demand: Demand) -> bool:
    """Whether another target of the route is available, and is faster than this one is now, or has no record."""
    mine = pace.lately or pace.slow_seconds
    for tier in tiers:
        for other in tier:
            if other is state or other.breaker.available_at(demand.now) > demand.now:
                continue
            theirs = demand.pace(other)
            if theirs is None or (not theirs.slow and (theirs.usual or theirs.estimate(demand.now) or 0.0) < mine):
                return True
    return False
