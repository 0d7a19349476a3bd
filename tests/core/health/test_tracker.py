"""Failure domains by properties: what opens together, and that one probe serves a domain."""

import random
from math import inf

from hotspare import Breaker, Kind, Outcome, Pool
from hotspare._health.breaker import Permit, State
from hotspare._health.domains import domains_of
from hotspare._health.target_state import TargetState
from hotspare.events import StateChanged
from hotspare.target import Target
from hotspare.testing import ScriptedTarget, VirtualClock, fail, scripted_pool
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.support.calls import Ask, run_calls

OUTCOMES = {
    "ok": Outcome(Kind.OK),
    "refused": Outcome(Kind.TRANSPORT, "refused", before_connect=True),
    "500": Outcome(Kind.SERVER, "500", 500),
    "401": Outcome(Kind.AUTH, "key", 401),
    "429": Outcome(Kind.RATE_LIMITED, "slow down", 429, retry_after=3),
    "neutral": Outcome(Kind.CANCELLED),
}
LONGEST = 3600.0
"""Seconds: the longest time for which one of these outcomes may keep a target away."""
CONFIG = Breaker(consecutive_failures=2, failure_span=0.5, minimum_throughput=4)
"""Few failures open a breaker, so that every state is seen."""


class DomainsMachine(RuleBasedStateMachine):
    """Six targets that share providers, regions and accounts; attempts overlap, and end in any order and way."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = VirtualClock()
        targets = [
            ScriptedTarget(f"t{i}", id=f"p{i % 2}/m", region=f"r{i % 3}", account="x" if i < 3 else "y").target
            for i in range(6)
        ]
        pool = Pool(targets, clock=self.clock, rng=random.Random(0), breaker=CONFIG)
        self.tracker = pool._scheduler._shared.tracker
        self.running: list[tuple[TargetState, Permit]] = []
        self.states: dict[str, State] = {}

    def is_available(self, state: TargetState) -> bool:
        return self.tracker.available_at(state, self.clock()) <= self.clock()

    @rule(seconds=st.floats(0, 8))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.tracker.advance(self.clock())

    @rule(index=st.integers(0, 5))
    def starts(self, index: int) -> None:
        state = self.tracker.states[index]
        if not self.is_available(state):
            return
        broken = {
            d: self.tracker.domains[d]
            for d in state.domains
            if self.tracker.domains[d].state in (State.OPEN, State.HALF_OPEN)
        }
        down = {domain for domain, breaker in broken.items() if not breaker.probes_members}
        permit = self.tracker.acquire(state, self.clock(), stall_after=10.0, last_resort=False)
        self.running.append((state, permit))
        assert permit.probe or not broken
        for other in self.tracker.states:
            assert not (down.intersection(other.domains) and self.is_available(other)), "two probes in one domain"

    @rule(index=st.integers(0, 5), word=st.sampled_from(["refused", "500", "401"]))
    def an_outage(self, index: int, word: str) -> None:
        """Attempts fail until the target opens: without such a rule random walks hardly see an open breaker."""
        state = self.tracker.states[index]
        for _ in range(6):
            if state.breaker.state is State.CLOSED and self.is_available(state):
                self.starts(index)
                self.clock.advance(0.3)
                self._end(*self.running.pop(), word)

    @precondition(lambda self: not all(map(self.is_available, self.tracker.states)))
    @rule()
    def the_next_break_ends(self) -> None:
        times = (self.tracker.available_at(state, self.clock()) for state in self.tracker.states)
        self.clock.now = min(at for at in times if at > self.clock())

    @precondition(lambda self: self.running)
    @rule(word=st.sampled_from(sorted(OUTCOMES)), data=st.data())
    def ends(self, word: str, data: st.DataObject) -> None:
        self._end(*self.running.pop(data.draw(st.integers(0, len(self.running) - 1))), word)

    def _end(self, state: TargetState, permit: Permit, word: str) -> None:
        before = self.tracker.available_at(state, self.clock()) if state.breaker.admission is None else -inf  # a guess
        fresh = permit.epoch == state.breaker.epoch
        self.tracker.record_outcome(state, permit, OUTCOMES[word], self.clock())
        self.tracker.release(state, permit)
        assert permit not in state.breaker.in_flight
        if word == "ok" and fresh:
            assert state.breaker.state in (State.CLOSED, State.RECOVERING)
            assert all(self.tracker.domains[d].state is State.CLOSED for d in state.domains)
        elif word not in ("ok", "neutral") and not permit.probe:
            assert self.tracker.available_at(state, self.clock()) >= before, "a failure shortened a break"

    @invariant()
    def everything_becomes_available_by_itself(self) -> None:
        now = self.clock()
        assert all(self.tracker.available_at(state, now) <= now + LONGEST for state in self.tracker.states)

    @invariant()
    def every_transition_is_an_event(self) -> None:
        """The events alone tell the state of every breaker."""
        for event in self.tracker.pending_events:
            if isinstance(event, StateChanged):
                assert event.before is self.states.get(event.subject, State.CLOSED)
                assert event.after is not event.before
                self.states[event.subject] = event.after
        self.tracker.pending_events.clear()
        for state in self.tracker.states:
            assert state.breaker.state is self.states.get(state.name, State.CLOSED)
        for domain, breaker in self.tracker.domains.items():
            assert breaker.state is self.states.get(str(domain), State.CLOSED)

    def teardown(self) -> None:
        for state, permit in self.running:
            self.tracker.record_outcome(state, permit, OUTCOMES["neutral"], self.clock())
            self.tracker.release(state, permit)
        assert not any(state.breaker.in_flight for state in self.tracker.states), "a permit was lost"
        self.clock.advance(LONGEST)
        assert all(map(self.is_available, self.tracker.states))


TestDomains = DomainsMachine.TestCase
TestDomains.settings = settings(max_examples=60, stateful_step_count=40)


def test_the_probe_of_one_target_lets_its_siblings_be_probed() -> None:
    """A region whose targets are open: the success of one probe makes the others available immediately, one probe each."""
    clock = VirtualClock(0)
    shared = {"region": "us", "account": "x"}
    targets = [
        ScriptedTarget(name, [fail(OUTCOMES["500"], delay=0.3)] * 5 + ["ok"], id=f"p/{name}", **shared) for name in "ab"
    ]
    pool = scripted_pool(*targets, ScriptedTarget("z", id="q/z", tier=1), clock=clock, retry_same_target="never")
    run_calls("sync", pool, clock, [Ask(streaming=False)] * 5)
    domains = {domain.domain: domain.state for domain in pool.health().domains}
    assert domains["p/us"] is State.OPEN
    clock.advance(10)
    pool._states[1].breaker.open(clock(), random.Random(0), at_least=600)  # a long break of its own
    reply = pool.chat("q")
    assert (reply.target, reply.attempts[0].reason) == ("a", "probe")
    assert pool.health()["b"].available_in == 0


def test_names_of_domains() -> None:
    """Region, account and provider; relays share no provider; keys are distinguished without being shown."""
    one = domains_of(Target("openai/m", region="us", api_key="secret-1"))
    two = domains_of(Target("openai/m", region="eu", api_key="secret-2"))
    assert next(str(d) for d in one) == "openai/us"
    assert one[1] != two[1]
    assert one[2] == two[2]
    assert "secret" not in str(one)
    assert len(domains_of(Target("openai-compatible/m", base_url="http://x", api_key="k"))) == 2


def test_domains_behind_litellm() -> None:
    """Behind LiteLLM stands the provider itself; an OpenAI-shaped server of one's own belongs to no provider."""
    bedrock = domains_of(Target("litellm/bedrock/anthropic.claude-sonnet-4-5", region="us-east-1"))
    assert [str(domain) for domain in bedrock] == ["bedrock/us-east-1", "bedrock/default", "bedrock"]
    own = domains_of(Target("litellm/openai/llama-4", base_url="http://10.0.0.1/v1"))
    assert [domain.level for domain in own] == ["region", "account"]
    assert len(domains_of(Target("litellm/gpt-4.1"))) == 2
