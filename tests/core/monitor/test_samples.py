"""The metrics of rules, from events and the pool's health."""

from contextlib import suppress
from typing import Any

import pytest
from hotspare import Budget, CallError, ConfigError, Kind, Limits, Price, Usage
from hotspare.events import (
    AlertFired,
    BudgetReached,
    CallEnded,
    CallResult,
    Event,
    LedgerFailed,
    LedgerRecovered,
    NeedsAttention,
    RateLimited,
    UsageSampled,
)
from hotspare.monitor import DEFAULT_RULES, Monitor, Rule
from hotspare.monitor.samples import Samples
from hotspare.outcome import Outcome
from hotspare.testing import ScriptedTarget, VirtualClock, answer, fail, scripted_pool


def call(seconds: float = 1.0, result: CallResult = CallResult.ANSWERED, **fields: Any) -> CallEnded:
    """The end of a call."""
    return CallEnded("c", "a", (), seconds, result, **fields)


def values(samples: Samples, now: float, window: float = 60.0, pool: Any = None) -> dict[str, float | None]:
    """Every metric over one window."""
    from typing import get_args

    from hotspare.monitor.rules import Metric

    rules = [Rule(name=metric, metric=metric, threshold=0, window=window) for metric in get_args(Metric)]
    pool = pool or scripted_pool("a")
    return {rule.metric: value for rule, value, _ in samples.values(rules, pool.health(), pool.budgets(), now)}


def test_metrics_of_calls() -> None:
    """Mean, p95 and maximum of answered calls; the share of those not answered, without callers who left; rescued ones; USD."""
    samples = Samples()
    samples.add(call(500.0), 10.0)  # before the window
    for seconds in range(1, 21):
        samples.add(call(float(seconds), ttft=seconds / 10, rescued=seconds <= 5, cost=0.5), 100.0)
    samples.add(call(99.0, CallResult.FAILED), 101.0)
    samples.add(call(99.0, CallResult.INTERRUPTED), 101.0)
    samples.add(call(99.0, CallResult.ABANDONED), 101.0)
    found = values(samples, 110.0)
    assert (found["calls"], found["latency_mean"], found["latency_p95"], found["latency_max"]) == (23, 10.5, 19.0, 20.0)
    assert (found["ttft_p95"], found["error_rate"], found["rescue_rate"]) == (1.9, 2 / 22, 0.25)
    assert (found["cost"], found["cost_forecast"]) == (10.0, 10.0 * 86_400 / 60)
    assert values(samples, 3_700.0)["cost"] == 0.0 and values(samples, 3_800.0)["latency_mean"] is None


def test_the_cost_of_a_day() -> None:
    """Spending is kept for a day, calls for an hour."""
    samples = Samples()
    for hour in range(30):
        samples.add(call(cost=1.0), hour * 3600.0)
    cost = Rule(name="cost", metric="cost", threshold=0, window=86_400)
    ((_, value, calls),) = samples.values([cost], scripted_pool("a").health(), (), 29 * 3600.0 + 60)
    assert (value, calls) == (24.0, 1)


def test_metrics_of_events_and_of_the_moment() -> None:
    """Rejected keys, quotas, missing models, rate limits; targets that admit a call; a ledger that fails, until it is back."""
    samples, pool = Samples(), scripted_pool("a", "b")
    for kind in (Kind.AUTH, Kind.QUOTA, Kind.NOT_FOUND):
        samples.add(NeedsAttention("a", kind, ""), 100.0)
    samples.add(RateLimited("a", 1.0, None), 100.0)
    samples.add(BudgetReached("day", 100.0, 100.0, "warn", 3600.0), 100.0)
    samples.add(LedgerFailed("x", "full"), 100.0)
    pool.disable("a")
    found = values(samples, 110.0, pool=pool)
    names = (
        "keys_rejected",
        "quotas_used_up",
        "models_missing",
        "rate_limits",
        "budgets_reached",
        "available_targets",
        "ledger_failing",
    )
    assert [found[name] for name in names] == [1] * 7
    assert (found["open_domains"], found["waiting_calls"], found["error_rate"]) == (0, 0, None)
    samples.add(LedgerRecovered("x", 0), 120.0)
    assert values(samples, 161.0)["ledger_failing"] == values(samples, 161.0)["keys_rejected"] == 0


def test_limits_and_budgets_that_are_nearly_used() -> None:
    """Nine of ten calls a day are used; a quarter of the day has passed and two thirds of its budget: it will not last. Their minute is an event."""
    clock, now = VirtualClock(), [0.0]
    target = ScriptedTarget("a", answer("hi", usage=Usage(1_000_000, 0)), price=Price(1.0, 1.0), limits=Limits(rpd=10))
    pool = scripted_pool(
        target,
        clock=clock,
        calendar=lambda: now[0],
        budgets=[Budget(usd=13.5, per="day", action="warn"), Budget(usd=100, per="hour", labels={"team": "*"})],
    )
    assert pool.budgets()[0].forecast is None and values(Samples(), 0.0, pool=pool)["budget_forecast"] is None
    now[0] = 6 * 3600.0
    for _ in range(9):
        pool.chat("q", labels={"team": "x"})
    found = values(Samples(), 0.0, pool=pool)
    assert found["limit_used"] == pytest.approx(0.9) and found["budget_used"] == pytest.approx(9 / 13.5)
    assert found["budget_forecast"] == pytest.approx(4 * 9 / 13.5)
    assert [(one.name, one.key, one.spent) for one in pool.budgets()] == [
        ("day", "day", 9.0),
        ("hour team=*", "hour team=* team=x", 9.0),
    ]
    at, seen = [1_000.0], list[Event]()
    pool.subscribe(seen.append)
    monitor = Monitor(pool, clock=lambda: at[0])
    for _ in range(62):
        monitor.evaluate()
        at[0] += 1
    sampled = [one for one in seen if isinstance(one, UsageSampled)]
    assert [(one.kind, one.subject) for one in sampled] == [
        ("limit", "a: 10 requests a day"),
        ("budget", "day"),
        ("budget", "hour team=* team=x"),
    ]
    assert sampled[0].share == pytest.approx(0.9)
    assert [one.rule for one in seen if isinstance(one, AlertFired)] == ["limit_nearly_used"]


def test_a_target_that_only_admits_a_probe_is_not_available() -> None:
    """In an outage each break ends with a probe that fails: the alert about it must not wait for a moment without one."""
    clock = VirtualClock()
    refused = fail(Outcome(Kind.TRANSPORT, "refused", before_connect=True))
    pool = scripted_pool(
        ScriptedTarget("a", [refused] * 5 + ["ok"]),
        clock=clock,
        when_all_down="fail",
        retry_same_target="never",
        max_rejection=0.0,
    )
    for _ in range(3):  # two attempts each; the fifth failure opens the breaker
        with pytest.raises(CallError):
            pool.chat("q")
    clock.advance(60.0)
    assert pool.health()["a"].available_in == 0 and values(Samples(), 0.0, pool=pool)["available_targets"] == 0
    assert pool.chat("q").text == "ok" and values(Samples(), 0.0, pool=pool)["available_targets"] == 1


def test_a_domain_that_only_admits_a_probe_is_still_out() -> None:
    """Both targets of a region fail; its break is over: it is out until a probe has succeeded."""
    clock = VirtualClock()
    refused = fail(Outcome(Kind.TRANSPORT, "refused", before_connect=True))
    names = ("a", "b")
    pool = scripted_pool(
        *(ScriptedTarget(name, [refused] * 6 + ["ok"] * 9, id=f"p/{name}") for name in names),
        clock=clock,
        when_all_down="fail",
        max_rejection=0.0,
    )
    for _ in range(4):
        with pytest.raises(CallError):
            pool.chat("q")
    assert values(Samples(), 0.0, pool=pool)["open_domains"] == 1
    clock.advance(60.0)
    (domain,) = [one for one in pool.health().domains if one.level == "region"]
    assert domain.available_in == 0 and values(Samples(), 0.0, pool=pool)["open_domains"] == 1
    while pool.health()["a"].state != "closed":
        with suppress(CallError):
            pool.chat("q")
        clock.advance(30.0)
    assert values(Samples(), 0.0, pool=pool)["open_domains"] == 0


def test_the_default_rules_are_the_ones_that_guides_name() -> None:
    """Latency over 5 and 15 s, errors over 5 %, no target, 100 USD; each with advice."""
    named = {one.name: (one.metric, one.comparison, one.threshold, one.severity) for one in DEFAULT_RULES}
    assert named["latency"] == ("latency_mean", ">", 5, "warning")
    assert named["latency_critical"] == ("latency_mean", ">", 15, "critical")
    assert named["error_rate"] == ("error_rate", ">", 0.05, "critical")
    assert named["no_healthy_target"] == ("available_targets", "<", 1, "critical")
    assert named["cost"] == ("cost", ">", 100, "warning")
    assert all(one.advice and one.message(1.0) for one in DEFAULT_RULES)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"metric": "latency"}, "rule.metric: 'latency' must be one of calls"),
        ({"comparison": "="}, "rule.comparison: '=' must be one of >"),
        ({"severity": "bad"}, "rule.severity: 'bad' must be one of critical"),
        ({"window": 7200.0}, "rule.window: 7200.0 must be above 0 and at most 3600"),
        ({"hold": -1.0}, "rule.hold: -1.0 must not be negative"),
        ({"name": ""}, "rule.name: '' must not be empty"),
    ],
)
def test_wrong_rules_are_named(fields: dict[str, Any], words: str) -> None:
    """With the field and the way out."""
    with pytest.raises(ConfigError, match=words.replace("(", r"\(")):
        Rule(**({"name": "r", "metric": "calls", "threshold": 1.0} | fields))


def test_the_longest_window_of_a_rule() -> None:
    """A day of costs is kept, and an hour of calls."""
    Rule(name="x", metric="cost", threshold=1, window=86_400)
    Rule(name="x", metric="cost_forecast", threshold=1, window=86_400)
    with pytest.raises(ConfigError, match=r"rule\.window: 86400 must be above 0 and at most 3600 seconds"):
        Rule(name="x", metric="calls", threshold=1, window=86_400)
