"""The breaker alone, and the budgets, by properties."""

import random

from hotspare._engine.budgets import ClientThrottle, RetryTokens
from hotspare._health.breaker import CircuitBreaker, Permit, State
from hotspare.policy import Breaker, RetryBudget
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

KNOBS = Breaker(consecutive_failures=2, failure_span=0.5, minimum_throughput=4)
"""Few failures trip it, so that random walks see every state."""


class BreakerMachine(RuleBasedStateMachine):
    """Calls begin and end in any order while time passes."""

    def __init__(self) -> None:
        super().__init__()
        self.now, self.rng, self.health = 0.0, random.Random(0), CircuitBreaker(KNOBS)
        self.running: list[Permit] = []
        self.longest = 0.0

    @rule(seconds=st.floats(0.01, 20))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.health.state is State.CLOSED and self.health.opens_at(self.now) <= self.now)
    @rule()
    def an_outage(self) -> None:
        """Calls fail one after the other until it opens: without such a rule random walks hardly leave CLOSED."""
        while self.health.state is State.CLOSED:
            self.begins()
            self.now += 0.3
            self._end(self.running.pop(), "failure")

    @precondition(lambda self: self.health.state is State.OPEN)
    @rule()
    def the_rest_ends(self) -> None:
        self.now = max(self.now, self.health.available_at(self.now))

    @precondition(lambda self: self.health.opens_at(self.now) <= self.now)
    @rule()
    def begins(self) -> None:
        permit = Permit(self.now, self.health.epoch)
        resting = self.health.state in (State.OPEN, State.HALF_OPEN)
        self.health.acquire(permit, self.now)
        assert permit.probe is resting
        if resting:
            assert self.health.available_at(self.now) > self.now, "a second caller came in beside the probe"
        self.running.append(permit)

    @precondition(lambda self: self.running)
    @rule(ending=st.sampled_from(["ok", "failure", "neutral"]), data=st.data())
    def ends(self, ending: str, data: st.DataObject) -> None:
        self._end(self.running.pop(data.draw(st.integers(0, len(self.running) - 1))), ending)

    def _end(self, permit: Permit, ending: str) -> None:
        health, held = self.health, permit.probe and permit is self.health._holder
        if permit.epoch == health.epoch and ending == "ok":
            health.success(permit.started, self.now)
            assert health.state in (State.CLOSED, State.RECOVERING)
        elif permit.epoch == health.epoch and ending == "failure" and health.failure(permit.started, self.now):
            before = health.open_until
            health.open(self.now, self.rng)
            assert health.open_until >= before and health.open_until - self.now <= max(
                KNOBS.max_break_duration, before - self.now
            )
            assert health.open_until - self.now >= KNOBS.break_duration / 2
        health.release(permit)
        if held and ending == "neutral" and health.state is State.HALF_OPEN:
            assert health.available_at(self.now) <= max(self.now, health.rate_limited_until), (
                "a neutral ending kept the lease"
            )

    @rule(seconds=st.one_of(st.none(), st.floats(0, 5)))
    def a_throttle_is_never_shortened(self, seconds: float | None) -> None:
        before = self.health.rate_limited_until
        self.health.rate_limit(self.now, self.rng, seconds)
        assert self.health.rate_limited_until >= max(
            before, self.now + (KNOBS.rate_limit_backoff / 2 if seconds is None else seconds)
        )

    @precondition(lambda self: self.health.state is State.OPEN)
    @rule(seconds=st.floats(0, 60))
    def a_rest_is_never_shortened(self, seconds: float) -> None:
        before = self.health.open_until
        self.health.open(self.now, self.rng, at_least=seconds)
        assert self.health.open_until >= max(before, self.now + seconds)

    @precondition(lambda self: self.health.state is State.HALF_OPEN)
    @rule()
    def a_probe_that_never_comes_back_frees_its_place(self) -> None:
        self.now += KNOBS.probe_lease
        assert self.health.available_at(self.now) <= max(self.now, self.health.rate_limited_until)

    @invariant()
    def comes_back_by_itself(self) -> None:
        assert self.health.available_at(self.now) <= self.now + max(KNOBS.max_retry_after, KNOBS.probe_lease)

    @invariant()
    def a_share_is_a_share(self) -> None:
        assert 0 < self.health.traffic_share(self.now) <= 1


TestBreaker = BreakerMachine.TestCase
TestBreaker.settings = settings(max_examples=60, stateful_step_count=40)


class RetryBudgetMachine(RuleBasedStateMachine):
    """Calls come in and retries are drawn while time passes, also backwards by a hair, as clocks of threads do."""

    def __init__(self) -> None:
        super().__init__()
        self.knobs = RetryBudget()
        self.budget, self.now = RetryTokens(self.knobs), 0.0
        self.put_in, self.drawn = self.knobs.tokens_per_minute, 0

    @rule(seconds=st.floats(0, 300))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.put_in += seconds * self.knobs.tokens_per_minute / 60

    @rule(late=st.floats(0, 0.1))
    def a_call_comes_in(self, late: float) -> None:
        self.budget.deposit(self.now - late)
        self.put_in += self.knobs.tokens_per_call

    @rule()
    def a_retry_is_drawn(self) -> None:
        before = self.budget.tokens
        drawn = self.budget.withdraw(self.now)
        self.drawn += drawn
        assert drawn is not self.budget.exhausted
        assert not drawn or self.budget.tokens <= self.knobs.max_tokens - 1
        assert drawn or before < 1, "refused although there was one"

    @rule()
    def all_are_drawn(self) -> None:
        while self.budget.withdraw(self.now):
            self.drawn += 1
            assert self.drawn <= self.put_in + 1e-6

    @rule()
    def a_minute_alone_is_enough_to_retry_again(self) -> None:
        self.time_passes(60)
        assert self.budget.withdraw(self.now)
        self.drawn += 1

    @invariant()
    def never_overdrawn(self) -> None:
        assert 0 <= self.budget.tokens <= self.knobs.max_tokens
        assert self.drawn <= self.put_in + 1e-6


TestRetryBudget = RetryBudgetMachine.TestCase
TestRetryBudget.settings = settings(max_examples=60, stateful_step_count=40)


@given(st.lists(st.tuples(st.floats(0, 60), st.booleans()), max_size=100))
def test_a_recovery_is_always_noticed(steps: list[tuple[float, bool]]) -> None:
    """However bad it was, at least one call in five is let through; with all accepted none is turned away."""
    throttle, now = ClientThrottle(0.8), 0.0
    for seconds, accepted in steps:
        now += seconds
        throttle.record(now, accepted=accepted)
        assert 0 <= throttle.rejection_probability(now) <= 0.8
    if all(accepted for _, accepted in steps):
        assert throttle.rejection_probability(now) == 0


def test_stalled_calls_are_evidence_unless_overtaken() -> None:
    """Three calls without an answer for too long trip it; a later call's success clears them."""
    health = CircuitBreaker(KNOBS)
    for start in (0.0, 0.1, 0.2):
        health.in_flight[Permit(start, 0)] = None
    assert not health.stalled(9.0, 10.0)
    assert health.stalled(11.0, 10.0)
    health.success(5.0, 11.0)
    assert not health.stalled(11.0, 10.0)
