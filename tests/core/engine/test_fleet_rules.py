"""The rules by which a process takes over what others have found. Facts are made by hand."""

from dataclasses import replace
from math import inf

import pytest
from hotspare import events
from hotspare._engine.fleet import Fleet, Subjects
from hotspare._health.admission import Part
from hotspare._health.breaker import State
from hotspare._health.facts import Fact
from hotspare.outcome import Kind
from hotspare.target import Limits

from tests.support.engine import state_of
from tests.support.fleet_facts import engine_of, fleet_of, of, opened, recovered, unnamed
from tests.support.health import ACCOUNT, changes

# --- which processes there are ------------------------------------------------------------------------------------


def test_parts_of_a_window() -> None:
    """Each process owns every n-th place of each window, from its own place on; one process at least is assumed."""
    engine = engine_of()
    fleet = fleet_of(engine, members=4, place=0.5)
    assert of(engine).part == of(engine, "x").part == Part(4, 2.0)
    fleet.connected(8, 1.0)
    assert of(engine).part == Part(8, 4.0)
    fleet.connected(0, 1.0)
    assert of(engine).part == Part(1, 0.5)


def test_the_expected_number_while_there_is_no_store() -> None:
    """Before the first contact, the number of processes is the expected one, or one."""
    engine = engine_of()
    for expected, part in ((6, Part(6, 3.0)), (None, Part(1, 0.5))):
        Fleet(engine.tracker, lambda state: Subjects(state.name, "x"), unnamed, 0.5, expected)
        assert of(engine).part == part


def test_a_lease_exists_with_the_store_only() -> None:
    """With the store each breaker that is shared needs a lease to be probed; without it the process decides alone."""
    engine = engine_of()
    fleet = Fleet(engine.tracker, lambda state: Subjects(state.name, "x"), unnamed, 0.0, None)
    assert not fleet.is_connected and of(engine).lease is None
    fleet.connected(1, 7.0)
    assert fleet.is_connected
    leases = [of(engine, name).lease for name in "abx"]
    assert [lease.other_until for lease in leases if lease] == [7.0] * 3
    fleet.connected(1, 9.0)
    assert [of(engine, name).lease for name in "abx"] == leases, "it was available already"
    assert fleet.lost() is True and not fleet.is_connected
    assert [of(engine, name).lease for name in "abx"] == [None] * 3
    assert fleet.lost() is False


def test_targets_that_are_added() -> None:
    """They share what others find too, and the leases that exist are kept."""
    engine = engine_of("a")
    fleet = fleet_of(engine)
    kept = of(engine).lease
    late = engine_of("b")["b"]
    engine.tracker.add([late])
    fleet.follow()
    assert of(engine).lease is kept and late.breaker.lease is not None
    assert late.breaker.lease.other_until == -inf and late.breaker.part == Part(4, 2.0)
    fleet.merge(opened("b"), 10.0)
    assert late.breaker.state is State.OPEN


def test_limits_of_the_fleet() -> None:
    """A limit is shared under the name of its scope and unit, divided by the expected number of processes, else by the counted one."""
    for expected, divided in ((None, 4), (8, 8)):
        engine = engine_of("a", limits=Limits(rpm=6000, burst=1))
        assert engine["a"].limits is not None
        fleet = fleet_of(engine, members=4, expected=expected)
        assert fleet.shares_limits and engine["a"].limits.shares
        (rate,) = [rate for group in engine.tracker.limits.values() for rate in group.shared]
        assert rate.key == "a:requests/6000/60" and not rate.is_store_down
        assert fleet.limits_of(rate) == [engine["a"].limits]
        fleet.lost()
        assert rate.is_store_down
        rate.take(0, 1.0)
        assert rate.left(1.0) == pytest.approx(100 / divided)
    assert not fleet_of(engine_of("a")).shares_limits


# --- breaks that another process has found -----------------------------------------------------------------------


def test_a_target_that_is_down_elsewhere() -> None:
    """Its breaker opens for the remaining time, with the cause and the level, and with an event that says where it was found."""
    engine = engine_of()
    fleet_of(engine).merge(opened(cause="server", age=2.0), 10.0)
    breaker = of(engine)
    assert (breaker.state, breaker.open_until, breaker.trips, breaker.cause) == (State.OPEN, 40.0, 3, "server")
    assert breaker.evidence_at == 8.0 and breaker.reason == "server, in another process"
    assert breaker.rejected_until == -inf and engine["a"].rejection is None
    assert changes(engine) == [("a", "closed", "open")]
    assert of(engine, "b").state is State.CLOSED


def test_an_account_that_is_down_elsewhere() -> None:
    """All its targets are unavailable; the event names the account."""
    engine = engine_of("ac")
    fleet_of(engine).merge(opened("x", cause="quota"), 10.0)
    assert of(engine).state is State.CLOSED
    assert [engine.tracker.available_alone_at(engine[name], 10.0) for name in "ac"] == [41.0, 41.0], (
        "a second for the lease"
    )
    assert of(engine, "x").rejected_until == 40.0
    assert changes(engine) == [(str(ACCOUNT), "closed", "open")]


@pytest.mark.parametrize(
    ("cause", "rejection", "is_kept"),
    [("auth", Kind.AUTH, True), ("quota", None, True), ("not_found", Kind.NOT_FOUND, True), ("server", None, False)],
)
def test_causes(cause: str, rejection: Kind | None, is_kept: bool) -> None:
    """A rejected key, a used-up quota and a model that does not exist keep the target away for the whole time."""
    engine = engine_of()
    fleet = fleet_of(engine)
    fleet.merge(opened(cause=str(getattr(Kind, cause.upper()))), 10.0)
    assert engine["a"].rejection is rejection
    assert of(engine).rejected_until == (40.0 if is_kept else -inf)
    of(engine).rejected_until = 99.0
    fleet.merge(opened(remaining=60.0, cause=str(Kind.AUTH)), 10.0)
    assert of(engine).rejected_until == 99.0, "never shorter"


@pytest.mark.parametrize(
    ("setting", "opens"),
    [
        ({"last_success_start": 9.1}, False),  # an attempt that began later has succeeded here
        ({"last_success_start": 9.0}, False),
        ({"last_success_start": 8.9}, True),
        ({"evidence_at": 9.0}, False),
        ({"evidence_at": 8.9}, True),
    ],
)
def test_newer_evidence_of_ones_own(setting: dict[str, float], opens: bool) -> None:
    """A break that began before the latest evidence of this process does not count here."""
    engine = engine_of()
    fleet = fleet_of(engine)
    for name, value in setting.items():
        setattr(of(engine), name, value)
    fleet.merge(opened(age=1.0), 10.0)
    assert (of(engine).state is State.OPEN) is opens


@pytest.mark.parametrize(
    ("cause", "remaining", "until"),
    [("server", 30.0, 40.0), ("server", 30.05, 40.0), ("server", 31.0, 41.0), ("", 20.0, 40.0)],
)
def test_a_longer_break(cause: str, remaining: float, until: float) -> None:
    """A target that is open stays open longer, if the other break is more than the slack longer, or the fleet does not know this one."""
    engine = engine_of()
    fleet = fleet_of(engine)
    breaker = of(engine)
    breaker.open_as_others(40.0, 1, cause, 5.0)
    epoch = breaker.epoch
    fleet.merge(opened(remaining=remaining, age=6.0), 10.0)
    assert breaker.open_until == until
    assert breaker.epoch == epoch + (until == 41.0 or not cause)
    assert changes(engine) == []


@pytest.mark.parametrize(("remaining", "is_limited"), [(5.1, False), (5.2, True)])
def test_a_rate_limit_elsewhere(remaining: float, is_limited: bool) -> None:
    """It holds here too, with an event, if it is more than the slack longer than the known one."""
    engine = engine_of()
    fleet = fleet_of(engine)
    of(engine).rate_limited_until = 15.0
    fleet.merge(Fact("a", "limit", "limited", remaining, 0.0, "a"), 10.0)
    assert of(engine).rate_limited_until == (15.2 if is_limited else 15.0)
    assert engine.events == ([events.RateLimited("a", 5.2, None)] if is_limited else [])


# --- recoveries that another process has found --------------------------------------------------------------------


def test_a_target_that_has_recovered_elsewhere() -> None:
    """It recovers here too, from the moment of the other's probe, with this process's places behind the first."""
    engine = engine_of()
    fleet = fleet_of(engine, members=4, place=0.5)
    fleet.merge(opened(cause=str(Kind.NOT_FOUND)), 10.0)
    engine["a"].not_founds = 3
    region = engine.tracker.domains[engine["a"].domains[0]]
    region.open(11.0, engine.shared.rng, at_least=50.0)
    assert engine.events
    fleet.merge(recovered(age=1.0), 20.0)
    breaker = of(engine)
    assert (breaker.state, breaker.recovering_since, breaker.recovered_at) == (State.RECOVERING, 19.0, 19.0)
    assert breaker.admission is not None and getattr(breaker.admission, "_part") == Part(4, 2.5)  # noqa: B009
    assert engine["a"].rejection is None and engine["a"].not_founds == 0
    assert list(engine.tracker.recovering) == [engine["a"]]
    assert region.open_until == 20.0, "its region may be probed now"
    assert changes(engine) == [("a", "open", "recovering")]


def test_an_account_that_has_recovered_elsewhere() -> None:
    """It is closed without a slow start, and its targets are not touched."""
    engine = engine_of()
    fleet = fleet_of(engine)
    fleet.merge(opened("x", cause="quota"), 10.0)
    assert engine.events
    fleet.merge(recovered("x"), 20.0)
    assert of(engine, "x").state is State.CLOSED and of(engine, "x").admission is None
    assert not engine.tracker.recovering
    assert changes(engine) == [(str(ACCOUNT), "open", "closed")]


@pytest.mark.parametrize(("at", "cause", "recovers"), [(9.0, "server", True), (8.0, "server", False), (9.0, "", False)])
def test_an_older_recovery(at: float, cause: str, recovers: bool) -> None:
    """A recovery from before the break, and that of a break that the fleet does not know, do not count."""
    engine = engine_of()
    fleet = fleet_of(engine)
    of(engine).open_as_others(40.0, 1, cause, 8.0)
    fleet.merge(recovered(age=10.0 - at), 10.0)
    assert (of(engine).state is State.RECOVERING) is recovers
    fleet.merge(recovered("b", age=0.0), 10.0)
    assert of(engine, "b").state is State.CLOSED


# --- an operator's commands, and leases ----------------------------------------------------------------------------


def command(kind: str, age: float, cause: str = "", subject: str = "a") -> Fact:
    return Fact(subject, "command", kind, 1e6, age, subject, cause)  # type: ignore[arg-type]


def test_commands_of_an_operator_elsewhere() -> None:
    """They hold here, with an event for each change, and the newer one counts."""
    engine = engine_of()
    fleet = fleet_of(engine)
    fleet.merge(command("disabled", 5.0, "maintenance"), 10.0)
    assert of(engine).disabled == "maintenance" and of(engine, "b").disabled == ""
    assert engine.events == [events.TargetDisabled("a", "maintenance")]
    fleet.merge(command("enabled", 5.0), 10.0)
    assert of(engine).disabled == "maintenance", "of the same age"
    fleet.merge(command("disabled", 4.0, "maintenance"), 10.0)
    assert engine.events == [], "nothing has changed"
    fleet.merge(command("enabled", 3.0, "ignored"), 10.0)
    assert of(engine).disabled == "" and engine.events == [events.TargetEnabled("a")]
    fleet.merge(command("disabled", 2.0), 10.0)
    assert of(engine).disabled == "by an operator"


def test_commands_apply_to_targets_with_a_callers_own_key() -> None:
    """As in the process in which the operator gave the command."""
    engine = engine_of()
    guest = state_of("a (own key)", policy=engine.policy)
    engine.tracker.add_guests([guest])
    fleet_of(engine).merge(command("disabled", 5.0, "maintenance"), 10.0)
    assert guest.breaker.disabled == "maintenance"


def test_a_lease_of_another_process() -> None:
    """It is known here until its end, unless this process holds one."""
    engine = engine_of()
    fleet = fleet_of(engine)
    lease = Fact("a", "probe", "lease", 5.0, 0.0, "a")
    fleet.merge(lease, 10.0)
    held = of(engine).lease
    assert held is not None and (held.own_until, held.other_until) == (-inf, 15.0)
    held.settle(20.0, 12.0, own=True)
    fleet.merge(replace(lease, remaining=30.0), 13.0)
    assert held.own_until == 20.0
    fleet.merge(replace(lease, remaining=30.0), 20.0)
    assert (held.own_until, held.other_until) == (-inf, 50.0)
    fleet.lost()
    fleet.merge(lease, 60.0)
    fleet.merge(replace(lease, subject="unknown"), 60.0)
    assert held.other_until == 50.0


def test_a_whole_picture() -> None:
    """Leases that the store does not hold are free, those that it holds are kept, and all facts are applied."""
    engine = engine_of()
    fleet = fleet_of(engine)
    own, other, ended = (of(engine, name).lease for name in "abx")
    assert own is not None and other is not None and ended is not None
    own.settle(30.0, 5.0, own=True)
    other.settle(30.0, 5.0, own=False)
    ended.settle(8.0, 5.0, own=False)
    fleet.merge_all(iter([Fact("b", "probe", "lease", 7.0, 0.0, "b"), opened("a")]), 10.0)
    assert (own.own_until, own.other_until) == (-inf, 10.0)
    assert other.other_until == 17.0 and ended.other_until == 8.0
    assert of(engine).state is State.OPEN
    assert [fact.subject for fact in fleet.outbox(10.0).facts] == [], "the store knows it"
    fleet.merge_all([], 11.0)
    assert [fact.subject for fact in fleet.outbox(11.0).facts] == ["a"], "the store lacks it"


@pytest.mark.parametrize("own", [True, False])
def test_the_stores_answer_about_a_lease(own: bool) -> None:
    """It states which process holds it, and for how long; nothing changes for a subject that is not shared."""
    engine = engine_of()
    fleet = fleet_of(engine)
    assert fleet.leased("a", 4.0, 10.0, own=own) is own
    lease = of(engine).lease
    assert lease is not None
    assert (lease.own_until, lease.other_until) == ((14.0, 0.0) if own else (-inf, 14.0))
    assert fleet.leased("unknown", 4.0, 10.0, own=True) is False
    fleet.lost()
    assert fleet.leased("a", 4.0, 10.0, own=True) is False


def test_a_lease_of_ones_own_in_a_picture() -> None:
    """It is kept if the store holds it too; the command for a target that is not the first one is found."""
    engine = engine_of()
    fleet = fleet_of(engine)
    own = of(engine).lease
    assert own is not None
    own.settle(30.0, 5.0, own=True)
    fleet.merge_all([Fact("a", "probe", "lease", 20.0, 0.0, "a"), command("disabled", 1.0, "gone", "b")], 10.0)
    assert own.own_until == 30.0 and of(engine, "b").disabled == "gone"


def test_the_level_of_a_change() -> None:
    """Of a target or of an account."""
    engine = engine_of()
    fleet = fleet_of(engine)
    fleet.merge(opened("a"), 10.0)
    fleet.merge(opened("x", cause="quota"), 10.0)
    assert [one.level for one in engine.events if isinstance(one, events.StateChanged)] == ["target", "account"]
