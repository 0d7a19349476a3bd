"""Failure domains by properties: what rests together, and that one probe serves them."""

import random

from hotspare import Breaker, Kind, Outcome, Pool
from hotspare._engine.call import TargetState
from hotspare._health.breaker import Permit, State
from hotspare._health.domains import domains_of
from hotspare.target import Target
from hotspare.testing import ScriptedTarget, VirtualClock
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

OUTCOMES = {
    "ok": Outcome(Kind.OK),
    "refused": Outcome(Kind.TRANSPORT, "refused", before_connect=True),
    "500": Outcome(Kind.SERVER, "500", 500),
    "401": Outcome(Kind.AUTH, "key", 401),
    "429": Outcome(Kind.RATE_LIMITED, "slow", 429, retry_after=3),
    "neutral": Outcome(Kind.CANCELLED),
}
LONGEST = 3600.0
"""Seconds: the longest rest that anything named here may earn."""


class DomainsMachine(RuleBasedStateMachine):
    """Six targets that share providers, regions and accounts; attempts overlap, and end in any order and way."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = VirtualClock()
        targets = [
            ScriptedTarget(f"t{i}", id=f"p{i % 2}/m", region=f"r{i % 3}", account="x" if i < 3 else "y").target
            for i in range(6)
        ]
        knobs = Breaker(
            consecutive_failures=2, failure_span=0.5, minimum_throughput=4
        )  # few failures trip: every state is seen
        self.standing = Pool(targets, clock=self.clock, rng=random.Random(0), breaker=knobs)._scheduler.tracker
        self.running: list[tuple[TargetState, Permit]] = []

    def admitted(self, member: TargetState) -> bool:
        return self.standing.available_at(member, self.clock()) <= self.clock()

    @rule(seconds=st.floats(0, 8))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(index=st.integers(0, 5))
    def begins(self, index: int) -> None:
        member = self.standing.members[index]
        if not self.admitted(member):
            return
        rested = {d for d in member.domains if self.standing.domains[d].state in (State.OPEN, State.HALF_OPEN)}
        permit = self.standing.acquire(member, self.clock(), watched=True, panic=False)
        self.running.append((member, permit))
        assert permit.probe or not rested
        for other in self.standing.members:
            assert not (rested.intersection(other.domains) and self.admitted(other)), "two probes in one domain"

    @rule(index=st.integers(0, 5), word=st.sampled_from(["refused", "500", "401"]))
    def an_outage(self, index: int, word: str) -> None:
        """Calls fail until the target is left alone: without such a rule random walks hardly see a rest."""
        member = self.standing.members[index]
        for _ in range(6):
            if member.breaker.state is State.CLOSED and self.admitted(member):
                self.begins(index)
                self.clock.advance(0.3)
                self._end(*self.running.pop(), word)

    @precondition(lambda self: not all(map(self.admitted, self.standing.members)))
    @rule()
    def the_next_rest_ends(self) -> None:
        opens = (self.standing.available_at(member, self.clock()) for member in self.standing.members)
        self.clock.now = min(at for at in opens if at > self.clock())

    @precondition(lambda self: self.running)
    @rule(word=st.sampled_from(sorted(OUTCOMES)), data=st.data())
    def ends(self, word: str, data: st.DataObject) -> None:
        self._end(*self.running.pop(data.draw(st.integers(0, len(self.running) - 1))), word)

    def _end(self, member: TargetState, permit: Permit, word: str) -> None:
        before = self.standing.available_at(member, self.clock())
        fresh = permit.epoch == member.breaker.epoch
        self.standing.record_outcome(member, permit, OUTCOMES[word], self.clock())
        self.standing.release(member, permit)
        assert permit not in member.breaker.in_flight
        if word == "ok" and fresh:
            assert member.breaker.state in (State.CLOSED, State.RECOVERING)
            assert all(self.standing.domains[d].state is State.CLOSED for d in member.domains)
        elif word != "neutral" and not permit.probe and word != "ok":
            assert self.standing.available_at(member, self.clock()) >= before, "a failure shortened a rest"

    @invariant()
    def everything_comes_back_by_itself(self) -> None:
        assert all(self.standing.available_at(m, self.clock()) <= self.clock() + LONGEST for m in self.standing.members)

    def teardown(self) -> None:
        for member, permit in self.running:
            self.standing.record_outcome(member, permit, OUTCOMES["neutral"], self.clock())
            self.standing.release(member, permit)
        assert not any(member.breaker.in_flight for member in self.standing.members), "a permit was lost"
        self.clock.advance(LONGEST)
        assert all(map(self.admitted, self.standing.members))


TestDomains = DomainsMachine.TestCase
TestDomains.settings = settings(max_examples=80, stateful_step_count=40)


def test_names_of_domains() -> None:
    """Region, account and provider; relays share no provider; keys are told apart without being shown."""
    one = domains_of(Target("openai/m", region="us", api_key="secret-1"))
    two = domains_of(Target("openai/m", region="eu", api_key="secret-2"))
    assert next(str(d) for d in one) == "openai/us"
    assert one[1] != two[1]
    assert one[2] == two[2]
    assert "secret" not in str(one)
    assert len(domains_of(Target("openai-compatible/m", base_url="http://x", api_key="k"))) == 2


def test_domains_behind_litellm() -> None:
    """Behind LiteLLM stands the provider itself; an OpenAI-shaped address of one's own is nobody's."""
    bedrock = domains_of(Target("litellm/bedrock/anthropic.claude-sonnet-4-5", region="us-east-1"))
    assert [str(domain) for domain in bedrock] == ["bedrock/us-east-1", "bedrock/default", "bedrock"]
    own = domains_of(Target("litellm/openai/llama-4", base_url="http://10.0.0.1/v1"))
    assert [domain.level for domain in own] == ["region", "account"]
    assert len(domains_of(Target("litellm/gpt-4.1"))) == 2
