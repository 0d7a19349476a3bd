"""In which order the targets of a route are tried, and how a plan is shown."""

import random
from collections import Counter
from functools import cache
from typing import Any

import pytest
from hotspare._health.breaker import Permit
from hotspare._health.target_state import AnswerKind, TargetState
from hotspare._routing.candidates import Tier
from hotspare._routing.explain import Choice, Explanation, SkipReason
from hotspare._routing.strategies import Candidate, Demand, ordered
from hotspare.brownout import Brownout
from hotspare.errors import RequestError
from hotspare.policy import Policy
from hotspare.target import Domain, Price
from hotspare.testing import ScriptedTarget, scripted_pool

from tests.support.engine import FixedRandom, state_of

A, B, C, D = (
    state_of(name, id="p/m", region=region) for name, region in zip("abcd", ("r1", "r2", "r1", "r2"), strict=True)
)
KIND: AnswerKind = (True, False)  # whole answers, without reasoning


settings = cache(Policy)
"""Policies, each made once."""


def order(tiers: Any, now: float = 0.0, rng: Any = None, avoided: Any = frozenset(), **policy: Any) -> str:
    """The names of the targets, in their order."""
    demand = Demand(
        settings(**policy),
        now,
        rng or FixedRandom(),
        lambda state: KIND,
        avoided=avoided,
    )
    return "".join(state.name for state in ordered(tuple(map(Tier, tiers)), demand))


@pytest.mark.parametrize(
    ("tiers", "avoided", "expected"),
    [
        (((A, B, C, D),), (), "abcd"),
        (((D, B), (C, A)), (), "dbca"),
        (((A, B, C, D),), ("r1",), "bdac"),
        (((A, C), (B, D)), ("r1",), "acbd"),  # last in their tier, not in the route
        (((A, B), (C, D)), ("r1",), "badc"),
        (((A, B, C, D),), ("r3",), "abcd"),
    ],
)
def test_ordered(tiers: Any, avoided: tuple[str, ...], expected: str) -> None:
    """Tier by tier as written; targets in an avoided domain come last in their tier."""
    domains = {Domain("region", "p", name) for name in avoided}
    assert order(tiers, avoided=domains) == expected


@pytest.mark.parametrize(("draw", "expected"), [(0.0, "abc"), (0.49, "abc"), (0.5, "bca"), (0.9, "bca")])
def test_a_recovering_target_gets_its_share(draw: float, expected: str) -> None:
    """With the probability of its share it keeps its place; otherwise it comes after all others, of every tier. But only an
    equal target that is closed takes its place."""
    recovering = state_of("a", id=f"x/{B.target.model}")
    recovering.breaker.recover(0.0)
    tiers = ((recovering, B), (C,))
    other = state_of("a", id="x/another-model")
    other.breaker.recover(0.0)
    assert order(((other, B), (C,)), 15.0, FixedRandom(0.9)) == "abc"
    assert order(tiers, 15.0, FixedRandom(draw)) == expected
    assert order(tiers, 30.0, FixedRandom(0.99)) == "abc"


def test_a_closed_target_keeps_its_place() -> None:
    """Nothing is drawn for a target that has its whole share."""

    class NoChance(random.Random):
        def random(self) -> float:
            raise AssertionError("something was drawn")

    assert order(((A, B),), rng=NoChance()) == "ab"


def test_weighted() -> None:
    """The first one is drawn by weight, within each tier."""
    heavy, light, later = state_of("h", weight=3.0), state_of("l"), state_of("z", weight=99.0)
    rng = random.Random(5)
    orders = Counter(order(((heavy, light), (later,)), rng=rng, strategy="weighted") for _ in range(4000))
    assert set(orders) == {"hlz", "lhz"}
    assert orders["hlz"] / 4000 == pytest.approx(0.75, abs=0.03)


def timed(name: str, seconds: float | None, at: float = 0.0, **fields: Any) -> TargetState:
    """A target that has answered once, in `seconds`."""
    state = state_of(name, **fields)
    if seconds is not None:
        state.record_pace(KIND, seconds, at, Brownout())
    return state


def test_weighted_draws_are_without_replacement() -> None:
    """Every target once, whatever is drawn; a heavy one does not hide the light ones."""
    states = [state_of(name, weight=weight) for name, weight in zip("abcde", (1.0, 1e6, 1.0, 2.0, 1.0), strict=True)]
    rng = random.Random(3)
    found = {order((states,), rng=rng, strategy="weighted") for _ in range(200)}
    assert {"".join(sorted(one)) for one in found} == {"abcde"}
    assert {one[0] for one in found} == {"b"}
    assert len(found) > 20


def test_latency() -> None:
    """Of two targets drawn the faster one comes first, by its weight, the attempts that wait there, and the age of the oldest."""
    fast, slow = timed("f", 1.0), timed("s", 3.0)
    for seed in range(5):
        assert order(((slow, fast),), rng=random.Random(seed), strategy="latency") == "fs"
    fast.breaker.active = 2
    assert order(((slow, fast),), strategy="latency") in ("sf", "fs")
    fast.breaker.active = 3
    assert order(((slow, fast),), strategy="latency") == "sf"
    assert order(((slow, timed("x", 1.0)),), 60.0, strategy="latency") == "xs"
    heavy = timed("h", 3.0, weight=4.0)
    assert order(((timed("x", 1.0), heavy),), strategy="latency") == "hx"
    waiting = timed("w", 1.0)
    waiting.breaker.in_flight[Permit(0.0, 0)] = None
    assert order(((waiting, timed("x", 1.0)),), 5.0, strategy="latency") == "xw"
    assert order(((fast, timed("n", None)),), strategy="latency") == "nf"  # without a record it gets one


def test_latency_compares_two_of_many() -> None:
    """With a thousand targets the best of two is drawn first, and neither the slow nor the fast half is never drawn."""
    tier = Tier(timed(f"t{n}", 1.0 if n % 2 else 9.0) for n in range(1000))
    demand = Demand(Policy(strategy="latency"), 0.0, random.Random(1), lambda state: KIND)
    firsts = [int(next(ordered((tier,), demand)).name[1:]) for _ in range(2000)]
    assert sum(n % 2 for n in firsts) / 2000 == pytest.approx(0.75, abs=0.04)
    assert len(set(firsts)) > 700
    assert len(set(ordered((tier,), demand))) == 1000


def test_cost() -> None:
    """The cheapest first, three tokens of input to one of output; an unknown price comes last."""
    prices = {"a": Price(1.0, 9.0), "b": Price(2.0, 2.0), "c": None, "d": Price(0.5, 1.0)}
    assert order(([state_of(n, price=p) for n, p in prices.items()],), strategy="cost") == "dbac"


def slow(name: str = "a", **fields: Any) -> TargetState:
    """A target whose answers take 9 s, usually 1 s."""
    state = timed(name, 1.0, **fields)
    for n in range(40):
        state.record_pace(KIND, 1.0 if n < 20 else 9.0, float(n), Brownout())
    assert state.paces[KIND].slow
    state.breaker.last_used = 40.0
    return state


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ({"seconds": 2.0}, "ba"),
        ({"seconds": None}, "ba"),  # its speed is not known: it is tried
        ({"seconds": 12.0}, "ab"),
        ({"seconds": 2.0, "open": True}, "ab"),
    ],
)
def test_a_slow_target_is_passed_over(other: dict[str, Any], expected: str) -> None:
    """As long as another one of the route is closed and faster; also one of a later tier."""
    backup = timed("b", other["seconds"], at=40.0)
    if other.get("open"):
        backup.breaker.open(40.0, random.Random(1), at_least=100)
    assert order(((slow(), backup),), 41.0) == expected
    assert order(((slow(),), (backup,)), 41.0) == expected


def test_a_slow_target_is_sampled() -> None:
    """In one call of fifty, and when it was not used for a minute; with the rule off it keeps its place."""
    tiers = ((slow(),), (timed("b", 2.0),))
    rng = random.Random(2)
    assert sum(order(tiers, 41.0, rng) == "ab" for _ in range(5000)) == pytest.approx(100, abs=35)
    assert order(tiers, 101.0) == "ab"
    assert order(((slow(id="p/m"), timed("b", 2.0, id="q/m")),), 101.0) == "ab", "also before an equal target"
    assert order(tiers, 41.0, brownout=None) == "ab"
    assert order(tiers, 41.0, strategy="weighted") == "ba"


def test_a_target_that_is_back_gets_its_traffic_slowly() -> None:
    """If there is an equal target; a backup with another model returns the traffic immediately."""
    back = slow(id="p/m")
    for n in range(5):
        back.record_pace(KIND, 1.0, 50.0 + n, Brownout())
    assert back.paces[KIND].back_since == 54.0
    equal = timed("b", 2.0, id="q/m")
    for at, draw, expected in [
        (55, 0.09, "ab"),
        (55, 0.11, "ba"),
        (69, 0.49, "ab"),
        (69, 0.51, "ba"),
        (84, 0.99, "ab"),
    ]:
        assert order(((back, equal),), float(at), FixedRandom(draw)) == expected
    assert order(((back, timed("b", 2.0)),), 55.0, FixedRandom(0.5)) == "ab"


def test_a_strategy_of_ones_own() -> None:
    """It is shown each tier with its figures, and may leave targets out; what it returns beside them is an error."""
    pool = scripted_pool("a", "b", ScriptedTarget("c", tier=1), strategy=lambda tier: tier[-1:])
    assert [pool.chat("q").target for _ in range(2)] == ["b", "b"]
    assert [choice.target for choice in pool.explain().choices] == ["b", "c"]
    shown: list[Candidate] = []
    scripted_pool("a", strategy=lambda tier: shown.extend(tier) or tier).chat("q")  # type: ignore[func-returns-value]
    assert [(one.target.name, one.expected_seconds, one.in_flight, one.slow, one.calls) for one in shown] == [
        ("a", None, 0, False, 0)
    ]
    with pytest.raises(RequestError, match="strategy: 'a' is not one of the candidates"):
        scripted_pool("a", strategy=lambda tier: ["a"]).chat("q")  # type: ignore[arg-type,return-value]


def test_an_explanation() -> None:
    """A table: the route, then each target's place, tier, state and what would be done."""
    plan = Explanation(
        "batch",
        (
            Choice("a-long-name", 0, "closed"),
            Choice("b", 12, "recovering", SkipReason.UNAVAILABLE, "rate limited"),
        ),
    )
    assert str(plan).splitlines() == [
        "route batch",
        "  1. a-long-name  tier 0  closed      would be tried",
        "  2. b            tier 12  recovering  skipped: rate limited",
    ]
    assert str(Explanation("none", ())) == "route none"
    assert [choice.admissible for choice in plan.choices] == [True, False]
