"""What a process writes to the store: breaks, recoveries, limits and commands, each once; and the leases of probes that it requests."""

from math import inf

import pytest
from hotspare._engine.commands import Wait
from hotspare._engine.fleet import LeaseRequest, may_probe_early, want_probe
from hotspare._health.admission import AFTER_PROBE
from hotspare._health.breaker import State
from hotspare._health.facts import Fact
from hotspare._health.probe_lease import ProbeLease
from hotspare.outcome import AttemptReason

from tests.support.engine import OK, SERVER
from tests.support.fleet_facts import engine_of, fleet_of, of
from tests.support.health import FAST, end, permit


def test_breaks_are_written_once() -> None:
    """A target that is open, with its remaining time; again only when it is open longer, or the store has forgotten it."""
    engine = engine_of()
    fleet = fleet_of(engine)
    engine.tracker.has_news = True
    of(engine).open(6.0, engine.shared.rng, at_least=50.0, cause="server")
    until = of(engine).open_until
    (fact,) = fleet.outbox(7.0).facts
    assert not engine.tracker.has_news
    assert fact == Fact("a", "health", "open", until - 7.0, 1.0, "a", "server", 1.0)
    assert fleet.outbox(7.0).facts == []
    of(engine).open_until += 0.05
    assert fleet.outbox(7.1).facts == [], "not more than the slack"
    of(engine).open_until += 5.0
    assert [one.remaining for one in fleet.outbox(7.1).facts] == [pytest.approx(until + 5.05 - 7.1)]
    assert fleet.outbox(until + 5.1).facts == [], "the break is over"


@pytest.mark.parametrize(("now", "seconds"), [(5.0, 30.0), (10.5, 10.0)])
def test_calls_that_wait_request_the_lease_of_a_probe(now: float, seconds: float) -> None:
    """For a probe before the end of the break as well as for one after it; until the lease is there, they wait."""
    engine = engine_of("a")
    fleet_of(engine)
    engine.shared.next_early_probe = 0.0
    of(engine).open(0.0, engine.shared.rng, at_least=seconds, cause="server")
    engine.tracker.has_news = False
    assert isinstance(engine.step(engine.call(), now), Wait) and engine.tracker.has_news


@pytest.mark.parametrize("own", [True, False])
def test_a_recovery_wakes_a_call_for_a_probe_whose_lease_is_held(own: bool) -> None:
    """Besides those that the recovered target admits; where another process holds the lease there is nothing to wake a call for."""
    engine = engine_of("ad")
    fleet_of(engine, members=1)
    for name in "ad":
        of(engine, name).open(0.0, engine.shared.rng, cause="server")
    lease = of(engine, "d").lease
    assert lease is not None
    lease.settle(99.0, 0.0, own=own)
    probe = engine.start(engine.call(), "a", 6.0, reason=AttemptReason.EARLY_PROBE)
    for _ in range(20):
        engine.shared.queue.enter(engine.call(), 50.0)
    engine.settle(engine.call(), probe, OK, 6.1)
    assert len(engine.shared.queue.to_wake) == AFTER_PROBE + own


def test_what_only_this_process_has_is_not_written() -> None:
    """A break without a cause that others share is not written, and nothing is while the store is away."""
    engine = engine_of()
    fleet = fleet_of(engine)
    of(engine).open(5.0, engine.shared.rng, at_least=50.0)
    assert fleet.outbox(7.0).facts == []
    of(engine, "b").open(5.0, engine.shared.rng, at_least=50.0, cause="server")
    fleet.lost()
    engine.tracker.has_news = True
    assert fleet.outbox(7.0).facts == [] and not engine.tracker.has_news
    fleet.connected(4, 8.0)
    assert [one.subject for one in fleet.outbox(8.0).facts] == ["b"]


def test_recoveries_and_rate_limits_are_written() -> None:
    """A recovery for two minutes, slow start or closed; a time to wait while it is longer than the slack."""
    engine = engine_of()
    fleet = fleet_of(engine)
    breaker = of(engine)
    breaker.open(5.0, engine.shared.rng, cause="server")
    breaker.recover(10.0)
    assert fleet.outbox(12.0).facts == [Fact("a", "health", "recovering", 118.0, 2.0, "a")]
    fleet.merge_all([], 129.0)
    breaker.state = State.CLOSED
    assert fleet.outbox(129.0).facts == [Fact("a", "health", "recovering", 1.0, 119.0, "a")]
    fleet.merge_all([], 130.0)
    assert fleet.outbox(130.0).facts == []
    breaker.rate_limited_until = 140.1
    assert fleet.outbox(140.0).facts == []
    assert fleet.outbox(135.0).facts == [Fact("a", "limit", "limited", pytest.approx(5.1), 0.0, "a")]  # type: ignore[arg-type]


def test_commands_are_written() -> None:
    """An operator's command is news, and is kept for 30 days."""
    engine = engine_of()
    fleet = fleet_of(engine)
    engine.tracker.has_news = False
    of(engine).disabled = "maintenance"
    assert fleet.record_command("a", 10.0) is True and engine.tracker.has_news
    kept = 30 * 86400.0
    assert fleet.outbox(12.0).facts == [Fact("a", "command", "disabled", kept - 2, 2.0, "a", "maintenance")]
    of(engine).disabled = ""
    fleet.record_command("a", 15.0)
    assert fleet.outbox(14.0).facts == [Fact("a", "command", "enabled", kept + 1, 0.0, "a", "")]
    fleet.merge_all([], 15.0 + kept)
    assert fleet.outbox(15.0 + kept).facts == []


def test_leases_are_requested_renewed_and_released() -> None:
    """Two seconds when a call wants to probe, the time of a probe when it begins; it is released when the probe has decided."""
    engine = engine_of("a")
    fleet = fleet_of(engine)
    breaker = of(engine)
    breaker.open(0.0, engine.shared.rng, cause="server")
    over = breaker.open_until
    engine.tracker.has_news = False
    want_probe(engine["a"], engine.tracker, over - 0.1)
    assert not engine.tracker.has_news, "the break is not over"
    want_probe(engine["a"], engine.tracker, over)
    assert engine.tracker.has_news
    assert fleet.outbox(over).leases == [LeaseRequest("a", "a", 2.0)]
    fleet.leased("a", 2.0, over, own=True)
    assert fleet.outbox(over).leases == []
    held = permit(engine, now=over + 1)
    assert held.probe
    assert fleet.outbox(over + 1).leases == [LeaseRequest("a", "a", FAST.probe_lease)]
    assert fleet.outbox(over + 1).leases == [], "once"
    fleet.leased("a", 60.0, over + 1, own=True)
    engine.tracker.release(engine["a"], held)
    assert fleet.outbox(over + 2).leases == [LeaseRequest("a", "a", 2.0)], "no verdict: it will probe again"
    held = permit(engine, now=over + 3)
    fleet.outbox(over + 3)
    end(engine, SERVER, now=over + 3, of=held)
    lease = breaker.lease
    assert fleet.outbox(over + 4).leases == [LeaseRequest("a", "a", 0.0)]
    assert lease is not None and (lease.own_until, lease.other_until) == (-inf, over + 4)


def test_an_early_probe_needs_the_lease() -> None:
    """In a fleet, an open target is tried before its break is over by the process with the lease; another one requests it."""
    engine = engine_of("a")
    breaker = of(engine)
    breaker.open(0.0, engine.shared.rng, at_least=50.0, cause="server")
    assert may_probe_early(engine["a"], engine.tracker, 5.0), "no fleet"
    breaker.lease = ProbeLease(4.0)
    engine.tracker.has_news = False
    assert not may_probe_early(engine["a"], engine.tracker, 5.0) and engine.tracker.has_news
    assert not may_probe_early(engine["a"], engine.tracker, 5.0) and engine.tracker.has_news, "the news are still there"
    breaker.lease.settle(9.0, 5.0, own=True)
    assert may_probe_early(engine["a"], engine.tracker, 5.0)
    assert not may_probe_early(engine["a"], engine.tracker, 9.0)
    breaker.cause = ""
    assert may_probe_early(engine["a"], engine.tracker, 9.0), "the fleet does not know this break"


def test_what_the_store_knows_grows_older() -> None:
    """A known fact is compared as it is now: shorter and older than when it was written."""
    engine = engine_of()
    fleet = fleet_of(engine)
    breaker = of(engine)
    breaker.open(1000.0, engine.shared.rng, at_least=50.0, cause="server")
    assert [fact.remaining for fact in fleet.outbox(1000.0).facts] == [50.0]
    breaker.open_until += 2.0
    assert [fact.remaining for fact in fleet.outbox(1010.0).facts] == [42.0]
    assert fleet.outbox(1020.0).facts == []
    other = of(engine, "b")
    other.open(1020.0, engine.shared.rng, at_least=50.0, cause="server")
    assert [fact.subject for fact in fleet.outbox(1020.0).facts] == ["b"], "behind one that the store knows"
    breaker.recover(1030.0)
    assert [(fact.kind, fact.age) for fact in fleet.outbox(1031.0).facts] == [("recovering", 1.0)]
    assert fleet.outbox(1040.0).facts == []
    breaker.recovered_at = 1035.0
    assert [(fact.kind, fact.age) for fact in fleet.outbox(1040.0).facts] == [("recovering", 5.0)]
    assert fleet.outbox(other.open_until).facts == [], "its break is over at this moment"


def test_ages_and_names() -> None:
    """Ages are exact from the first moment on; an account has the name of its first target."""
    engine = engine_of()
    fleet = fleet_of(engine)
    of(engine).open(10.0, engine.shared.rng, at_least=50.0, cause="server")
    of(engine, "x").open(10.0, engine.shared.rng, at_least=50.0, cause="quota")
    found = fleet.outbox(10.25).facts
    assert [(fact.subject, fact.name, fact.age) for fact in found] == [("a", "a", 0.25), ("x", "account of a", 0.25)]
    of(engine).recover(20.0)
    assert [fact.age for fact in fleet.outbox(20.25).facts] == [0.25]
