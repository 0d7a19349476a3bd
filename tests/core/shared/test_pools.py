"""What the pools of a fleet share: eight processes, one store in memory, one virtual time."""

import pytest
from hotspare import Kind, Limits, Outcome, SecretStr, State, events
from hotspare.testing import fail

from tests.support.shared_pools import SharedPools

DOWN = fail(503)


def test_what_one_process_finds_saves_the_others() -> None:
    """Five failures at one process, and the other seven never call the target."""
    fleet = SharedPools(8)
    fleet.breaks(DOWN)
    calls = fleet.calls
    assert [member.call() for member in fleet.members] == ["second"] * 8
    assert fleet.calls == calls == 5
    assert [member.first.calls for member in fleet.members[1:]] == [0] * 7
    moved = [event for event in fleet.members[3].events if isinstance(event, events.StateChanged)]
    assert [(one.subject, one.after, one.reason) for one in moved] == [
        ("first", State.OPEN, "server, in another process")
    ]


@pytest.mark.parametrize("kind", [Kind.TRANSPORT, Kind.TIMEOUT])
def test_what_may_be_ones_own_trouble_is_not_shared(kind: Kind) -> None:
    """A process that cannot connect, or receives nothing in time, does not share this failure."""
    fleet = SharedPools(3)
    fleet.breaks(fail(Outcome(kind, "no way")))
    fleet.step = "ok"
    assert [member.call() for member in fleet.members] == ["second", "first", "first"]


def test_one_probe_and_then_one_window() -> None:
    """Through an outage and after it, one process at a time probes. Once a probe has succeeded, all processes together send as much as the
    window admits, and in the end all of them send all."""
    fleet = SharedPools(12)
    fleet.breaks(DOWN)
    for _ in range(80):
        before = fleet.calls
        for member in fleet.members:
            member.call()
        assert fleet.calls - before <= 1, "one probe at a time"
        fleet.pass_time(0.1)
    assert 2 <= fleet.calls - 5 <= 8
    fleet.step, before = "ok", fleet.calls
    counts: list[int] = []
    for _ in range(340):
        seen = fleet.calls
        for member in fleet.members:
            member.call()
        counts.append(fleet.calls - seen)
        fleet.pass_time(0.1)
    first = next(place for place, count in enumerate(counts) if count)
    assert counts[first] <= 10, "exactly one probe; it succeeds, and the window admits nine more calls"
    assert max(counts[first : first + 3]) <= 14, "then a window of ten nearly doubles in half a second"
    assert counts[-1] == 12
    assert {member.state() for member in fleet.members} == {"closed"}


def test_a_lease_that_is_never_used_ends() -> None:
    """The process that has the lease is gone: another one probes once the lease is over, and only one."""
    fleet = SharedPools(3)
    fleet.breaks(DOWN)
    fleet.pass_time(1.5)
    fleet.members[2].call()  # it is turned away, asks for the lease, has it, and is never seen again
    gone = fleet.members.pop()
    assert fleet.store.lease(gone_subject(fleet), "me", 1.0).holder == gone.agent.member
    before = fleet.calls
    for _ in range(18):
        assert [member.call() for member in fleet.members] == ["second"] * 2
        fleet.pass_time(0.1)
    assert fleet.calls == before
    for _ in range(15):
        for member in fleet.members:
            member.call()
        fleet.pass_time(0.1)
    assert fleet.calls - before == 1


def gone_subject(fleet: SharedPools) -> str:
    """The subject of the first target in the store."""
    facts = fleet.store.sync("me").facts or ()
    return next(fact.subject for fact in facts if fact.slot == "probe")


@pytest.mark.parametrize(
    ("step", "seconds"),
    [(fail(429, retry_after=7), 7.0), (fail(402), 300.0), (fail(401), 300.0), (fail(404), 60.0)],
    ids=["limited", "quota", "key", "model"],
)
def test_breaks_are_shared_for_their_remaining_time(step: object, seconds: float) -> None:
    """A rate limit, a used-up quota, a rejected key and an unknown model keep all processes away, for as long as they have left."""
    fleet = SharedPools(3)
    fleet.step = step  # type: ignore[assignment]
    fleet.members[0].call()
    fleet.step = "ok"
    fleet.pass_time(3)
    late = fleet.members[1].pool.health().targets[0].available_in
    assert late is not None and seconds - 3.2 < late < seconds + 1.1
    assert [member.call() for member in fleet.members] == ["second"] * 3


def test_another_key_is_another_account() -> None:
    """A rejected key keeps away only those that use the same one: keys are rotated process by process."""
    old, new = (SharedPools(1, fields={"api_key": SecretStr(key), "account": "main"}) for key in ("old", "new"))
    new.store = old.store
    same = SharedPools(1, fields={"api_key": SecretStr("old"), "account": "main"})
    for other in (new, same):
        other.members[0].agent._store = old.store
        old.store.listen(other.members[0].agent._on_notification)
    old.step = fail(401)
    old.members[0].call()
    assert (new.members[0].call(), same.members[0].call()) == ("first", "second")


def test_an_operators_word_holds_everywhere() -> None:
    """Disabled at one process it is at all of them, those that come later too, until another process enables it; with an event each."""
    fleet = SharedPools(3)
    fleet.members[0].pool.disable("first", "maintenance")
    assert [member.call() for member in fleet.members] == ["second"] * 3
    assert events.TargetDisabled("first", "maintenance") in fleet.members[2].events
    fleet.pass_time(5)
    fleet.members[1].pool.enable("first")
    assert [member.call() for member in fleet.members] == ["first"] * 3


def test_a_clock_that_is_wrong_changes_nothing() -> None:
    """Only durations are transmitted: a process whose clock is minutes off avoids a target and uses it again together with the others."""
    fleet = SharedPools(3, skews=[0.0, 600.0, -600.0])
    fleet.members[1].pool.disable("first", "for a moment")
    fleet.pass_time(0.1)
    assert [member.call() for member in fleet.members] == ["second"] * 3
    fleet.members[2].pool.enable("first")
    fleet.breaks(DOWN)
    assert [member.call() for member in fleet.members] == ["second"] * 3
    fleet.step = "ok"
    for _ in range(100):
        for member in fleet.members:
            member.call()
        fleet.pass_time(0.1)
    assert [member.state() for member in fleet.members] == ["recovering"] * 3
    fleet.pass_time(35)
    assert [member.call() for member in fleet.members] == ["first"] * 3


def test_a_store_that_was_emptied_is_filled_again() -> None:
    """What every process knows is written anew with its next round, so that a process that begins now knows it."""
    fleet = SharedPools(2)
    fleet.breaks(fail(401))
    fleet.members[0].pool.disable("second", "empty")
    fleet.store._facts.clear()
    fleet.store._version += 1
    fleet.pass_time(3)
    kinds = {fact.kind for fact in fleet.store.sync("me").facts or ()}
    assert kinds == {"open", "disabled"}


def test_without_the_store_each_process_decides_alone() -> None:
    """One event when it goes and one when it is back; meanwhile a breaker needs no lease; and what was found meanwhile is shared within 3 s."""
    fleet = SharedPools(2)
    fleet.store.error = "ReadOnlyError"
    fleet.pass_time(4)
    fleet.breaks(DOWN)
    assert fleet.members[1].call() == "second" and fleet.members[1].first.calls == 1
    fleet.pass_time(1.1)
    before = fleet.calls
    fleet.members[0].call()
    assert fleet.calls == before + 1, "it probes at once"
    fleet.store.error = ""
    fleet.pass_time(3)
    assert fleet.members[1].state() == "open"
    for member in fleet.members:
        news = [event for event in member.events if isinstance(event, events.StoreLost | events.StoreBack)]
        assert [type(event) for event in news] == [events.StoreLost, events.StoreBack]
        assert isinstance(news[0], events.StoreLost) and news[0].reason == "ReadOnlyError"


def test_a_store_that_gives_nonsense_is_a_store_that_is_away() -> None:
    """The thread survives any error that an answer of the store raises, reports it once, and works again with the store."""
    fleet = SharedPools(2)
    right = fleet.store.sync
    fleet.store.sync = lambda *_: 1 / 0  # type: ignore[assignment, method-assign, return-value]
    fleet.pass_time(5)
    fleet.store.sync = right  # type: ignore[method-assign]
    fleet.pass_time(3)
    fleet.breaks(DOWN)
    assert fleet.members[1].state() == "open"
    news = [event for event in fleet.members[0].events if isinstance(event, events.StoreLost | events.StoreBack)]
    assert [type(event) for event in news] == [events.StoreLost, events.StoreBack]
    assert isinstance(news[0], events.StoreLost) and news[0].reason == "ZeroDivisionError: division by zero"


@pytest.mark.parametrize("rpm", [600, 3000])
def test_a_limit_of_all_is_used_and_not_passed(rpm: float) -> None:
    """Four processes with more calls than the limit admits use at least 95 % of it, each a fair part; no window of any length holds over 2 %
    more than a bucket of that rate and burst admits; and none asks the store more than ten times a second."""
    fleet = SharedPools(4, fields={"limits": Limits(rpm=rpm, burst=1, per="account")})
    began, times, asked = fleet.now, list[float](), fleet.store.taken
    while fleet.now < began + 5:
        for member in fleet.members:
            for _ in range(1 if rpm < 1000 else 3):
                before = fleet.calls
                member.call()
                times += [fleet.now] * (fleet.calls - before)
        fleet.pass_time(0.05, 0.05)
    rate = rpm / 60
    assert len(times) >= 0.95 * rate * 6
    level, last = 0.0, began
    for now in times:
        level, last = max(0.0, level - (now - last) * rate) + 1, now
        assert level <= rate + 0.02 * rpm
    assert min(member.first.calls for member in fleet.members) >= 0.1 * len(times)
    assert fleet.store.taken - asked <= 4 * 5 * 10


def test_the_store_is_not_asked_more_often_for_more_calls() -> None:
    """Two seconds with 10 and with 200 calls a second, with a shared limit that holds none back: the same few requests."""
    asked: list[int] = []
    for pause in (0.1, 0.005):
        fleet = SharedPools(1, fields={"limits": Limits(rpm=1e6)})
        began, before = fleet.now, fleet.store.taken
        while fleet.now < began + 2:
            fleet.members[0].call()
            fleet.pass_time(pause, pause)
        asked.append(fleet.store.taken - before)
        assert fleet.members[0].second.calls == 0
    assert max(asked) <= 30, "of 400 calls; more while it begins"
