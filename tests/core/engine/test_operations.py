"""What operators, reloads and a fleet change in a running pool: commands, other targets, another policy, and what is read of it."""

from typing import Any

import pytest
from hotspare import Budget, Limits, events
from hotspare._cost.budgets import Budgets
from hotspare._engine.call import Attempt
from hotspare._engine.commands import Wait
from hotspare._engine.fleet import Fleet, Outbox
from hotspare._engine.scheduler import Scheduler
from hotspare._health.breaker import State
from hotspare._health.facts import Fact
from hotspare._health.probe_lease import ProbeLease
from hotspare._health.target_state import TargetState
from hotspare._routing.shared_rate import Request
from hotspare.outcome import RateLimit
from hotspare.policy import Breaker, Hedge, Policy, RetryBudget
from hotspare.target import Domain

from tests.support.engine import OK, SERVER, FixedRandom, call_of, state_of
from tests.support.fleet_facts import named

REGION = Domain("region", "p", "r")


def scheduler_of(*states: TargetState, **fields: Any) -> Scheduler:
    return Scheduler(states, Policy(**fields), FixedRandom())


def of_one_region(name: str, **fields: Any) -> TargetState:
    fields.setdefault("account", name)
    return state_of(name, id="p/m", region="r", **fields)


def tracker_of(scheduler: Scheduler) -> Any:
    """The health of a pool."""
    return scheduler._shared.tracker  # pyright: ignore[reportPrivateUsage]


def waiting(scheduler: Scheduler, state: TargetState, *others: TargetState) -> Wait:
    """A call that waits for a target, which is rate-limited from now on."""
    state.breaker.rate_limited_until = 60.0
    step = scheduler.next_step(call_of(state, *others), 0.0)
    assert isinstance(step, Wait) and step.waiter is not None
    scheduler.take_pending()
    return step


# --- commands ------------------------------------------------------------------------------------------------------


def test_disable_and_enable() -> None:
    """An attempt is admitted, refused and admitted again; the same target with a caller's own key too; each command is an event."""
    a, guest, other = state_of("a"), state_of("a (own key)"), state_of("b (own key)")
    scheduler = scheduler_of(a)
    scheduler.add_guests(iter([guest, other]))
    scheduler.disable("a", "maintenance")
    assert (a.breaker.disabled, guest.breaker.disabled, other.breaker.disabled) == ("maintenance", "maintenance", "")
    assert not scheduler.is_available(a, 0.0)
    scheduler.enable("a")
    assert (a.breaker.disabled, guest.breaker.disabled) == ("", "") and scheduler.is_available(a, 0.0)
    assert scheduler.take_pending()[0] == [events.TargetDisabled("a", "maintenance"), events.TargetEnabled("a")]


def test_calls_that_wait_for_an_enabled_target() -> None:
    """They check again immediately: no break has to end before."""
    a, b = state_of("a"), state_of("b")
    scheduler = scheduler_of(a, b, when_all_down="wait")
    scheduler.disable("a", "maintenance")
    waiter = waiting(scheduler, b, a).waiter
    scheduler.enable("a")
    assert scheduler.take_to_wake() == [waiter]


def test_a_reset_during_a_probe() -> None:
    """The fleet's lease is free for the probe of another process."""
    a = state_of("a")
    scheduler = scheduler_of(a)
    a.breaker.open(-50.0, FixedRandom())
    lease = a.breaker.lease = ProbeLease(0.0)
    started = scheduler.next_step(call_of(a), 0.0)
    assert isinstance(started, Attempt) and started.permit.probe and lease.in_use
    scheduler.reset("a", 1.0)
    assert not lease.in_use


def test_names_that_are_not_known() -> None:
    """KeyError with the name, and nothing changes."""
    scheduler = scheduler_of(state_of("a"))
    for use in (
        lambda: scheduler.disable("x", ""), lambda: scheduler.enable("x"), lambda: scheduler.reset("x", 0.0),
        lambda: scheduler.in_flight_at("x"),
    ):  # fmt: skip
        with pytest.raises(KeyError, match="'x'"):
            use()
    assert scheduler.take_pending() == ([], [])


def test_reset() -> None:
    """A target begins again: closed, without a record, and calls that wait for it continue; a domain that is its own too."""
    a, b = of_one_region("a"), of_one_region("b")
    scheduler = scheduler_of(a, b, when_all_down="wait")
    tracker = tracker_of(scheduler)
    for state in (a, b):
        state.breaker.open(0.0, FixedRandom(), at_least=90.0)
    region, account = tracker.domains[REGION], tracker.domains[Domain("account", "p", "a")]
    for domain in (region, account):
        domain.open(0.0, FixedRandom(), at_least=90.0)
    a.rejection, a.not_founds, a.last_error = None, 3, "why"
    a.breaker.streams, a.breaker.active, epoch = 2, 1, a.breaker.epoch
    waiter = waiting(scheduler, b).waiter
    tracker.recovering[a] = None
    scheduler.reset("a", 7.0)
    assert (a.breaker.state, a.not_founds, a.last_error) == (State.CLOSED, 0, "")
    assert (a.breaker.evidence_at, a.breaker.epoch, scheduler.in_flight_at("a")) == (7.0, epoch + 1, 3)
    assert b.breaker.state is State.OPEN and not tracker.recovering
    assert region.state is State.OPEN, "it has another target"
    assert account.state is State.CLOSED
    found, woken = scheduler.take_pending()
    assert woken == [waiter]
    assert found == [
        events.StateChanged("a", State.OPEN, State.CLOSED, "", 0.0),
        events.StateChanged(str(Domain("account", "p", "a")), State.OPEN, State.CLOSED, "", 0.0, "account"),
        events.TargetReset("a"),
    ]
    assert [a.breaker.changed_at, account.changed_at] == [7.0, 7.0]


def test_what_a_reset_keeps() -> None:
    """An operator's command, attempts in flight, the lease of a fleet and configured limits; samples and refusals are forgotten."""
    a = state_of("a", limits=Limits(rpm=60))
    scheduler = scheduler_of(a)
    call = call_of(a)
    attempt = scheduler.next_step(call, 0.0)
    assert isinstance(attempt, Attempt) and a.limits is not None
    lease = a.breaker.lease = ProbeLease(0.0)
    part = a.breaker.part = a.breaker.part._replace(processes=4)
    a.breaker.disabled = "maintenance"
    a.limits.observe((RateLimit("tokens", 100, 5, 1.0),), None, OK, 0.0)
    a.first_token.add(1.0)
    a.refused[frozenset({"tools"})] = 99.0
    a.has_slowed, a.last_success = True, 5.0
    a.fails_fast, a.prefill, a.streaming = True, True, False
    scheduler.reset("a", 1.0)
    assert (a.fails_fast, a.prefill, a.streaming) == (False, False, True), "as its backend says"
    assert (a.breaker.disabled, a.breaker.lease, a.breaker.part) == ("maintenance", lease, part)
    assert attempt.permit in a.breaker.in_flight and scheduler.in_flight_at("a") == 1
    assert len(a.first_token) == 0 and not a.refused and not a.has_slowed and a.last_success < 0
    assert a.limits.left(0.0) == {"60 requests a minute": pytest.approx(49.0)}
    scheduler.settle(call, attempt, SERVER, 2.0)
    assert a.breaker.recent == (0, 0), "the result of an older attempt is stale"


# --- other targets --------------------------------------------------------------------------------------------------


def test_guests() -> None:
    """Targets that are passed with a call share what is known of their domains, and leave nothing behind."""
    a = of_one_region("a")
    scheduler = scheduler_of(a)
    tracker = tracker_of(scheduler)
    guest, later = of_one_region("g", account="x"), of_one_region("h", account="x")
    scheduler.add_guests([guest, later])
    tracker.domains[REGION].open(0.0, FixedRandom(), at_least=50.0)
    assert not scheduler.is_available(guest, 1.0)
    tracker.recovering[guest] = None
    assert [domain.domain for domain in scheduler.health(1.0).domains] == [str(domain) for domain in a.domains]
    scheduler.remove_guests(iter([guest]))
    assert list(tracker.guests) == [later] and not tracker.recovering
    assert Domain("account", "p", "x") in tracker.domains
    scheduler.remove_guests([state_of("unknown"), later, later])
    assert set(tracker.domains) == set(a.domains) and REGION in tracker.domains
    assert scheduler.health(1.0).targets[0].target == "a"


def test_another_policy_and_other_targets() -> None:
    """The domains that are still used keep their health, budgets begin again, calls that wait continue, all with the new settings."""
    a, b = of_one_region("a"), of_one_region("b", limits=Limits(rpm=60))
    scheduler = scheduler_of(a, retry_budget=RetryBudget(tokens_per_minute=1.0))
    tracker = tracker_of(scheduler)
    tracker.domains[REGION].open(0.0, FixedRandom(), at_least=50.0)
    b.breaker.recover(0.0)
    waiter = waiting(scheduler, a).waiter
    scheduler.add_guests([state_of("g")])
    policy = Policy(
        breaker=Breaker(consecutive_failures=1), retry_budget=RetryBudget(tokens_per_minute=6.0, tokens_per_call=0.5),
        hedge=Hedge(max_extra_calls=1.0, max_saved=1.0), max_rejection=0.0, check_jitter=9.0,
    )  # fmt: skip
    scheduler.replace([b], policy)
    assert [one.target for one in scheduler.health(0.0).targets] == ["b"] and not tracker.guests
    assert list(tracker.recovering) == [b] and len(tracker.limits) == 1
    assert tracker.domains[REGION].state is State.OPEN and b.breakers[1] is tracker.domains[REGION]
    assert b.breaker.config is tracker.domains[REGION].config is policy.breaker
    assert scheduler.take_to_wake() == [waiter] and scheduler.take_to_wake() == []
    assert scheduler.check_jitter == 9.0
    shared = scheduler._shared  # pyright: ignore[reportPrivateUsage]
    assert shared.policy is policy
    scheduler.call_started(0.0)
    assert scheduler.health(0.0).retry_tokens == 6.5
    assert shared.hedge_tokens.withdraw() and not shared.hedge_tokens.withdraw()
    for _ in range(9):
        shared.client_throttle.record(0.0, accepted=False)
    assert tracker._policy is policy


def test_budgets_are_read() -> None:
    """Without budgets there is nothing; with them what was spent, and what is left."""
    a = state_of()
    assert (scheduler_of(a).spent(), scheduler_of(a).budgets()) == ({}, [])
    budgets = Budgets([Budget(usd=10, per="day")], lambda: 1800.0)
    budgets.add("default", {}, [(a.target, 4.0)])
    scheduler = Scheduler([a], Policy(), FixedRandom(), budgets)
    assert scheduler.spent() == {"day": 4.0}
    assert [(one.name, one.spent) for one in scheduler.budgets()] == [("day", 4.0)]


def test_what_is_pending() -> None:
    """Events, waiting calls and calls whose events are postponed; nothing else."""
    a = state_of()
    scheduler = scheduler_of(a)
    assert not scheduler.has_pending
    scheduler.enable("a")
    assert scheduler.has_pending
    scheduler.take_pending()
    assert not scheduler.has_pending
    scheduler.answered.append((call_of(a), 1.0))
    assert scheduler.has_pending


# --- background checks -----------------------------------------------------------------------------------------------


def test_which_targets_are_checked() -> None:
    """Unavailable ones with `check`, in the pool's regions, with the time from which on they admit an attempt."""
    opened = [
        state_of(name, check=True, region=region)
        for name, region in (("a", "r"), ("b", "s"), ("c", "r"), ("d", "r"), ("e", "r"))
    ]
    a, b, c, d, e = opened
    unchecked = state_of("f")
    scheduler = scheduler_of(*opened, unchecked, regions=["r"])
    for state in (a, b, unchecked):
        state.breaker.open(0.0, FixedRandom(), at_least=50.0)
    d.breaker.rate_limited_until, e.breaker.rate_limited_until = 9.0, 4.0
    e.breaker.last_used = 4.0
    assert scheduler.to_check(5.0) == {a: 50.0, d: 9.0}
    assert c.breaker.state is State.CLOSED
    a.breaker.disabled = "gone"
    assert scheduler.to_check(5.0) == {d: 9.0}, "never"


def test_a_check_requests_the_lease() -> None:
    """In a fleet, a target whose break is over waits for the lease of its probe."""
    a = state_of("a", check=True)
    scheduler = scheduler_of(a)
    a.breaker.open(0.0, FixedRandom(), cause="server")
    a.breaker.lease = ProbeLease(0.0)
    tracker_of(scheduler).has_news = False
    scheduler.to_check(a.breaker.open_until)
    assert scheduler.has_news and a.breaker.lease.wanted


@pytest.mark.parametrize(
    ("fields", "wants"),
    [
        ({}, True), ({"cause": ""}, False), ({"lease": None}, False), ({"open_until": 9.0}, False), ({"rate_limited_until": 9.0}, False),
        ({"state": State.CLOSED}, False), ({"state": State.HALF_OPEN}, True), ({"_probe": object()}, False),
    ],
)  # fmt: skip
def test_when_a_lease_is_wanted(fields: dict[str, Any], wants: bool) -> None:
    """The break is over, the fleet knows of it, and no probe is in flight."""
    breaker = state_of("a").breaker
    breaker.open(0.0, FixedRandom(), cause="server")
    breaker.lease = ProbeLease(0.0)
    breaker.open_until = breaker.rate_limited_until = 8.0
    for name, value in fields.items():
        setattr(breaker, name, value)
    assert breaker.wants_lease(8.0) is wants


# --- a fleet ----------------------------------------------------------------------------------------------------------


def joined(scheduler: Scheduler) -> Fleet:
    """The scheduler's fleet, with an available store."""
    found: list[Fleet] = []

    def member(tracker: Any) -> Fleet:
        found.append(Fleet(tracker, named, lambda scope, unit: unit, 0.0, None))
        found[0].connected(2, 0.0)
        return found[0]

    scheduler.join(member)
    return found[0]


def test_a_pool_without_a_fleet() -> None:
    """There is nothing to write, and what is read changes nothing."""
    scheduler = scheduler_of(state_of("a", limits=Limits(rpm=60)))
    assert scheduler.fleet_outbox(0.0) == Outbox() and not scheduler.shares_limits
    scheduler.fleet_change(lambda _: pytest.fail("there is no fleet"))


def test_a_pool_in_a_fleet() -> None:
    """It writes what it knows, and a change that lets a call continue wakes one."""
    a = state_of("a", account="x")
    scheduler = scheduler_of(a)
    fleet = joined(scheduler)
    a.breaker.open(0.0, FixedRandom(), at_least=50.0, cause="server")
    assert [fact.subject for fact in scheduler.fleet_outbox(1.0).facts] == ["a"]
    step = waiting(scheduler, a)
    seen: list[Fleet] = []
    scheduler.fleet_change(lambda one: bool(seen.append(one)))
    assert seen == [fleet] and scheduler.take_to_wake() == []
    scheduler.fleet_change(lambda _: True)
    assert scheduler.take_to_wake() == [step.waiter]
    late = state_of("b", account="y")
    scheduler.add([late])
    assert late.breaker.lease is not None
    other = state_of("c", account="z")
    scheduler.replace([other], Policy())
    assert other.breaker.lease is not None
    fleet.merge(Fact("c", "limit", "limited", 5.0), 0.0)
    assert other.breaker.rate_limited_until == 5.0


def test_after_a_fork() -> None:
    """A child has no attempts, no waiting calls and no leases, and contacts the store with its first call."""
    a = state_of("a", account="x")
    scheduler = scheduler_of(a)
    scheduler.after_fork()
    assert not scheduler.has_news, "no fleet"
    fleet = joined(scheduler)
    scheduler.next_step(call_of(a), 0.0)
    tracker_of(scheduler).has_news = False
    lock = scheduler._lock  # pyright: ignore[reportPrivateUsage]
    scheduler.after_fork()
    assert scheduler.has_news and not fleet.is_connected and scheduler.health(0.0).in_flight == 0
    assert scheduler._lock is not lock  # pyright: ignore[reportPrivateUsage]
    assert scheduler.in_flight_at("a") == 0


def test_the_stores_answer_about_a_limit() -> None:
    """Granted units let waiting calls continue; without an answer the request is repeated later."""
    a = state_of("a", account="x", limits=Limits(rpm=60, burst=1))
    scheduler = scheduler_of(a)
    joined(scheduler)
    assert scheduler.shares_limits
    call = call_of(a)
    step = scheduler.next_step(call, 1.0)
    assert isinstance(step, Wait) and scheduler.has_news
    ((rate, request),) = scheduler.fleet_outbox(1.0).requests
    assert isinstance(request, Request) and request.want == 1.0
    scheduler.take_pending()
    scheduler.fleet_granted(rate, request, None, 1.01)
    assert scheduler.fleet_outbox(1.02).requests == []
    scheduler.fleet_granted(rate, request, (1.0, 0.0), 1.03)
    assert scheduler.take_to_wake() == [step.waiter]
    assert isinstance(scheduler.next_step(call, 1.04), Attempt)
