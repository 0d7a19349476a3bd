"""Whatever targets share, and whatever fails: a target that always answers loses no call to what its neighbours have shown."""

from collections.abc import Sequence

from hotspare._engine.call import Attempt
from hotspare.outcome import OK, Kind, Outcome
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.engine import SERVER, TIMEOUT, Engine
from tests.support.health import REFUSED

CALLS, PAUSE = 30, 0.2
FAILURES = (SERVER, TIMEOUT, REFUSED, Outcome(Kind.RATE_LIMITED, "slow down", 429))
PLACES = st.tuples(st.sampled_from("ppq"), st.sampled_from("rrs"), st.sampled_from("xy"))
"""Provider, region and account of a target."""
OUTAGES = st.lists(st.tuples(st.integers(0, CALLS), st.integers(1, CALLS), st.sampled_from(FAILURES)), max_size=3)
"""Of a target: the first call that meets it, for how many calls it lasts, and what the target does."""


@example(places=[("p", "r", "x")] * 3, outages=[[(0, CALLS, REFUSED)]] * 4, well=2)
@example(
    places=[("p", "r", "x"), ("p", "r", "y"), ("q", "s", "x"), ("p", "r", "y")],
    outages=[[(0, CALLS, SERVER)], [(0, CALLS, SERVER)], [(15, CALLS, SERVER)], []],
    well=3,
)
@settings(max_examples=15)
@given(
    places=st.lists(PLACES, min_size=2, max_size=5),
    outages=st.lists(OUTAGES, min_size=4, max_size=4),
    well=st.integers(0, 4),
)
def test_no_domain_rule_loses_a_call(
    places: Sequence[tuple[str, str, str]], outages: list[list[tuple[int, int, Outcome]]], well: int
) -> None:
    """One target of a random pool answers every attempt; the others fail at random times. Each call is answered immediately: none
    gives up, and none waits for a break to end."""
    names = "abcde"[: len(places)]
    targets = {
        name: {"id": f"{provider}/m", "region": region, "account": account}
        for name, (provider, region, account) in zip(names, places, strict=True)
    }
    good = names[well % len(names)]
    troubles = dict(zip([name for name in names if name != good], outages, strict=False))
    engine = Engine(names, targets=targets, retry_same_target="never")
    for number in range(CALLS):
        now = number * PAUSE
        engine.tracker.record_call(now)
        engine.shared.retry_tokens.deposit(now)
        call = engine.call(started=now, deadline=now + 20)
        outcome = SERVER
        while not outcome.ok:
            step = engine.step(call, now)
            assert isinstance(step, Attempt), (number, step)
            name = step.state.name
            active = [what for first, count, what in troubles.get(name, ()) if first <= number < first + count]
            outcome = active[0] if active else OK
            engine.settle(call, step, outcome, now)
