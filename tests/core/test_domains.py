"""Failure domains by properties: what rests together, and that one probe serves them."""

import random

from hotspare import Kind, Outcome, Pool
from hotspare.domains import domains_of
from hotspare.health import State
from hotspare.target import Target
from hotspare.testing import ManualClock, ScriptedTarget
from hypothesis import given, settings
from hypothesis import strategies as st

STEPS = st.lists(
    st.tuples(st.integers(0, 5), st.sampled_from(["ok", "refused", "500", "401", "429", "neutral"]), st.floats(0, 8)),
    max_size=80,
)
OUTCOMES = {
    "ok": Outcome(Kind.OK),
    "refused": Outcome(Kind.TRANSPORT, "refused", unconnected=True),
    "500": Outcome(Kind.SERVER, "500", 500),
    "401": Outcome(Kind.DENIED, "key", 401),
    "429": Outcome(Kind.THROTTLED, "slow", 429, retry_after=3),
    "neutral": Outcome(Kind.ABANDONED),
}


@settings(deadline=None)
@given(STEPS)
def test_domains_hold_their_invariants(steps: list[tuple[int, str, float]]) -> None:
    """No permit is lost, one probe at a time per domain, everything comes back by itself."""
    clock = ManualClock()
    targets = [
        ScriptedTarget(f"t{i}", id=f"p{i % 2}/m", region=f"r{i % 3}", account="x" if i < 3 else "y").target
        for i in range(6)
    ]
    pool = Pool(targets, clock=clock, rng=random.Random(0))
    standing = pool._gate.standing
    for index, word, seconds in steps:
        clock.advance(seconds)
        member = standing.members[index]
        if standing.opens_at(member, clock()) > clock():
            continue
        permit = standing.enter(member, clock(), watched=True, panic=False)
        if permit.probe:
            rested = [d for d in member.domains if standing.domains[d].state is State.HALF_OPEN]
            for other in standing.members:
                if other is not member and set(rested) & set(other.domains):
                    assert standing.opens_at(other, clock()) > clock(), "two probes in one domain"
        standing.learn(member, permit, OUTCOMES[word], clock())
        standing.leave(member, permit)
        assert not member.health.waiting
        if word == "ok":
            assert member.health.state in (State.CLOSED, State.RECOVERING)
            assert all(standing.domains[d].state is State.CLOSED for d in member.domains)
    clock.advance(4000)
    assert all(standing.opens_at(member, clock()) <= clock() for member in standing.members)


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
