"""Targets that reject a key, a quota or a model: how long they stay open, what a fleet shares of it, and which domains are probed together."""

import pytest
from hotspare import events
from hotspare._health.breaker import State
from hotspare._health.probe_rate import probe_soon
from hotspare.outcome import Kind, Outcome
from hotspare.target import Limits

from tests.support.engine import OK, SERVER, FixedRandom, state_of
from tests.support.health import ACCOUNT, PROVIDER, REGION, end, opened, permit, pool


@pytest.mark.parametrize(
    ("kind", "status", "seconds", "cause", "rejection", "shared"),
    [
        (Kind.AUTH, 401, 300.0, "auth", Kind.AUTH, True),
        (Kind.QUOTA, 402, 300.0, "quota", None, True),
        (Kind.NOT_FOUND, 404, 60.0, "not_found", Kind.NOT_FOUND, False),
    ],
)
@pytest.mark.parametrize("names", ["a", "ac"], ids=["alone", "one account"])
def test_what_was_rejected(
    kind: Kind, status: int, seconds: float, cause: str, rejection: Kind | None, shared: bool, names: str
) -> None:
    """It stays open for the whole time. If the account has other targets, the fact that is shared is about the account; it is news for a fleet."""
    engine = pool(names)
    engine.tracker.has_news = False
    end(engine, Outcome(kind, "m" * 90, status), now=10.0)
    state, account = engine["a"], engine.tracker.domains[ACCOUNT]
    is_shared = shared and names == "ac"
    assert engine.tracker.has_news and state.rejection is rejection
    assert state.breaker.rejected_until == state.breaker.open_until == 10.0 + seconds
    assert (state.breaker.cause, account.cause) == (("", cause) if is_shared else (cause, ""))
    assert state.breaker.reason == f"{cause}: " + "m" * 80
    assert account.state is (State.OPEN if is_shared else State.CLOSED)
    if is_shared:
        assert account.rejected_until == 10.0 + seconds and account.reason == f"{cause} at a"
        assert engine.tracker.available_at(engine["c"], 11.0) == 10.0 + seconds
    found = engine.events
    assert found[-1] == events.NeedsAttention("a", kind, "m" * 90)
    assert [type(one) for one in found[:-1]] == [events.StateChanged] * (1 + is_shared)


def test_a_model_that_is_missing_again_and_again() -> None:
    """Each time it stays open longer, and a success forgets it."""
    engine = pool("a")
    for now, count in ((0.0, 1), (1000.0, 2)):
        end(engine, Outcome(Kind.NOT_FOUND, "no", 404), now=now, of=permit(engine, now=now, last=True))
        assert engine["a"].not_founds == count
    assert engine["a"].breaker.rejected_until == 1120.0
    end(engine, OK, now=3000.0)
    assert engine["a"].not_founds == 0 and engine["a"].rejection is None


@pytest.mark.parametrize(("fails_fast", "together"), [(True, [False, True, False, True]), (False, [False] * 4)])
def test_which_domains_are_probed_together(fails_fast: bool, together: list[bool]) -> None:
    """After an outage of all: those of targets that fail fast, but not their accounts; the others wait for up to a second."""
    engine = pool("abc")
    state = engine["b"]
    engine.open("b", seconds=300.0)
    domains = [opened(engine, domain) for domain in (REGION, PROVIDER)]
    account = opened(engine, state.domains[1])
    for breaker in (*domains, account):
        breaker.open_until = 300.0
    state.fails_fast = fails_fast
    state.breaker.rejected_until = account.rejected_until = 5.0
    probe_soon([state], 5.0, FixedRandom(1.0))
    assert [breaker.open_until for breaker in state.breakers] == [5.0 if fails_fast else 6.0] * 4
    assert [breaker.probes_members for breaker in state.breakers] == together
    state.fails_fast = False
    probe_soon([state], 4.0, FixedRandom(1.0))
    assert [breaker.probes_members for breaker in state.breakers] == together, "what was decided stays"
    state.breaker.open_until, state.breaker.rejected_until = 300.0, 4.1
    probe_soon([state], 4.0, FixedRandom(1.0))
    assert state.breaker.open_until == 300.0, "the provider has stated a time"


def test_how_soon_the_others_are_probed() -> None:
    """Between half and all of the break after a fast failure, by chance."""
    for drawn, until in ((0.0, 11.0), (0.5, 11.5), (1.0, 12.0)):
        engine = pool("a")
        engine["a"].breaker.config = engine["a"].breaker.config.__class__(fast_break_duration=2.0)
        engine.open("a", seconds=300.0)
        probe_soon([engine["a"]], 10.0, FixedRandom(drawn))
        assert engine["a"].breaker.open_until == until


def test_the_limits_of_a_guest() -> None:
    """Limits of a target that is passed with a call hold for it, and are none of the pool's."""
    engine = pool("a")
    guest = state_of("g", limits=Limits(concurrency=1))
    engine.tracker.add_guests([guest])
    assert guest.limits is not None and [group.config.concurrency for group in guest.limits.groups] == [1]
    assert not engine.tracker.limits


def test_a_guest_that_recovers_alone() -> None:
    """Guests of calls are added to those that are there, and are no others that a call could use instead."""
    engine = pool("a")
    guests = [pool("b")["b"], pool("d")["d"]]
    for guest in guests:
        engine.tracker.add_guests([guest])
    assert list(engine.tracker.guests) == guests
    engine.open("a")
    guests[0].breaker.open(0.0, FixedRandom(), at_least=300.0)
    end(engine, SERVER, now=20.0)
    assert guests[0].breaker.open_until == 300.0
    end(engine, OK, now=80.0, of=permit(engine, now=70.0))
    assert guests[0].breaker.open_until == pytest.approx(80.75)
    assert not engine.tracker.recovering.keys() - {engine["a"]}
