"""Healthy answers that take long by chance: how many of them the timeouts cut short, at latencies with heavy tails."""

import math
import random

import pytest
from hotspare._engine.timeouts import attempt_timeout, p95_of
from hotspare.policy import Policy

from tests.support.engine import call_of, state_of
from tests.support.tables import Record, note

CALLS = 30_000
POLICY = Policy()


def share_cut_short(median: float, sigma: float, *, unary: bool) -> float:
    """The share of healthy calls that take longer than their attempt's timeout, which follows the target's record; an answer
    that was cut short never gets into that record."""
    rng, state = random.Random(4), state_of()
    samples = state.completion if unary else state.first_token
    call, cut = call_of(state, streaming=not unary, deadline=POLICY.deadline), 0
    for _ in range(CALLS):
        seconds = median * math.exp(rng.gauss(0, sigma))
        p95 = p95_of(state, POLICY, unary=unary)
        bound = attempt_timeout(call, state, POLICY, 0.0, p95=p95, unary=unary, others_in=0.0, probe=False)
        if seconds > bound:
            cut += 1
        else:
            samples.add(seconds)
    return cut / CALLS


@pytest.mark.parametrize("unary", [True, False], ids=["whole", "stream"])
@pytest.mark.parametrize("median", [0.05, 0.3, 1.0, 2.0, 5.0])
def test_healthy_slow_calls_are_left_alone(median: float, unary: bool, record_property: Record) -> None:
    """At a p95 of three times the median less than one call in a thousand is cut short, whatever the median is."""
    shares = {sigma: share_cut_short(median, sigma, unary=unary) for sigma in (0.7, 1.0)}
    for place, (sigma, share) in enumerate(shares.items()):
        row = (int(median * 100), f"median {median:g} s")
        note(
            record_property,
            "healthy calls cut short, %",
            row,
            (place + 2 * unary, f"{'whole' if unary else 'stream'}, sigma {sigma}"),
            f"{share:.3%}",
        )
    assert shares[0.7] < 0.001 and shares[1.0] < 0.008
