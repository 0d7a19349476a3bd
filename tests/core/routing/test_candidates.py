"""Which targets a call may use: by its route or model, and after an outcome."""

from typing import Any

import pytest
from hotspare._routing.candidates import retries_at_once, tiers_for, window_allows
from hotspare.errors import RequestError
from hotspare.outcome import Kind, Outcome
from hotspare.policy import Policy

from tests.support.engine import SERVER, state_of

A = state_of("a", id="p/small", tier=1)
B = state_of("b", id="p/large", tier=0, aliases={"best"})
C = state_of("c", id="q/small", tier=0)
ROUTES = {"default": ((B,), (A, C)), "batch": ((C,),)}


@pytest.mark.parametrize(
    ("model", "route", "tiers"),
    [
        (None, "default", ((B,), (A, C))),
        ("default", "default", ((B,), (A, C))),
        ("batch", "batch", ((C,),)),
        ("small", "small", ((C,), (A,), (B,))),  # those that serve it by their tier, then the others
        ("best", "best", ((B,), (A, C))),
        ("a", "a", ((A,), (B,), (C,))),
        ("q/small", "q/small", ((C,), (B,), (A,))),
    ],
)
def test_tiers_for(model: str | None, route: str, tiers: Any) -> None:
    """A route as it is written; a model or a target's name first the targets that serve it, then the default route."""
    assert tiers_for(model, ROUTES, [A, B, C]) == (route, tiers)


def test_equal_tiers_stay_together() -> None:
    """Targets of one tier that serve a model are one tier, in the pool's order."""
    one, two = state_of("one", id="p/m"), state_of("two", id="q/m")
    assert tiers_for("m", {"default": ((one, two),)}, [two, one]) == ("m", ((two, one),))


def test_an_unknown_model() -> None:
    """The error names the value, and all known models."""
    with pytest.raises(RequestError) as caught:
        tiers_for("huge", ROUTES, [A, B, C])
    assert str(caught.value) == (
        "model: 'huge' is not a route, target, model or alias of this pool; known: "
        "a, b, batch, best, c, default, large, small"
    )


@pytest.mark.parametrize(
    ("policy", "outcome", "seconds", "at_once"),
    [
        ({}, SERVER, 0.9, True),
        ({}, SERVER, 1.0, False),  # no fast failure
        ({"fast_failure": 3.0}, SERVER, 2.0, True),
        ({}, Outcome(Kind.TRANSPORT), 0.1, True),
        ({}, Outcome(Kind.TRANSPORT, before_connect=True), 0.1, False),
        ({}, Outcome(Kind.TIMEOUT), 0.1, False),
        ({}, Outcome(Kind.RATE_LIMITED), 0.1, False),
        ({}, Outcome(Kind.SERVER, should_retry=False), 0.1, False),
        ({}, Outcome(Kind.SERVER, should_retry=True), 0.1, True),
        ({}, Outcome(Kind.SERVER, retry_after=0.0), 0.1, False),
        ({"retry_same_target": "never"}, SERVER, 0.1, False),
        ({"retry_same_target": "always"}, SERVER, 9.0, True),
        ({"retry_same_target": "always"}, Outcome(Kind.SERVER, should_retry=False), 9.0, True),
        ({"retry_same_target": "always"}, Outcome(Kind.TIMEOUT), 0.1, False),
    ],
)
def test_retries_at_once(policy: dict[str, Any], outcome: Outcome, seconds: float, at_once: bool) -> None:
    """A fast failure of kind SERVER or a reset, where the provider does not say otherwise; the policy may decide alone."""
    assert retries_at_once(outcome, seconds, state_of(), Policy(**policy)) is at_once


def test_no_retry_at_a_target_that_often_fails() -> None:
    """Its record has to be good."""
    state = state_of()
    for _ in range(2):
        state.breaker.record_failure(0.0, 0.0)
    assert not retries_at_once(SERVER, 0.1, state, Policy())


@pytest.mark.parametrize(
    ("window", "exceeded", "allows"),
    [(100, 100, False), (99, 100, False), (101, 100, True), (None, 100, True), (5, None, True)],
)
def test_window_allows(window: int | None, exceeded: int | None, allows: bool) -> None:
    """After CONTEXT_LENGTH only a larger window, or another model where one of the two is unknown."""
    small, other = state_of("a", context_window=window), state_of("b", context_window=exceeded)
    tried = {state_of("c", context_window=1): Outcome(Kind.SERVER), other: Outcome(Kind.CONTEXT_LENGTH)}
    assert window_allows(small, tried) is allows
    assert window_allows(small, {other: Outcome(Kind.SERVER)})
    assert window_allows(small, {})
    same = state_of("d", id=other.target.id, context_window=window)
    assert window_allows(same, tried) is (window is not None and exceeded is not None and window > exceeded)
