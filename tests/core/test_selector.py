"""A selector: a pool's choice and memory for callers who make the calls themselves."""

import random
import threading

import pytest
from hotspare import AllTargetsFailed, ConfigError, Kind, Lease, Outcome, Selector, Target
from hotspare._health.breaker import State
from hotspare.events import AttemptEnded, Event, FailedOver, StateChanged
from hotspare.testing import VirtualClock

DOWN = Outcome(Kind.SERVER, "down", 500)
REFUSED = Outcome(Kind.TRANSPORT, "refused", before_connect=True)


def selector_of(*names: str, clock: VirtualClock | None = None, **options: object) -> Selector:
    """Targets of made-up providers: a selector calls none of them."""
    targets = [Target(f"{name}/model", name=name) for name in names]
    return Selector(targets, clock=clock or VirtualClock(), rng=random.Random(1), **options)  # type: ignore[arg-type]


def kill(selector: Selector, name: str, clock: VirtualClock) -> None:
    """Enough evidence to open one target's breaker."""
    for _ in range(6):
        selector.pick(among=[name]).settle(DOWN)
        clock.advance(0.25)
        if selector.health()[name].state is State.OPEN:
            return


def test_a_dead_target_is_left_probed_once_and_comes_back_by_a_ramp() -> None:
    """The breaker of a pool: evidence, one leased probe among fifty callers, a ramp."""
    clock = VirtualClock()
    selector = selector_of("a", "b", clock=clock)
    kill(selector, "a", clock)
    assert {selector.pick().target.name for _ in range(20)} == {"b"}
    clock.advance(6)
    leases = [selector.pick() for _ in range(50)]
    probes = [lease for lease in leases if lease.target.name == "a"]
    assert [lease.reason for lease in probes] == ["probe"]
    probes[0].settle()
    assert selector.health()["a"].state is State.RECOVERING
    shares = []
    for _ in range(4):
        shares.append(sum(selector.pick().target.name == "a" for _ in range(400)) / 400)
        clock.advance(10)
    assert shares[0] < 0.2 < shares[1] < shares[2] < shares[3] == 1.0


def test_fifty_threads_send_one_probe() -> None:
    """The lease is taken under the lock."""
    clock = VirtualClock()
    selector = selector_of("a", "b", clock=clock)
    kill(selector, "a", clock)
    clock.advance(6)
    start, leases = threading.Barrier(50), []

    def ask() -> None:
        start.wait()
        leases.append(selector.pick())

    threads = [threading.Thread(target=ask) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(lease.target.name == "a" for lease in leases) == 1


def test_a_probe_that_is_never_settled_frees_its_place() -> None:
    """After `Breaker.lease` seconds somebody else may probe."""
    clock = VirtualClock()
    selector = selector_of("a", "b", clock=clock)
    kill(selector, "a", clock)
    clock.advance(6)
    assert selector.pick().reason == "probe"
    clock.advance(59)
    assert selector.pick().target.name == "b"
    clock.advance(2)
    assert selector.pick().reason == "probe"


def test_the_next_pick_of_a_call_goes_elsewhere() -> None:
    """Another target comes first, best in another domain; when all were asked, whoever is admissible."""
    targets = [Target("p/m1", name="a", region="us"), Target("p/m2", name="b", region="us"), Target("q/m", name="c")]
    told: list[Event] = []
    selector = Selector(targets, clock=VirtualClock(), listeners=[told.append])
    seen: list[Lease] = []
    for _ in range(4):
        lease = selector.pick(after=seen[-1] if seen else None)
        lease.settle(DOWN)
        seen.append(lease)
    assert [lease.target.name for lease in seen[:3]] == ["a", "c", "b"]
    assert seen[3].target.name in "abc"
    assert [type(event) for event in told[:3]] == [AttemptEnded, FailedOver, AttemptEnded]
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


def test_nobody_admissible_says_when_to_come_back() -> None:
    """A throttled target is left alone for as long as it said."""
    clock = VirtualClock()
    selector = selector_of("a", clock=clock)
    throttled = Outcome(Kind.RATE_LIMITED, "slow down", 429, retry_after=7)
    first = selector.pick()
    first.settle(throttled)
    with pytest.raises(AllTargetsFailed, match="nobody is admissible") as caught:
        selector.pick(after=first)
    assert caught.value.retry_after == pytest.approx(7)
    clock.advance(7.1)
    assert selector.pick().reason == "first"


def test_a_recovery_is_always_noticed() -> None:
    """Where most calls were answered, one may ask although nobody is admissible."""
    clock = VirtualClock()
    selector = selector_of("a", clock=clock)
    for _ in range(20):
        selector.pick().settle()
    selector.pick().settle(Outcome(Kind.RATE_LIMITED, "slow down", 429, retry_after=7))
    with pytest.raises(AllTargetsFailed):
        selector.pick(last_resort=False)
    assert selector.pick().reason == "last_resort"


def test_a_lease_settles_itself() -> None:
    """As a context manager: answered, failed as the exception says, or abandoned."""
    selector = selector_of("a")
    with selector.pick():
        pass
    with pytest.raises(ConnectionRefusedError), selector.pick():
        raise ConnectionRefusedError("nobody there")
    with pytest.raises(KeyboardInterrupt), selector.pick():
        raise KeyboardInterrupt
    health = selector.health()
    assert (health["a"].calls, health["a"].failures, health.attempts) == (2, 1, 0)


def test_a_lease_is_settled_once() -> None:
    """The first word counts."""
    selector = selector_of("a")
    lease = selector.pick()
    assert lease.settle(DOWN)
    assert not lease.settle()
    assert (selector.health()["a"].calls, selector.health()["a"].failures) == (1, 1)


def test_a_stream_is_dated_to_its_first_token_and_may_break_later() -> None:
    """What is told at the end counts from when it happened; a break is a second observation."""
    clock = VirtualClock()
    selector = selector_of("a", clock=clock)
    lease = selector.pick(streaming=True)
    clock.advance(40)
    lease.settle(seconds=0.5)
    lease.broke(DOWN)
    health = selector.health()["a"]
    assert (health.ttft_p50, health.completion_p50) == (0.5, None)
    assert (health.calls, health.failures) == (2, 1)


def test_long_streams_are_no_stall() -> None:
    """Nobody tells a selector of first tokens as they come: open leases are no evidence."""
    clock = VirtualClock()
    selector = selector_of("a", clock=clock)
    for _ in range(5):
        selector.pick(streaming=True)
    clock.advance(100)
    assert selector.pick(streaming=True).target.name == "a"


def test_targets_may_come_later_and_tiers_hold() -> None:
    """What is known of the earlier ones stays; a lower tier comes first."""
    clock = VirtualClock()
    told: list[Event] = []
    selector = selector_of("a", clock=clock, listeners=[told.append])
    kill(selector, "a", clock)
    assert [event.after for event in told if isinstance(event, StateChanged)] == [State.OPEN]
    selector.add(Target("x/m", name="spare", tier=1), Target("y/m", name="b"))
    assert selector.health()["a"].state is State.OPEN
    assert selector.pick().target.name == "b"
    assert selector.pick(among=["spare"]).target.name == "spare"
    with pytest.raises(ConfigError, match="name"):
        selector.add(Target("z/m", name="b"))
    with pytest.raises(ConfigError, match="names no target"):
        selector.pick(among=["c"])
    assert "spare" in repr(selector) and "first" in repr(selector.pick(among=["b"]))


def test_whoever_picks_again_wants_another_try() -> None:
    """A refusal or a bad request does not end a selector's call: that is the caller's to decide."""
    selector = selector_of("a", "b")
    first = selector.pick()
    first.settle(Outcome(Kind.INVALID, "bad", 400))
    assert selector.pick(after=first).target.name == "b"
