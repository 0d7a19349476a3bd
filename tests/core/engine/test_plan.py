"""The order in which a call tries its targets, drawn one by one."""

import random
from math import inf
from typing import Any

from hotspare._engine.call import Attempt
from hotspare._engine.decide import Step, next_step
from hotspare._engine.first import first_attempt
from hotspare._engine.plan import Candidates, demand_of, kept_target, usable
from hotspare._engine.reasons import Trace
from hotspare._health.breaker import Permit, State
from hotspare._health.pace import Pace
from hotspare._health.target_state import TargetState
from hotspare.policy import Policy
from hotspare.target import Limits

from tests.support.engine import Engine, NoBackend, call_of, state_of


def _case(seed: int) -> tuple[Engine, list[list[TargetState]], Policy]:
    """Five targets in up to two tiers, some of them broken, slow, refusing or waited for."""
    rng = random.Random(seed)
    policy = Policy(strategy=rng.choice(["ordered", "ordered", "ordered", "weighted"]))
    states = [
        state_of(
            name,
            id=f"{name}/m",
            policy=policy,
            backend=NoBackend(*["messages"] * (rng.random() < 0.2)),
            limits=Limits(concurrency=1),
        )
        for name in "abcde"
    ]
    engine = Engine(states, policy=policy, rng=random.Random(seed))
    for state in states:
        state.breaker.state = rng.choice([State.CLOSED, State.CLOSED, State.CLOSED, State.OPEN, State.RECOVERING])
        state.breaker.recovering_since = 90.0
        if rng.random() < 0.2:  # slow until a moment ago
            state.has_slowed, pace = True, Pace(None)
            pace.back_since, state.paces[False, False] = 99.0, pace
        if rng.random() < 0.2:
            state.refused[frozenset()] = inf
        for place in range(rng.choice([0, 0, 3])):
            state.breaker.in_flight[Permit(float(place), 0, stall_after=10.0)] = None
    middle = rng.choice([2, 5])
    return engine, [states[:middle], states[middle:]] if middle < 5 else [states], policy


def test_drawing_one_by_one_gives_the_whole_order() -> None:
    """Over random pools: the candidates, the remarks on those that come later, the breakers and the random numbers used are those of the
    whole order."""
    for seed in range(60):
        (engine, tiers, policy), (again, same, _) = _case(seed), _case(seed)
        session = "s" if seed % 5 == 0 else None
        engine.shared.sessions.record("s", tiers[0][1], 99.0)
        again.shared.sessions.record("s", same[0][1], 99.0)
        call = call_of(tiers=tiers, policy=policy, session=session, own_tiers=seed % 2)
        other = call_of(tiers=same, policy=policy, session=session, own_tiers=seed % 2)

        demand = demand_of(other, again.shared, 100.0, again.shared.rng)
        kept = kept_target(other, again.shared, demand)
        expected = [state.name for state in usable(other, again.shared, demand, kept)]

        found = Candidates(call, engine.shared, 100.0)
        assert [state.name for state in found] == expected == [state.name for state in found]
        assert {one.name: why for one, why in found.passed.items()} == {
            one.name: why for one, why in demand.passed.items()
        }
        assert (found.kept and found.kept.name) == (kept and kept.name)
        assert engine.shared.rng.random() == again.shared.rng.random()
        for name, state in engine.states.items():
            assert state.breaker.state is again.states[name].breaker.state


def test_the_first_attempt_is_that_of_the_rules() -> None:
    """Over random pools, some of them with a limit that is reached: the step found without the rules, the events and the random
    numbers used are those of the rules, which decide alone while a recording notes what they look at."""
    firsts = 0
    for seed in range(120):
        (engine, tiers, policy), (again, same, _) = _case(seed), _case(seed)
        again.shared.trace = Trace()
        session = "s" if seed % 10 == 0 else None
        options: dict[str, Any] = {
            "deadline": 200.0,
            "max_attempts": 1 + seed % 3,
            "policy": policy,
            "session": session,
        }
        call, other = call_of(tiers=tiers, **options), call_of(tiers=same, **options)
        for one in (engine, again) if seed % 4 == 0 else ():  # the first target's limit is reached
            limits = one["a"].limits
            assert limits is not None
            limits.take(call.need, 99.0)

        firsts += (found := first_attempt(call, engine.shared, 100.0)) is not None
        step, expected = found or next_step(call, engine.shared, 100.0), next_step(other, again.shared, 100.0)

        assert _shown(step) == _shown(expected)
        assert engine.events == again.events
        assert engine.shared.rng.random() == again.shared.rng.random()
        assert [state.limits and state.limits.left(100.0) for state in engine.states.values()] == [
            state.limits and state.limits.left(100.0) for state in again.states.values()
        ]
    assert 16 < firsts < 104


def _shown(step: Step) -> tuple[object, ...]:
    if not isinstance(step, Attempt):
        return (type(step),)
    return (
        step.state.name, step.reason, step.timeout, step.stall, step.unary, step.permit.stall_after, step.chosen_by, step.passed, step.extra,
    )  # fmt: skip
