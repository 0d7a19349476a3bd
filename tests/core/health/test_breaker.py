"""The circuit breaker and the budgets by themselves, by properties."""

import random

import pytest
from hotspare._engine.budgets import ClientThrottle, RetryTokens
from hotspare._health.breaker import CircuitBreaker, Permit, State
from hotspare.policy import Breaker, RetryBudget
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

CONFIG = Breaker(consecutive_failures=2, failure_span=0.5, minimum_throughput=4)
"""Few failures open it, so that random walks see every state."""


class BreakerMachine(RuleBasedStateMachine):
    """Attempts start and end in any order while time passes."""

    def __init__(self) -> None:
        super().__init__()
        self.now, self.rng, self.breaker = 0.0, random.Random(0), CircuitBreaker(CONFIG)
        self.running: list[Permit] = []
        self.probe: Permit | None = None

    @rule(seconds=st.floats(0.01, 20))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.breaker.state is State.CLOSED and self.breaker.available_at(self.now) <= self.now)
    @rule()
    def an_outage(self) -> None:
        """Attempts fail one after the other until it opens: without such a rule random walks hardly leave CLOSED."""
        while self.breaker.state is State.CLOSED:
            self.starts()
            self.now += 0.3
            self._end(self.running.pop(), "failure")

    @precondition(lambda self: self.breaker.state is State.OPEN)
    @rule()
    def the_break_ends(self) -> None:
        self.now = max(self.now, self.breaker.available_at(self.now))

    @precondition(lambda self: self.breaker.available_at(self.now) <= self.now)
    @rule()
    def starts(self) -> None:
        permit = Permit(self.now, self.breaker.epoch)
        needs_probe = self.breaker.state in (State.OPEN, State.HALF_OPEN)
        self.breaker.probe(permit, self.now)
        assert permit.probe is needs_probe
        if needs_probe:
            self.probe = permit
            assert self.breaker.available_at(self.now) > self.now, "a second attempt was admitted beside the probe"
        self.running.append(permit)

    @precondition(lambda self: self.running)
    @rule(ending=st.sampled_from(["ok", "failure", "neutral"]), data=st.data())
    def ends(self, ending: str, data: st.DataObject) -> None:
        self._end(self.running.pop(data.draw(st.integers(0, len(self.running) - 1))), ending)

    def _end(self, permit: Permit, ending: str) -> None:
        breaker = self.breaker
        holds_lease = permit is self.probe and breaker.state is State.HALF_OPEN
        if permit.epoch == breaker.epoch and ending == "ok":
            breaker.record_success(permit.started, self.now)
            assert breaker.state in (State.CLOSED, State.RECOVERING)
        elif permit.epoch == breaker.epoch and ending == "failure" and breaker.record_failure(permit.started, self.now):
            before = breaker.open_until
            breaker.open(self.now, self.rng)
            left = breaker.open_until - self.now
            assert breaker.open_until >= before
            assert CONFIG.break_duration / 2 <= left <= max(CONFIG.max_break_duration, before - self.now)
        breaker.release(permit)
        if holds_lease and ending == "neutral":
            at = max(self.now, breaker.rate_limited_until)
            assert breaker.available_at(self.now) <= at, "a neutral ending kept the lease"

    @rule(seconds=st.one_of(st.none(), st.floats(0, 5)))
    def a_rate_limit_is_never_shortened(self, seconds: float | None) -> None:
        before = self.breaker.rate_limited_until
        self.breaker.rate_limit(self.now, self.rng, seconds, self.now)
        least = CONFIG.rate_limit_backoff / 2 if seconds is None else seconds
        assert self.breaker.rate_limited_until >= max(before, self.now + least)

    @precondition(lambda self: self.breaker.state is State.OPEN)
    @rule(seconds=st.floats(0, 60))
    def a_break_is_never_shortened(self, seconds: float) -> None:
        before = self.breaker.open_until
        self.breaker.open(self.now, self.rng, at_least=seconds)
        assert self.breaker.open_until >= max(before, self.now + seconds)

    @precondition(lambda self: self.breaker.state is State.HALF_OPEN)
    @rule()
    def a_probe_without_a_result_expires(self) -> None:
        self.now += CONFIG.probe_lease
        assert self.breaker.available_at(self.now) <= max(self.now, self.breaker.rate_limited_until)

    @invariant()
    def becomes_available_by_itself(self) -> None:
        assert self.breaker.available_at(self.now) <= self.now + max(CONFIG.max_retry_after, CONFIG.probe_lease)

    @invariant()
    def has_a_share_of_the_traffic(self) -> None:
        assert 0 < self.breaker.traffic_share(self.now) <= 1


TestBreaker = BreakerMachine.TestCase
TestBreaker.settings = settings(max_examples=50, stateful_step_count=40)


class RetryBudgetMachine(RuleBasedStateMachine):
    """Calls start and retries take tokens while time passes, also backwards by a little, as clocks of threads do."""

    def __init__(self) -> None:
        super().__init__()
        self.config = RetryBudget()
        self.budget, self.now = RetryTokens(self.config), 0.0
        self.deposited, self.withdrawn = self.config.tokens_per_minute, 0

    @rule(seconds=st.floats(0, 300))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.deposited += seconds * self.config.tokens_per_minute / 60

    @rule(late=st.floats(0, 0.1))
    def a_call_starts(self, late: float) -> None:
        self.budget.deposit(self.now - late)
        self.deposited += self.config.tokens_per_call

    @rule()
    def a_retry_takes_a_token(self) -> None:
        before = self.budget.tokens
        taken = self.budget.withdraw(self.now)
        self.withdrawn += taken
        assert taken is not self.budget.exhausted
        assert not taken or self.budget.tokens <= self.config.max_tokens - 1
        assert taken or before < 1, "refused although there was a token"

    @rule()
    def all_are_taken(self) -> None:
        while self.budget.withdraw(self.now):
            self.withdrawn += 1
            assert self.withdrawn <= self.deposited + 1e-6

    @rule()
    def a_minute_alone_is_enough_to_retry_again(self) -> None:
        self.time_passes(60)
        assert self.budget.withdraw(self.now)
        self.withdrawn += 1

    @invariant()
    def never_overdrawn(self) -> None:
        assert 0 <= self.budget.tokens <= self.config.max_tokens
        assert self.withdrawn <= self.deposited + 1e-6


TestRetryBudget = RetryBudgetMachine.TestCase
TestRetryBudget.settings = settings(max_examples=50, stateful_step_count=40)


@given(st.lists(st.tuples(st.floats(0, 60), st.booleans()), max_size=60))
def test_a_recovery_is_always_noticed(steps: list[tuple[float, bool]]) -> None:
    """However many attempts failed, at least one in five is let through; where all were answered none is rejected."""
    throttle, now = ClientThrottle(0.8), 0.0
    for seconds, accepted in steps:
        now += seconds
        throttle.record(now, accepted=accepted)
        assert 0 <= throttle.rejection_probability(now) <= 0.8
    if all(accepted for _, accepted in steps):
        assert throttle.rejection_probability(now) == 0


def test_the_client_throttle_follows_the_sre_book() -> None:
    """(requests - 2 x accepts) / (requests + 1), with counts that decay by 1/e in two minutes."""
    throttle = ClientThrottle(1.0)
    for accepted in [True] * 2 + [False] * 8:
        throttle.record(0.0, accepted=accepted)
    assert throttle.rejection_probability(0.0) == pytest.approx((10 - 2 * 2) / 11)
    assert throttle.rejection_probability(120.0) == pytest.approx((10 - 4) / 2.718281828 / (10 / 2.718281828 + 1))


def test_stalled_attempts_are_evidence_unless_a_later_one_succeeds() -> None:
    """Three attempts without an answer for too long open it; the success of an attempt that started later does not let them."""
    breaker = CircuitBreaker(CONFIG)
    for start in (0.0, 0.25, 0.5):
        breaker.in_flight[Permit(start, 0, stall_after=10.0)] = None
    assert not breaker.stall_reason(9.0)
    assert not breaker.stall_reason(10.3), "only two of them wait that long"
    assert breaker.stall_reason(11.0) == "3 calls without an answer for over 10.5 s"
    breaker.record_success(0.05, 11.0)
    assert not breaker.stall_reason(11.0), "two are left that no later success has overtaken"
    breaker.record_success(5.0, 11.0)
    assert not breaker.stall_reason(11.0)


def test_attempts_that_started_before_a_failure_do_not_end_a_series_of_failures() -> None:
    """Results are ordered by the start of their attempts: the late success of an early attempt does not count."""
    breaker = CircuitBreaker(Breaker(consecutive_failures=3, failure_span=0))
    assert not breaker.record_failure(5.0, 6.0)
    assert not breaker.record_failure(5.5, 6.5)
    breaker.record_success(1.0, 7.0)
    assert breaker.record_failure(6.0, 7.5)
    assert breaker.reason == "3 consecutive failures"
    fresh = CircuitBreaker(Breaker(consecutive_failures=3, failure_span=0))
    assert not fresh.record_failure(5.0, 6.0)
    assert not fresh.record_failure(5.5, 6.5)
    fresh.record_success(6.6, 7.0)
    assert not fresh.record_failure(7.0, 7.5)


def test_a_good_record_is_four_fifths_of_the_attempts_before_the_latest_failure() -> None:
    """With no attempts before it the record is good, too."""
    breaker = CircuitBreaker(Breaker(consecutive_failures=100, minimum_throughput=100))
    breaker.record_failure(0.0, 0.0)
    assert breaker.mostly_successful()
    for _ in range(4):
        breaker.record_success(1.0, 1.0)
    breaker.record_failure(2.0, 2.0)
    assert breaker.mostly_successful(), "one failure in five before this one"
    breaker.record_failure(3.0, 3.0)
    assert not breaker.mostly_successful(), "two failures in six"
