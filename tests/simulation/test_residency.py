"""No attempt ever leaves the allowed regions: a property over random pools, states, policies and outcomes."""

import random
from typing import Any

from hotspare import Hedge, Kind, Outcome, Pool, RequestError, Target
from hotspare._engine.call import Attempt, Call
from hotspare._engine.commands import Wait
from hotspare.errors import ConfigError
from hotspare.messages import ChatReply
from hotspare.outcome import OK, AttemptReason
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.engine import NoBackend

REGIONS = ("eu", "us", "kr", None)
KINDS = [
    Kind.SERVER,
    Kind.TRANSPORT,
    Kind.TIMEOUT,
    Kind.RATE_LIMITED,
    Kind.QUOTA,
    Kind.AUTH,
    Kind.NOT_FOUND,
    Kind.INVALID,
]
SEEN: set[AttemptReason] = set()

pools = st.fixed_dictionaries({
    "regions": st.lists(st.sampled_from(REGIONS), min_size=1, max_size=8),
    "allowed": st.sets(st.sampled_from(REGIONS[:3]), max_size=3),
    "of_call": st.none() | st.sets(st.sampled_from(REGIONS[:3]), max_size=2),
    "seed": st.integers(0, 2**32),
    "policy": st.fixed_dictionaries({
        "strategy": st.sampled_from(["ordered", "weighted", "latency", "cost", lambda tier: tier[::-1]]),
        "when_all_down": st.sampled_from(["wait", "fail"]),
        "on_slow": st.sampled_from(["abandon", "race"]),
        "hedge": st.sampled_from([None, Hedge(min_delay=0.0, max_extra_calls=1.0)]),
        "retry_same_target": st.sampled_from(["auto", "always", "never"]),
        "prefer_regions": st.sets(st.sampled_from(REGIONS[:3]), max_size=2),
        "max_rejection": st.just(0.0),
        "failover_on": st.sampled_from([frozenset(), frozenset({Kind.INVALID})]),
    }),
})  # fmt: skip


def run_call(pool: Pool, call: Call, rng: random.Random, now: float) -> list[Attempt]:
    """A call to its end: its attempts fail, hang or answer as chance has it."""
    attempts: list[Attempt] = []
    for _ in range(40):
        step = pool._scheduler.next_step(call, now)
        if isinstance(step, Attempt):
            attempts.append(step)
            if rng.random() < 0.5:
                now += rng.uniform(0.0, 20.0)  # it hangs: a hedge, or a race
                continue
        elif not isinstance(step, Wait):
            break
        elif step.waiter is not None:
            pool._scheduler.leave_queue(step.waiter)
        now += rng.choice([0.0, 0.1, min(step.seconds or 1.0, 60.0) if isinstance(step, Wait) else 0.5])
        running = [one for one in call.attempts if one.record is None]
        if running:
            attempt = rng.choice(running)
            answered = rng.random() < 0.2
            attempt.result = ChatReply(text="x") if answered else None
            outcome = OK if answered else Outcome(rng.choice(KINDS), "x", retry_after=rng.choice([None, 0.5, 5.0]))
            pool._scheduler.settle(call, attempt, outcome, now)
            if answered:
                break
    for attempt in [one for one in call.attempts if one.record is None]:
        pool._scheduler.settle(call, attempt, Outcome(Kind.CANCELLED), now)
    return attempts


def spoil(pool: Pool, rng: random.Random) -> None:
    """Some breakers are open, half-open, recovering, rate-limited or disabled; some targets have a record."""
    for state in pool._states:
        roll = rng.random()
        if roll < 0.2:
            state.breaker.open(0.0, rng, at_least=rng.choice([0.0, 10.0, 1000.0]))
        elif roll < 0.3:
            state.breaker.recover(0.0)
        elif roll < 0.35:
            state.breaker.rate_limited_until = rng.choice([1.0, 1000.0])
        elif roll < 0.4:
            state.breaker.disabled = "by hand"
        for _ in range(rng.choice([0, 10])):
            state.first_token.add(0.1)
            state.completion.add(0.1)


@given(pools)
@settings(max_examples=120, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_no_attempt_leaves_the_allowed_regions(drawn: dict[str, Any]) -> None:
    """Whatever is down, and whatever the call does about it: failover, retries, hedges, races, probes, waiting, last resorts."""
    rng = random.Random(drawn["seed"])
    targets = [
        Target(f"p{n % 2}/m{n % 3}", name=f"t{n}", region=region, tier=n % 2, backend=NoBackend())
        for n, region in enumerate(drawn["regions"])
    ]
    now, allowed = 0.0, drawn["allowed"] if drawn["of_call"] is None else drawn["allowed"] & drawn["of_call"]
    try:
        pool = Pool(targets, clock=lambda: now, rng=rng, regions=drawn["allowed"], **drawn["policy"])
    except ConfigError:
        assert not drawn["allowed"] & set(drawn["regions"])
        return
    spoil(pool, rng)
    for number in range(6):
        now = number * rng.choice([0.1, 10.0, 100.0])
        options = {"regions": drawn["of_call"], "model": rng.choice([None, "m1", "t0"])}
        try:
            call = pool._call("q", options, streaming=rng.random() < 0.5)  # type: ignore[arg-type]
        except RequestError:
            continue
        pool._scheduler.call_started(now, call)
        for attempt in run_call(pool, call, rng, now):
            SEEN.add(attempt.reason)
            assert attempt.target.region in allowed, attempt.target


def test_the_property_has_seen_every_kind_of_attempt() -> None:
    """Hedges, probes, last resorts and the others were among them."""
    if not SEEN:
        test_no_attempt_leaves_the_allowed_regions()
    assert set(AttemptReason) == SEEN
