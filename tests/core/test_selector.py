"""A selector: a pool's routing and health for callers who make the calls themselves."""

import random
import threading

import pytest
from hotspare import AllTargetsFailed, ChatRequest, ConfigError, Kind, Lease, Limits, Outcome, Selector, Target, Usage
from hotspare._health.breaker import State
from hotspare.events import AttemptEnded, AttemptStarted, Event, FailedOver, StateChanged
from hotspare.testing import VirtualClock

DOWN = Outcome(Kind.SERVER, "down", 500)
REFUSED = Outcome(Kind.TRANSPORT, "refused", before_connect=True)


def selector_of(*names: str, clock: VirtualClock | None = None, **options: object) -> Selector:
    """Targets of providers that do not exist: a selector calls none of them."""
    targets = [Target(f"{name}/model", name=name) for name in names]
    return Selector(targets, clock=clock or VirtualClock(), rng=random.Random(1), **options)  # type: ignore[arg-type]


def open_breaker(selector: Selector, name: str, clock: VirtualClock) -> None:
    """Failures until the breaker of this target is open."""
    for _ in range(6):
        selector.pick(among=[name]).settle(DOWN)
        clock.advance(0.25)
        if selector.health()[name].state is State.OPEN:
            return


def test_a_failing_target_is_avoided_then_probed_once_then_slowly_started() -> None:
    """The breaker of a pool: it opens, one of fifty callers gets the probe, then its share of 400 concurrent callers grows with the answers."""
    clock = VirtualClock()
    selector = selector_of("a", "b", clock=clock)
    open_breaker(selector, "a", clock)
    assert {selector.pick().target.name for _ in range(20)} == {"b"}
    clock.advance(6)
    leases = [selector.pick() for _ in range(50)]
    probes = [lease for lease in leases if lease.target.name == "a"]
    assert [lease.reason for lease in probes] == ["probe"]
    probes[0].settle()
    assert selector.health()["a"].state is State.RECOVERING
    counts = []
    for _ in range(4):
        taken = [lease for lease in (selector.pick() for _ in range(400)) if lease.target.name == "a"]
        counts.append(len(taken))
        for lease in taken:
            lease.settle()
        clock.advance(10)
    assert counts == [10, 20, 40, 400]


def test_fifty_threads_send_one_probe() -> None:
    """The probe's lease is taken under the lock."""
    clock = VirtualClock()
    selector = selector_of("a", "b", clock=clock)
    open_breaker(selector, "a", clock)
    clock.advance(6)
    start, leases = threading.Barrier(50), []

    def pick() -> None:
        start.wait()
        leases.append(selector.pick())

    threads = [threading.Thread(target=pick) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(lease.target.name == "a" for lease in leases) == 1


def test_a_probe_that_is_never_settled_expires() -> None:
    """After `Breaker.probe_lease` seconds another call may probe."""
    clock = VirtualClock()
    selector = selector_of("a", "b", clock=clock)
    open_breaker(selector, "a", clock)
    clock.advance(6)
    assert selector.pick().reason == "probe"
    clock.advance(59)
    assert selector.pick().target.name == "b"
    clock.advance(2)
    assert selector.pick().reason == "probe"


def test_the_next_pick_of_a_call_is_another_target() -> None:
    """Another target comes first, best in another domain; when all were picked, any that is available."""
    targets = [Target("p/m1", name="a", region="us"), Target("p/m2", name="b", region="us"), Target("q/m", name="c")]
    received: list[Event] = []
    selector = Selector(targets, clock=VirtualClock(), listeners=[received.append])
    seen: list[Lease] = []
    for _ in range(4):
        lease = selector.pick(after=seen[-1] if seen else None)
        lease.settle(DOWN)
        seen.append(lease)
    assert [lease.target.name for lease in seen[:3]] == ["a", "c", "b"]
    assert seen[3].target.name in "abc"
    assert [type(event) for event in received[:5]] == [
        AttemptStarted,
        AttemptEnded,
        FailedOver,
        AttemptStarted,
        AttemptEnded,
    ]
    assert selector.health().in_flight == 0


def test_the_attempts_of_one_call_are_bounded() -> None:
    """`max_attempts` counts over all picks of a call; the error lists them."""
    selector = selector_of("a", "b", max_attempts=3)
    lease: Lease | None = None
    for _ in range(3):
        lease = selector.pick(after=lease)
        lease.settle(DOWN)
    with pytest.raises(AllTargetsFailed, match="all 3 attempts are used") as caught:
        selector.pick(after=lease)
    assert len(caught.value.attempts) == 3


def test_without_an_available_target_the_error_says_when_to_retry() -> None:
    """A rate-limited target is not picked for as long as its Retry-After says."""
    clock = VirtualClock()
    selector = selector_of("a", clock=clock)
    limited = Outcome(Kind.RATE_LIMITED, "slow down", 429, retry_after=7)
    first = selector.pick()
    first.settle(limited)
    with pytest.raises(AllTargetsFailed, match="no target is available") as caught:
        selector.pick(after=first)
    assert caught.value.retry_after == pytest.approx(7)
    clock.advance(7.1)
    assert selector.pick().reason == "first"


def test_a_recovery_is_always_noticed() -> None:
    """Where most calls were answered, one attempt of last resort is made although no target is available."""
    clock = VirtualClock()
    selector = selector_of("a", clock=clock)
    for _ in range(20):
        selector.pick().settle()
    selector.pick().settle(Outcome(Kind.RATE_LIMITED, "slow down", 429, retry_after=7))
    with pytest.raises(AllTargetsFailed):
        selector.pick(last_resort=False)
    assert selector.pick().reason == "last_resort"


def test_a_lease_settles_itself() -> None:
    """As a context manager: answered, failed as the exception is classified, or cancelled."""
    selector = selector_of("a")
    with selector.pick():
        pass
    with pytest.raises(ConnectionRefusedError), selector.pick():
        raise ConnectionRefusedError("connection refused")
    with pytest.raises(KeyboardInterrupt), selector.pick():
        raise KeyboardInterrupt
    health = selector.health()
    assert (health["a"].calls, health["a"].failures, health.in_flight) == (2, 1, 0)


def test_a_lease_is_settled_once() -> None:
    """Only the first report counts."""
    selector = selector_of("a")
    lease = selector.pick()
    assert lease.settle(DOWN)
    assert not lease.settle()
    assert (selector.health()["a"].calls, selector.health()["a"].failures) == (1, 1)


def test_a_stream_is_settled_with_the_time_of_its_first_token_and_may_break_later() -> None:
    """`seconds` says when the first token came, however late it is reported; a break is a second observation."""
    clock = VirtualClock()
    selector = selector_of("a", clock=clock)
    lease = selector.pick(streaming=True)
    clock.advance(40)
    lease.settle(seconds=0.5)
    lease.record_break(DOWN)
    health = selector.health()["a"]
    assert (health.ttft_p50, health.completion_p50) == (0.5, None)
    assert (health.calls, health.failures) == (2, 1)


def test_long_streams_are_no_stall() -> None:
    """A selector does not learn of first tokens as they come, so open leases are no evidence of a stall."""
    clock = VirtualClock()
    selector = selector_of("a", clock=clock)
    for _ in range(5):
        selector.pick(streaming=True)
    clock.advance(100)
    assert selector.pick(streaming=True).target.name == "a"


def test_targets_may_be_added_later_and_tiers_hold() -> None:
    """The health of the earlier ones stays; a lower tier comes first."""
    clock = VirtualClock()
    received: list[Event] = []
    selector = selector_of("a", clock=clock, listeners=[received.append])
    open_breaker(selector, "a", clock)
    assert [event.after for event in received if isinstance(event, StateChanged)] == [State.OPEN]
    selector.add(Target("x/m", name="spare", tier=1), Target("y/m", name="b"))
    assert selector.health()["a"].state is State.OPEN
    assert selector.pick().target.name == "b"
    assert selector.pick(among=["spare"]).target.name == "spare"
    with pytest.raises(ConfigError, match="name"):
        selector.add(Target("z/m", name="b"))
    with pytest.raises(ConfigError, match="names no target"):
        selector.pick(among=["c"])
    assert "spare" in repr(selector) and "first" in repr(selector.pick(among=["b"]))


def test_a_call_that_picks_again_gets_another_target_after_any_outcome() -> None:
    """A refusal or a bad request does not end a selector's call: that is for the caller to decide."""
    selector = selector_of("a", "b")
    first = selector.pick()
    first.settle(Outcome(Kind.INVALID, "bad", 400))
    assert selector.pick(after=first).target.name == "b"


@pytest.mark.parametrize(
    "outcome",
    [DOWN, REFUSED, *(Outcome(Kind.RATE_LIMITED, "slow down", 429, retry_after=seconds) for seconds in (0.0, 7.0))],
)
def test_the_failed_target_is_not_offered_again(outcome: Outcome) -> None:
    """Like a LiteLLM Router that excludes it after the failure: one of the others is picked, and never the failed one, not even after a
    Retry-After of 0."""
    selector = selector_of("a", "b", "c")
    first = selector.pick(among=["a", "b"])
    first.settle(outcome)
    assert (first.target.name, selector.pick(among=["b", "c"], after=first).target.name) == ("a", "b")


def test_a_limited_target_is_not_picked_and_usage_is_given_back() -> None:
    """Configured limits are those of a pool: what an answer did not use is given back, and the error says when to try again."""
    clock = VirtualClock()
    limited = Target("a/model", name="a", limits=Limits(rpm=60, burst=2, concurrency=1))
    selector = Selector([limited, Target("b/model", name="b")], clock=clock)
    first, second = selector.pick(), selector.pick()
    assert (first.target.name, second.target.name) == ("a", "b")  # one at once
    first.settle()
    assert [selector.pick(among=["a"]).settle() for _ in range(1)] == [True]
    with pytest.raises(AllTargetsFailed, match="limit") as caught:
        selector.pick(among=["a"])
    assert caught.value.retry_after == pytest.approx(1.0, abs=0.1)
    clock.advance(1.1)
    assert selector.pick().target.name == "a"
    tokens = Selector([Target("c/model", name="c", limits=Limits(tpm=1000, burst=60))], clock=clock)
    request = ChatRequest(messages=[{"role": "user", "content": "hi"}], max_tokens=900)
    tokens.pick(request=request).settle(usage=Usage(10, 40))
    assert tokens.pick(request=request).target.name == "c"  # of 900 reserved 50 were used
    with pytest.raises(AllTargetsFailed, match="limit"):
        tokens.pick(request=request)


@pytest.mark.parametrize("ok", [True, False])
def test_limits_are_learnt_from_headers(ok: bool) -> None:
    """`remaining: 0` in the headers of an answer, or of a failure, keeps the next call from the target until its reset."""
    clock = VirtualClock()
    selector = selector_of("a", "b", clock=clock)
    headers = {
        "X-RateLimit-Limit-Requests": "60",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "20s",
    }
    outcome = Outcome(Kind.OK) if ok else Outcome(Kind.INVALID, "bad", 400)
    selector.pick(streaming=True).settle(outcome, seconds=0.1, headers=headers)
    assert selector.pick().target.name == "b"
    assert selector.health()["a"].limits_left == {"60 requests, stated by the provider": 0}
    clock.advance(21)
    assert selector.pick().target.name == "a"
