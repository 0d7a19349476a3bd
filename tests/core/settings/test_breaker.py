"""Each setting of `Breaker` has an effect."""

from typing import Any

import pytest
from hotspare import Breaker, Kind, Outcome, Timeouts
from hotspare.events import StateChanged
from hotspare.testing import Script, ScriptedTarget, VirtualClock, fail, hang, scripted_pool

from tests.support.calls import Ask, run_calls, run_concurrently
from tests.support.settings import Effects, Two

EFFECTS = Effects(Breaker)
DOWN = Outcome(Kind.SERVER, "down", 500)
LIMITED = Outcome(Kind.RATE_LIMITED, "slow down", 429)


@pytest.mark.parametrize("name", EFFECTS.names)
def test_the_setting_has_an_effect(name: str) -> None:
    """What is seen differs between two values of the setting, in the expected way."""
    EFFECTS.check(name)


def pair(script: Script, **breaker: Any) -> Two:
    """Targets with this breaker, which no failure ratio opens unless it is given."""
    return Two(script, breaker=Breaker(**{"failure_span": 0, "minimum_throughput": 99, **breaker}))


def opened(**breaker: Any) -> Two:
    """A target whose first failure has opened its breaker, and that answers afterwards."""
    two = pair([DOWN, "a"], consecutive_failures=1, **breaker)
    two.calls(1)
    return two


@EFFECTS.of("consecutive_failures", {2: 2, 4: 4})
def _(value: int) -> object:
    """Failures until it opens."""
    return pair(DOWN, consecutive_failures=value).until_open()


@EFFECTS.of("failure_span", {0.5: 2, 2.5: 4})
def _(value: float) -> object:
    """Failures, a second apart, until they span `seconds`."""
    return pair(DOWN, consecutive_failures=2, failure_span=value).until_open(pause=1)


@EFFECTS.of("failure_ratio", {0.5: 5, 0.9: None})
def _(value: float) -> object:
    """Every second attempt fails."""
    return pair([DOWN, "a"] * 20, failure_ratio=value, minimum_throughput=4, consecutive_failures=99).until_open()


@EFFECTS.of("outlier_ratio", {0.3: 21, 0.4: None})
def _(value: float) -> object:
    """Every third attempt fails, and a target with the same model stands ready."""
    clock = VirtualClock(0)
    pool = scripted_pool(
        ScriptedTarget("a", ["a", "a", DOWN] * 20, id="p/m"), ScriptedTarget("b", "b", id="q/m"), clock=clock,
        breaker=Breaker(outlier_ratio=value),
    )  # fmt: skip
    for number in range(1, 40):
        run_calls("sync", pool, clock, [Ask(streaming=True)])
        if pool.health()["a"].state == "open":
            return number
    return None


@EFFECTS.of("minimum_throughput", {3: 3, 6: 6})
def _(value: int) -> object:
    """Outcomes until the ratio counts."""
    return pair(DOWN, minimum_throughput=value, consecutive_failures=99).until_open()


def in_window(pause: float, **breaker: Any) -> int:
    """Outcomes in the recent window after ten calls."""
    two = pair("a", **breaker)
    two.calls(10, pause=pause)
    return two.pool.health()["a"].calls


@EFFECTS.of("window_calls", {3: 3, 5: 5})
def _(value: int) -> object:
    """All are older than `window_seconds`, and none older than `window_max`."""
    return in_window(10, window_calls=value, window_seconds=1, window_max=1000)


@EFFECTS.of("window_seconds", {2.5: 3, 5.5: 6})
def _(value: float) -> object:
    """Those of the last seconds are kept, however many they are."""
    return in_window(1, window_calls=1, window_seconds=value)


@EFFECTS.of("window_max", {25: 3, 45: 5})
def _(value: float) -> object:
    """Nothing older is kept, however few they are."""
    return in_window(10, window_calls=100, window_max=value)


@EFFECTS.of("stalled_calls", {2: "2 calls without an answer for over 4.0 s", 3: ""})
def _(value: int) -> object:
    """Two calls wait for a first token until its timeout is over, before either has failed."""
    two = Two(
        hang(),
        breaker=Breaker(stalled_calls=value, failure_span=0),
        timeouts=Timeouts(first_token=4),
        on_slow="race",
        deadline=60,
    )
    reasons: list[str] = []
    two.pool.subscribe(
        lambda event: reasons.append(event.reason) if isinstance(event, StateChanged) else None, inline=True
    )
    run_concurrently("asyncio", two.pool, two.clock, [Ask(), Ask()])
    return "".join(reasons)


@EFFECTS.of("break_duration", {4.0: 2.0, 8.0: 4.0})
def _(value: float) -> object:
    """Seconds until it admits a probe, with jitter at half of it."""
    return opened(break_duration=value, fast_break_duration=99.0).pool.health()["a"].available_in


@EFFECTS.of("fast_break_duration", {0.5: 0.25, 2.0: 1.0})
def _(value: float) -> object:
    """The same after a fast failure, where another target stands ready."""
    return opened(fast_break_duration=value).pool.health()["a"].available_in


@EFFECTS.of("max_probe_share", {0.1: 7.9, 0.5: 1.4})
def _(value: float) -> object:
    """The break after many calls, one a second, all of which would have doubled it."""
    two = pair(DOWN, consecutive_failures=1, max_probe_share=value, max_break_duration=100)
    two.calls(60, pause=1)
    two.clock.sleep(two.pool.health()["a"].available_in or 0)
    two.calls(1)
    return round(two.pool.health()["a"].available_in or 0, 1)


@EFFECTS.of("max_break_duration", {15.0: 11.25, 100.0: 30.0})
def _(value: float) -> object:
    """The third break, after two probes that failed: 10 s, doubled twice."""
    two = pair(DOWN, consecutive_failures=1, break_duration=10, fast_break_duration=99.0, max_break_duration=value)
    two.calls(3, pause=50)
    return two.pool.health()["a"].available_in


@EFFECTS.of("max_retry_after", {10.0: 10.0, 1000.0: 100.0})
def _(value: float) -> object:
    """How much of a Retry-After of 100 s is honoured."""
    two = pair(fail(429, "slow down", retry_after=100), max_retry_after=value)
    two.calls(1)
    return two.pool.health()["a"].rate_limited_for


@EFFECTS.of("auth_break_duration", {7.0: 7.0, 50.0: 50.0})
def _(value: float) -> object:
    """How long a target is not called after a 401."""
    two = pair(Outcome(Kind.AUTH, "no such key", 401), auth_break_duration=value)
    two.calls(1)
    return two.pool.health()["a"].available_in


@EFFECTS.of("not_found_break_duration", {7.0: 7.0, 50.0: 50.0})
def _(value: float) -> object:
    """How long a target is not called after a 404."""
    two = pair(Outcome(Kind.NOT_FOUND, "no such model", 404), not_found_break_duration=value)
    two.calls(1)
    return two.pool.health()["a"].available_in


@EFFECTS.of("max_not_found_break_duration", {90.0: 90.0, 1000.0: 240.0})
def _(value: float) -> object:
    """After the third 404 in a row: 60 s, doubled twice."""
    two = pair(Outcome(Kind.NOT_FOUND, "no such model", 404), max_not_found_break_duration=value)
    for _ in range(3):
        two.calls(1)
        available = two.pool.health()["a"].available_in
        two.clock.sleep(available or 0)
    return available


@EFFECTS.of("rate_limit_backoff", {2.0: 1.0, 8.0: 4.0})
def _(value: float) -> object:
    """How long a target is not called after a 429 without Retry-After, with jitter at half of it."""
    two = pair(LIMITED, rate_limit_backoff=value)
    two.calls(1)
    return two.pool.health()["a"].rate_limited_for


@EFFECTS.of("max_rate_limit_backoff", {6.0: 3.0, 100.0: 8.0})
def _(value: float) -> object:
    """The third in a row: 4 s, doubled twice."""
    two = pair(LIMITED, rate_limit_backoff=4, max_rate_limit_backoff=value)
    two.calls(3, pause=20)
    return two.pool.health()["a"].rate_limited_for


@EFFECTS.of("backoff_reset", {10.0: 1, 100.0: 2})
def _(value: float) -> object:
    """Trips that count, after two of them with more than 20 s in the closed state between them."""
    two = pair([DOWN, "a", DOWN], consecutive_failures=1, backoff_reset=value, slow_start=0)
    two.calls(2, pause=10)
    two.calls(1, pause=25)
    return two.pool.health()["a"].trips


@EFFECTS.of("probe_lease", {10.0: 10.0, 50.0: 50.0})
def _(value: float) -> object:
    """Seconds until another probe may be made, while one has no result."""
    two = opened(probe_lease=value)
    two.clock.advance(10)
    call = two.pool._call("q", {}, streaming=True)
    two.pool._scheduler.call_started(two.clock(), call)
    two.pool._scheduler.next_step(call, two.clock())
    return two.pool.health()["a"].available_in


@EFFECTS.of("slow_start", {10.0: 0.5, 20.0: 0.25})
def _(value: float) -> object:
    """The share of its traffic that a target gets five seconds after a recovery."""
    two = opened(slow_start=value)
    two.calls(1, pause=10)
    two.clock.advance(5)
    return two.pool.health()["a"].traffic_share


@EFFECTS.of("slow_start_min_share", {0.125: 0.125, 0.5: 0.5})
def _(value: float) -> object:
    """The share of its traffic that a target gets right after a recovery."""
    two = opened(slow_start_min_share=value)
    two.calls(1, pause=10)
    return two.pool.health()["a"].traffic_share
