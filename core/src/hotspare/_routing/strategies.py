"""In which order the targets of a route are tried: tier by tier, inside a tier by the strategy.

The order is a generator: a call draws from it until a target admits it, so that a choice among a thousand targets costs what
one among four does.
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
_UNKNOWN = 0.05
"""Seconds that a target without a record is thought to take: little, so that it gets one, and enough that it does not get all
calls before its first answer."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A target as a strategy of your own is shown it.

    `expected_seconds`: until it would answer (to the first token of a stream, or a whole answer), by its record, the attempts
    that wait there and the length of answers; None without a record. `in_flight`: attempts in flight. `state`: of its circuit
    breaker. `slow`: whether it is far slower than usual (`Brownout`). `calls`, `failures`: in the recent window.
    """

    target: Target
    expected_seconds: float | None
    in_flight: int
    state: State
    slow: bool
    calls: int
    failures: int


StrategyFunction = Callable[[Sequence[Candidate]], Sequence[Candidate]]
"""A strategy of your own: the candidates of a tier, in the order in which they are to be tried."""


@dataclass(slots=True)
class Demand:
    """What is to be routed: one call at one moment.

    `kind`: of the answer that is requested of a target. `tokens`: the usual length of answers. `avoided`: domains at fault for a
    failure of the call.
    `passed`: filled with the targets that come later than their place, and why.
    """

    policy: Policy
    now: float
    rng: random.Random
    kind: Callable[[TargetState], AnswerKind]
    tokens: float = 0.0
    avoided: Set[Domain] = frozenset()
    passed: dict[TargetState, str] = field(default_factory=dict[TargetState, str])

    def pace(self, state: TargetState) -> Pace | None:
        """A target's record of such answers; None if it has none."""
        return state.paces.get(self.kind(state)) if state.paces else None


def ordered(tiers: Tiers, demand: Demand) -> Iterator[TargetState]:
    """The targets in the order in which they are tried now.

    Targets in an avoided domain come last in their tier; those that are passed over now (`_share`) after all others.
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
    """The tiers as a strategy of the caller's own orders them. Raises what it raises, and RequestError for what it returns beside
    the candidates that it was given."""
    found: list[Tier] = []
    for states in tiers:
        chosen = strategy(tuple(states))
        unknown = [one for one in chosen if one not in states]
        if unknown:
            hint = "is not among the candidates: a strategy returns those that it was given, in its order"
            raise RequestError(Problem.at("strategy", unknown[0], hint))
        found.append(Tier(states[one] for one in dict.fromkeys(chosen)))
    return tuple(found)


def candidate(state: TargetState, demand: Demand) -> Candidate:
    """A target with its figures."""
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
    """Seconds until the target would have answered: its estimate, or the age of its oldest attempt if that is more, times the
    attempts that wait there, and the time to write the answer."""
    pace, breaker, (whole, _) = demand.pace(state), state.breaker, demand.kind(state)
    seconds = None if pace is None else pace.estimate(demand.now)
    scale = 1 + demand.tokens / TOKENS if whole else 1.0
    first = _UNKNOWN if seconds is None else seconds * scale
    oldest = next(iter(breaker.in_flight), None)
    if oldest is not None:
        first = max(first, demand.now - oldest.started)
    writing = 0.0
    if not whole and (throughput := state.throughput.quantile(0.5)):
        writing = demand.tokens * _BYTES_PER_TOKEN / throughput
    return first * (breaker.active + 1) + writing


# --- the order inside a tier ---------------------------------------------------------------------------------------


def _by_strategy(tier: Tier, demand: Demand) -> Iterator[TargetState]:
    strategy = demand.policy.strategy
    if len(tier) < 2:
        return iter(tier)
    if strategy == "weighted":
        return _weighted(tier, demand.rng)
    if strategy == "latency":
        return _fastest_of_two(tier, demand)
    return iter(tier.by_price if strategy == "cost" else tier)  # one of the caller's own has been asked before


def _weighted(tier: Tier, rng: random.Random) -> Iterator[TargetState]:
    """By weighted sampling without replacement. What was drawn already is drawn again only a few times: then the few that are
    left are sorted by exponential ranks (Efraimidis and Spirakis, 2006)."""
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
    """Power of two choices (Mitzenmacher, 2001): of two drawn at random the better one; the other one is compared with the next
    that is drawn."""
    draws = _shuffled(tier, demand.rng)
    held = next(draws)
    for other in draws:
        mine, theirs = _score(held, demand), _score(other, demand)
        better, held = (held, other) if mine <= theirs else (other, held)
        yield better
    yield held


def _score(state: TargetState, demand: Demand) -> float:
    return expected_seconds(state, demand) / state.target.weight


def _shuffled(tier: Tier, rng: random.Random) -> Iterator[TargetState]:
    """A random order, of which only what is drawn costs anything (Fisher-Yates on a sparse array)."""
    moved: dict[int, int] = {}
    for place in range(len(tier)):
        drawn = place + int(rng.random() * (len(tier) - place))
        yield tier[moved.get(drawn, drawn)]
        moved[drawn] = moved.get(place, place)


# --- which targets get a part of their traffic only ----------------------------------------------------------------


def _share(state: TargetState, tier: Tier, tiers: Tiers, demand: Demand) -> float:
    """The share of its calls that a target gets: below 1 while it recovers, or is slow, and another one can take its place."""
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
    return "it gets its traffic back slowly"


def score(state: TargetState, demand: Demand) -> float | None:
    """What the strategy compares: the expected seconds by weight, the price (USD per million tokens), or the weight. None where it
    compares nothing, or nothing is known."""
    strategy, target = demand.policy.strategy, state.target
    if strategy == "latency":
        return _score(state, demand)
    if strategy == "cost":
        price = blended_price(target)
        return None if price == inf else price
    return target.weight if strategy == "weighted" else None


def _has_closed_equal(state: TargetState, tier: Tier, now: float) -> bool:
    return any(
        other.breaker.state_at(now) is State.CLOSED and other.target.model == state.target.model
        for other in tier
        if other is not state
    )


def _has_faster(state: TargetState, pace: Pace, tiers: Tiers, demand: Demand) -> bool:
    """Whether another target of the route is closed and faster than this one is now, or its speed is not known."""
    mine = pace.lately or pace.slow_seconds
    for tier in tiers:
        for other in tier:
            if other is state or other.breaker.available_at(demand.now) > demand.now:
                continue
            theirs = demand.pace(other)
            if theirs is None or (not theirs.slow and (theirs.usual or theirs.estimate(demand.now) or 0.0) < mine):
                return True
    return False
