"""One engine: the same calls through threads, asyncio and trio leave the same trace, event for event."""

from typing import Any

from hotspare.testing import ScriptedTarget, VirtualClock, scripted_pool
from hotspare.testing.steps import Step
from hypothesis import given, settings

from tests.support.calls import FACES, Ask, run_calls
from tests.support.drawn import POLICIES, worlds


def trace_of(face: str, scripts: list[list[Step]], calls: list[Ask], policy: dict[str, Any]) -> list[str]:
    """Play the calls to a pool of three targets: every event and its time, what the callers saw, when the targets were called,
    and the health in the end. No permit is left."""
    clock = VirtualClock(0)
    targets = [
        ScriptedTarget(name, script, id=f"p{place % 2}/m", region=f"r{place}")
        for place, (name, script) in enumerate(zip("abc", scripts, strict=True))
    ]
    events: list[tuple[float, str]] = []
    pool = scripted_pool(*targets, clock=clock, **policy)
    pool.subscribe(lambda event: events.append((clock(), str(event))), inline=True)
    seen = run_calls(face, pool, clock, calls)
    health = pool.health()
    assert (health.in_flight, health.waiting) == (0, 0)
    if policy["on_slow"] == "race" or policy["hedge"] is not None:
        events.sort()  # attempts side by side may end at the same moment, in any order: at the deadline
    times = [f"{target.name} was called at {one.time}" for target in targets for one in target.received]
    return [*(f"{at} {event}" for at, event in events), *map(str, seen), *times, str(health), str(clock())]


@settings(max_examples=60)
@given(world=worlds(targets=3, calls=8), policy=POLICIES)
def test_every_driver_leaves_the_identical_trace(
    world: tuple[list[list[Step]], list[Ask]], policy: dict[str, Any]
) -> None:
    """Attempts, failovers, hedges, races, breaks, deadlines, states, waits, errors and texts: in the same order, at the
    same times."""
    first, *others = (trace_of(face, *world, policy) for face in FACES)
    for other in others:
        assert [pair for pair in zip(first, other, strict=False) if pair[0] != pair[1]][:1] == []
        assert len(other) == len(first)
