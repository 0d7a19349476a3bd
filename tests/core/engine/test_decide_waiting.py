"""What a call does next, rules 6 to 8 (`hotspare._engine.decide`): no budget, waiting, last resort, and the reasons shown."""

from itertools import pairwise
from math import inf
from typing import Any

import pytest
from hotspare import Limits
from hotspare._engine import decide, limiting
from hotspare._engine.attempts import FAST_PROBES, MAX_FAST_PROBES
from hotspare._engine.call import Attempt, Call
from hotspare._engine.commands import Wait
from hotspare._engine.decide import GiveUp
from hotspare._engine.reasons import choice
from hotspare._health.admission import AdmissionWindow
from hotspare._routing.explain import Choice, SkipReason
from hotspare.outcome import OK, AttemptReason, Kind, Outcome, Scope
from hotspare.policy import Policy, RetryBudget

from tests.support.engine import SERVER, TIMEOUT, Engine, FixedRandom, NoBackend, one_provider, state_of


def shown(attempt: Attempt) -> tuple[str, AttemptReason]:
    return attempt.state.name, attempt.reason


def reason_of(step: decide.Step) -> str:
    assert isinstance(step, GiveUp), step
    return step.reason


def queued(engine: Engine, *outcomes: Outcome, now: float = 0.0) -> Call:
    """A call that has failed once on each target, and waits."""
    call = engine.call()
    for state, outcome in zip(engine.states, outcomes, strict=False):
        engine.settle(call, engine.start(call, state, now), outcome, now)
    call.was_queued = call.retry_used = True
    return call


# --- 5: only the retry budget blocks an attempt --------------------------------------------------------------------


def test_the_retry_budget_is_exhausted() -> None:
    """A target is there, but only a token could try it: waiting would not change that."""
    engine = one_provider(4, policy=Policy(retry_budget=RetryBudget(tokens_per_minute=0.0)))
    call = engine.call()
    for _ in range(3):
        engine.fail(call, 0.0, TIMEOUT)
    step = engine.step(call, 0.0)
    assert step == GiveUp("the retry budget is exhausted", {"d": "the retry budget is exhausted"})
    assert len(engine.shared.queue) == 0


# --- 7: wait for a recovery ---------------------------------------------------------------------------------------


def test_waiting_for_the_earliest_target() -> None:
    """The first waiting call wakes when the first target becomes available, the others at their last moment."""
    engine = Engine()
    engine.open("a", seconds=30.0)
    engine.open("b", seconds=20.0)
    leader, other = engine.call(), engine.call()
    step = engine.step(leader, 5.0)
    assert isinstance(step, Wait) and step.waiter is not None
    assert (step.seconds, step.waiter.latest, step.waiter.call, leader.was_queued) == (15.0, 99.0, leader, True)
    second = engine.step(other, 5.0)
    assert isinstance(second, Wait) and second.waiter is not None
    assert (second.seconds, second.waiter.call) == (94.0, other)
    assert engine.shared.queue.leader is step.waiter


def test_the_latest_moment_leaves_time_for_an_answer() -> None:
    """The median of the target that is waited for is kept free before the deadline."""
    engine = Engine("a")
    engine.open("a", seconds=30.0)
    engine["a"].first_token.add(7.0)
    step = engine.step(engine.call(), 5.0)
    assert isinstance(step, Wait) and step.waiter is not None
    assert step.waiter.latest == 93.0


def test_a_wait_is_never_too_long() -> None:
    """A break that ends after the call's last moment is a guess: its first waiting call wakes at that moment."""
    engine = Engine("a")
    engine.open("a", seconds=500.0)
    step = engine.step(engine.call(), 5.0)
    assert isinstance(step, Wait) and step.seconds == 94.0


def test_a_wait_is_never_too_short() -> None:
    """A target that becomes available at this very moment does not make a call spin."""
    engine = Engine("a")
    call = queued(engine, SERVER)
    step = engine.step(call, 0.9999)
    assert isinstance(step, Wait)
    assert step.seconds == limiting.MIN_WAIT == 0.001


@pytest.mark.parametrize(
    ("case", "waits"),
    [
        ({}, True),
        ({"when_all_down": "fail"}, False),
        ({"max_waiters": 1}, False),
        ({"max_waiters": 2}, True),
        ({"seconds": 99.1}, True),  # a break is a guess
        ({"named": 99.0}, True),
        ({"named": 99.1}, False),
    ],
)
def test_who_may_wait(case: dict[str, Any], waits: bool) -> None:
    """Not by the policy, not beyond the queue's length, not for a time that a provider has named and that is too late."""
    case = dict(case)
    seconds, named = case.pop("seconds", 30.0), case.pop("named", 0.0)
    engine = Engine("a", **case)
    engine.open("a", seconds=seconds)
    engine["a"].breaker.rate_limited_until = named
    engine.shared.queue.enter(engine.call(), 50.0)
    call = engine.call(allow_last_resort=False)
    step = engine.step(call, 5.0)
    assert isinstance(step, Wait) is waits
    assert call.was_queued is waits
    if not waits:
        assert reason_of(step) == "no target is available"


@pytest.mark.parametrize(("now", "waits"), [(98.9, True), (99.0, False)])
def test_no_wait_after_the_latest_moment(now: float, waits: bool) -> None:
    """A call that leaves a probe to others stops waiting when it has just enough time for an answer."""
    engine = Engine()
    engine["b"].breaker.disabled = "gone"
    engine.open("a", seconds=98.5)
    step = engine.step(engine.call(max_attempts=1), now)
    assert isinstance(step, Wait) is waits
    if isinstance(step, Attempt):
        assert shown(step) == ("a", AttemptReason.LAST_RESORT)


def test_a_failure_that_does_not_pass_is_not_waited_for() -> None:
    """Targets whose failure in this call will not pass, or that are running, or too small, give no hope."""
    engine = Engine("ab")
    engine["b"].breaker.disabled = "gone"
    call = queued(engine, Outcome(Kind.AUTH))
    assert reason_of(engine.step(call, 1.0)) == "no target is left to try"
    small = Engine([state_of("a", context_window=10), state_of("b", context_window=10)])
    small.open("b")
    call = queued(small, Outcome(Kind.CONTEXT_LENGTH))
    assert reason_of(small.step(call, 1.0)) == "no target is left to try"
    racing = Engine("a")
    call = racing.call()
    racing.start(call).end(TIMEOUT, 1.0)
    call.retry_used = call.was_queued = True
    assert racing.step(call, 50.0) == Wait(None)
    assert len(racing.shared.queue) == 0


def test_the_earliest_of_equal_targets_is_the_first() -> None:
    """If two become available at the same time, the call waits for the first one in order."""
    engine = Engine()
    engine.open("a", "b", seconds=30.0)
    engine["a"].first_token.add(7.0)
    step = engine.step(engine.call(), 5.0)
    assert isinstance(step, Wait) and step.waiter is not None
    assert step.waiter.latest == 93.0


# --- 6: an early probe --------------------------------------------------------------------------------------------


def test_an_early_probe() -> None:
    """While calls wait, one of them a second tries the least recently tried open target, keeps its own attempts,
    and its failure makes no break longer."""
    engine = Engine("abc")
    engine.shared.next_early_probe = 0.0
    engine.open("a", "b", "c", seconds=30.0)
    engine["a"].breaker.last_used, engine["b"].breaker.last_used, engine["c"].breaker.last_used = 3.0, 1.0, 2.0
    call = engine.call(max_attempts=1)
    probe = engine.attempt(call, 5.0)
    assert (shown(probe), probe.permit.last_resort, call.attempts_left) == (("b", AttemptReason.EARLY_PROBE), True, 1)
    until = engine["b"].breaker.open_until
    engine.settle(call, probe, SERVER, 5.1)
    assert engine["b"].breaker.open_until == until
    step = engine.step(call, 5.1)
    assert isinstance(step, Wait) and step.seconds == pytest.approx(1 / FAST_PROBES - 0.1), (
        "it failed fast: seven of them a second"
    )
    slow = engine.attempt(engine.call(), 6.0)
    assert shown(slow) == ("c", AttemptReason.EARLY_PROBE)
    other = engine.step(engine.call(), 6.1)
    assert isinstance(other, Wait) and (other.seconds or 0.0) > 0.9, (
        "while one is under way, the next is due a second later"
    )
    engine.settle(call, slow, TIMEOUT, 8.0)
    assert shown(engine.attempt(engine.call(), 8.0)) == ("a", AttemptReason.EARLY_PROBE)


@pytest.mark.parametrize(("outcome", "left"), [(OK, 0), (Outcome(Kind.REJECTED, "no"), 0), (SERVER, 1)])
def test_an_early_probe_that_is_answered_counts(outcome: Outcome, left: int) -> None:
    """Its target bills it: it is one of the call's attempts after all."""
    engine = Engine()
    engine.shared.next_early_probe = 0.0
    engine.open("a", "b", seconds=30.0)
    call = engine.call(max_attempts=1)
    engine.settle(call, engine.attempt(call, 5.0), outcome, 5.1)
    assert call.attempts_left == left


def test_no_early_probe_where_the_call_is_still_waiting() -> None:
    """One of its attempts is overdue and running there: another target is probed, although it was tried more recently."""
    engine = Engine()
    engine.shared.next_early_probe = 0.0
    call = engine.call()
    engine.start(call, "a").end(TIMEOUT, 10.0)
    engine.open("a", "b", now=10.0, seconds=30.0)
    engine["b"].breaker.last_used = 5.0
    assert shown(engine.attempt(call, 10.0)) == ("b", AttemptReason.EARLY_PROBE)


def test_no_early_probe_beyond_a_limit() -> None:
    """A target whose limit is reached is probed once its limit admits it."""
    state = state_of("a", limits=Limits(rpm=60, burst=1))
    engine = Engine([state])
    engine.shared.next_early_probe = 0.0
    engine.open("a", seconds=30.0)
    assert state.limits is not None
    call = engine.call()
    state.limits.take(call.need, 5.0)
    assert isinstance(engine.step(call, 5.5), Wait)
    assert shown(engine.attempt(call, 6.0)) == ("a", AttemptReason.EARLY_PROBE)


def test_early_probes_of_a_long_outage_are_one_a_second() -> None:
    """After four seconds of fast ones; a success makes them fast again."""
    engine = Engine("ab")
    engine.shared.next_early_probe = 0.0
    engine.open("a", "b", seconds=900.0)
    call, now, starts = engine.call(max_attempts=1, deadline=1000.0), 5.0, list[float]()
    while len(starts) < 50:
        probe = engine.attempt(call, now)
        assert probe.reason is AttemptReason.EARLY_PROBE
        starts.append(now)
        engine.settle(call, probe, SERVER, now)
        step = engine.step(call, now)
        assert isinstance(step, Wait) and step.seconds is not None
        now += step.seconds
    pauses = [round(later - sooner, 3) for sooner, later in pairwise(starts)]
    assert pauses == [0.143] * 28 + [1.0] * 21
    engine.shared.next_early_probe = now
    probe = engine.attempt(call, now)
    engine.settle(call, probe, OK, now)
    assert engine.shared.fast_probes == MAX_FAST_PROBES


def test_no_early_probe_where_a_provider_has_named_a_time() -> None:
    """Nor of a target whose key or model was rejected. The time ends where it was said to end."""
    engine = Engine("ab")
    engine.shared.next_early_probe = 0.0
    engine.open("a", "b", seconds=30.0)
    engine["a"].breaker.rate_limited_until = 20.0
    engine["b"].rejection = Kind.AUTH
    step = engine.step(engine.call(), 5.0)
    assert isinstance(step, Wait) and step.seconds == pytest.approx(25.0)
    assert shown(engine.attempt(engine.call(), 20.0)) == ("a", AttemptReason.EARLY_PROBE)


# --- 8: one attempt of last resort --------------------------------------------------------------------------------


def test_a_last_resort_goes_where_it_opens_soonest() -> None:
    """Of the targets that were not tried, without those whose key was rejected or that are disabled."""
    engine = Engine("abcde", when_all_down="fail")
    for seconds, name in ((40.0, "a"), (20.0, "b"), (30.0, "c"), (10.0, "d"), (5.0, "e")):
        engine.open(name, seconds=seconds)
    engine["d"].rejection = Kind.AUTH
    engine["e"].breaker.disabled = "gone"
    call = engine.call()
    attempt = engine.attempt(call, 1.0)
    assert (shown(attempt), attempt.permit.last_resort) == (("b", AttemptReason.LAST_RESORT), True)
    engine.settle(call, attempt, TIMEOUT, 1.0)
    assert shown(engine.attempt(call, 1.0)) == ("c", AttemptReason.LAST_RESORT)


def test_a_last_resort_during_a_slow_start() -> None:
    """A target that recovers, but admits no further attempt, is available again within a second: before one that is open."""
    engine = Engine("ab", when_all_down="fail")
    engine.open("a", seconds=40.0)
    engine["b"].breaker.admission = AdmissionWindow(0.0, halved_to=1.0)
    engine["b"].breaker.active = 1
    assert shown(engine.attempt(engine.call(), 1.0)) == ("b", AttemptReason.LAST_RESORT)


@pytest.mark.parametrize(
    ("draw", "failures", "made"), [(0.5, 1, True), (0.49, 1, False), (0.0, 0, True), (0.79, 99, False), (0.8, 99, True)]
)
def test_the_client_throttle_rejects(draw: float, failures: int, made: bool) -> None:
    """The more attempts have failed lately, the less likely it is made; the end names when to come back."""
    engine = Engine("a", rng=FixedRandom(draw), when_all_down="fail")
    engine.open("a", seconds=30.0)
    for _ in range(failures):
        engine.shared.client_throttle.record(1.0, accepted=False)
    step = engine.step(engine.call(), 1.0)
    assert isinstance(step, Attempt) is made
    if isinstance(step, GiveUp):
        assert (step.reason, step.retry_after) == ("no target is available", 29.0)


@pytest.mark.parametrize(("kind", "targets"), [(Kind.AUTH, "ac"), (Kind.QUOTA, "abc")])
def test_no_last_resort_with_a_rejected_key(kind: Kind, targets: str) -> None:
    """A key that was rejected is not tried again through another target of its account, until its break is over and one probe
    notices that it is valid again; a quota is a guess, and a target with a key of its own is tried."""
    accounts = {name: {"id": f"p/{name}", "account": account} for name, account in zip("abc", "xxy", strict=True)}
    policy = Policy(when_all_down="fail", retry_same_target="never", max_rejection=0.0)
    engine = Engine("abc", targets=accounts, policy=policy)
    engine.open("c", seconds=1000.0)
    call = engine.call()
    tried = [engine.fail(call, 0.0, Outcome(kind, "no", scope=Scope.ACCOUNT)).state.name]
    while isinstance(step := engine.step(call, 0.0), Attempt):
        engine.settle(call, step, SERVER, 0.0)
        tried.append(step.state.name)
    assert "".join(sorted(tried)) == targets
    probe = engine.attempt(engine.call(), 400.0)
    assert (probe.state.name, probe.reason) == ("a", AttemptReason.PROBE)
    engine.settle(engine.call(), probe, OK, 401.0)
    assert not engine["b"].key_is_rejected


def test_a_limit_with_room_is_no_obstacle() -> None:
    """A target that is down is tried as a last resort although it has a limit, and the end of a call does not name the limit."""
    engine = Engine([state_of("a", limits=Limits(concurrency=1))], when_all_down="fail")
    engine.open("a", seconds=30.0)
    step = engine.step(engine.call(allow_last_resort=False), 1.0)
    assert isinstance(step, GiveUp) and (step.reason, step.is_limited) == ("no target is available", False)
    assert shown(engine.attempt(engine.call(), 1.0)) == ("a", AttemptReason.LAST_RESORT)


def test_a_last_resort_after_context_length() -> None:
    """It goes to a target with a larger or an unknown window, also if a smaller one is available."""
    small, unknown = state_of("b", context_window=50), state_of("c")
    engine = Engine([state_of("a", context_window=100), small, unknown], when_all_down="fail")
    engine.open("c", seconds=30.0)
    call = engine.call()
    engine.fail(call, 0.0, Outcome(Kind.CONTEXT_LENGTH))
    assert shown(engine.attempt(call, 1.0)) == ("c", AttemptReason.LAST_RESORT)


def test_no_last_resort() -> None:
    """Where the caller rules it out, or where every target was tried, the call ends."""
    engine = Engine("a", when_all_down="fail")
    engine.open("a", seconds=30.0)
    step = engine.step(engine.call(allow_last_resort=False), 1.0)
    reason = "circuit breaker open (failing), retry after 29.0 s"
    assert step == GiveUp("no target is available", {"a": reason}, 29.0)
    call = queued(engine, SERVER, now=1.0)
    step = engine.step(call, 40.0)
    assert isinstance(step, Attempt), "it has waited, and something has changed"
    tried = Engine("a", when_all_down="fail")
    call = tried.call()
    tried.fail(call, 0.0, TIMEOUT)
    assert tried.step(call, 0.5) == GiveUp("no target is available", {}, 0.5)
    assert tried.step(call, 1.0) == GiveUp("no target is available", {}, 0.0)
    assert tried.step(call, 7.0) == GiveUp("no target is available", {}, 0.0)


# --- why each target was not tried --------------------------------------------------------------------------------


def test_choices() -> None:
    """Each target's place in the plan: what it cannot be sent, disabled, unavailable until when, or would be tried."""
    engine = Engine([state_of("a"), state_of("b"), state_of("c"), state_of("d", backend=NoBackend()), state_of("e")])
    engine["b"].breaker.disabled = "no such model"
    engine["c"].breaker.recover(1.0)
    engine.open("d", seconds=30.0)
    engine["d"].breaker.reason = "500s"
    engine["e"].breaker.rate_limited_until, engine["e"].breaker.rate_limits = inf, 1
    call = engine.call(unsupported={engine["a"]: ("seed", "user")})
    choices = [choice(call, state, engine.shared, 2, 5.0) for state in engine.states.values()]
    assert choices == [
        Choice("a", 2, "closed", SkipReason.UNSUPPORTED, "does not support seed, user", ("seed", "user"), None),
        Choice("b", 2, "closed", SkipReason.DISABLED, "disabled: no such model", (), None),
        Choice("c", 2, "recovering"),
        Choice(
            "d", 2, "open", SkipReason.UNAVAILABLE, "circuit breaker open (500s), retry after 25.0 s", (), 25.0
        ),
        Choice("e", 2, "closed", SkipReason.UNAVAILABLE, "rate limited, retry after inf s", (), None),
    ]  # fmt: skip
    engine["d"].breaker.open_until = 5.0
    assert choice(call, engine["d"], engine.shared, 0, 5.0) == Choice("d", 0, "open")
    assert choice(call, engine["c"], engine.shared, 0, 31.0).state == "closed"


def test_reasons_of_a_call_that_gives_up() -> None:
    """Each target that was not tried has its own reason, or else the reason of the end."""
    engine = Engine("abc", max_attempts=1)
    engine["b"].breaker.disabled = "no such model"
    call = engine.call()
    engine.fail(call, 0.0)
    assert engine.step(call, 0.0) == GiveUp(
        "all 1 attempts are used", {"b": "disabled: no such model", "c": "all 1 attempts are used"}
    )
