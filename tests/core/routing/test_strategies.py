"""In which order the targets of a route are tried, and how a plan is shown."""

import random
from collections import Counter
from typing import Any

import pytest
from hotspare._routing.explain import Choice, Explanation, SkipReason
from hotspare._routing.strategies import ordered
from hotspare.policy import Policy
from hotspare.target import Domain

from tests.support.engine import FixedRandom, state_of

A, B, C, D = (
    state_of(name, id="p/m", region=region) for name, region in zip("abcd", ("r1", "r2", "r1", "r2"), strict=True)
)


def names(found: Any) -> str:
    return "".join(state.name for state in found)


@pytest.mark.parametrize(
    ("tiers", "avoided", "order"),
    [
        (((A, B, C, D),), (), "abcd"),
        (((D, B), (C, A)), (), "dbca"),
        (((A, B, C, D),), ("r1",), "bdac"),
        (((A, C), (B, D)), ("r1",), "acbd"),  # last in their tier, not in the route
        (((A, B), (C, D)), ("r1",), "badc"),
        (((A, B, C, D),), ("r3",), "abcd"),
    ],
)
def test_ordered(tiers: Any, avoided: tuple[str, ...], order: str) -> None:
    """Tier by tier as written; targets in an avoided domain come last in their tier."""
    domains = {Domain("region", "p", name) for name in avoided}
    assert names(ordered(tiers, Policy(), domains, 0.0, FixedRandom())) == order


@pytest.mark.parametrize(("draw", "order"), [(0.0, "abc"), (0.49, "abc"), (0.5, "bca"), (0.9, "bca")])
def test_a_recovering_target_gets_its_share(draw: float, order: str) -> None:
    """With the probability of its share it keeps its place; otherwise it comes after all others, of every tier. But only an
    equal target that is closed takes its place."""
    recovering = state_of("a", id=f"x/{B.target.model}")
    recovering.breaker.recover(0.0)
    tiers = ((recovering, B), (C,))
    other = state_of("a", id="x/another-model")
    other.breaker.recover(0.0)
    assert names(ordered(((other, B), (C,)), Policy(), frozenset(), 15.0, FixedRandom(0.9))) == "abc"
    assert names(ordered(tiers, Policy(), frozenset(), 15.0, FixedRandom(draw))) == order
    assert names(ordered(tiers, Policy(), frozenset(), 30.0, FixedRandom(0.99))) == "abc"


def test_a_closed_target_keeps_its_place() -> None:
    """Nothing is drawn for a target that has its whole share."""

    class NoChance(random.Random):
        def random(self) -> float:
            raise AssertionError("something was drawn")

    assert names(ordered(((A, B),), Policy(), frozenset(), 0.0, NoChance())) == "ab"


def test_weighted() -> None:
    """The first one is drawn by weight, within each tier."""
    heavy, light, later = state_of("h", weight=3.0), state_of("l"), state_of("z", weight=99.0)
    policy, rng = Policy(strategy="weighted"), random.Random(5)
    orders = Counter(names(ordered(((heavy, light), (later,)), policy, frozenset(), 0.0, rng)) for _ in range(4000))
    assert set(orders) == {"hlz", "lhz"}
    assert orders["hlz"] / 4000 == pytest.approx(0.75, abs=0.03)


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
