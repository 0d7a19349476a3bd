"""What each outcome changes in the health of a target and of the domains that it shares."""

from math import inf

import pytest
from hotspare import events
from hotspare._health.breaker import Permit, State
from hotspare._health.tracker import HealthTracker
from hotspare.outcome import Kind, Outcome, Scope
from hotspare.policy import Breaker, Policy, Timeouts

from tests.support.engine import CANCELLED, OK, SERVER, TIMEOUT, Engine
from tests.support.health import ACCOUNT, PROVIDER, REFUSED, REGION, changes, end, opened, permit, pool

# --- outcomes -----------------------------------------------------------------------------------------------------


def test_failures_open_a_target() -> None:
    """The failure that is one too many opens it: with the row as the reason, for at least the time that was named."""
    engine = pool()
    end(engine, SERVER)
    assert engine.events == []
    end(engine, Outcome(Kind.SERVER, "busy", retry_after=20.0))
    assert engine.events == [events.StateChanged("a", State.CLOSED, State.OPEN, "2 consecutive failures", 20.0)]


def test_a_failed_probe_gives_the_new_reason() -> None:
    """A breaker that opens again names the outcome of the probe, shortened, and not what had opened it first."""
    engine = pool()
    engine["a"].breaker.reason = "old"
    engine.open("a")
    end(engine, Outcome(Kind.TIMEOUT, "x" * 200), now=9.0)
    assert engine["a"].breaker.reason == "timeout: " + "x" * 80
    assert engine.events[-1] == events.StateChanged("a", State.HALF_OPEN, State.OPEN, "timeout: " + "x" * 80, 8.75)


def test_short_breaks() -> None:
    """Where a break is shorter than a second, nothing else makes it longer, and its event says how long it is."""
    brief = Breaker(consecutive_failures=1, failure_span=0.0, break_duration=0.4)
    for outcome in (SERVER, Outcome(Kind.SERVER, retry_after=0.0)):
        engine = pool("ab", breaker=brief)
        end(engine, outcome)
        end(engine, outcome, "b")
        assert [event.open_for for event in engine.events if isinstance(event, events.StateChanged)] == [
            pytest.approx(0.3)
        ] * 3
    engine = pool(breaker=brief, timeouts=Timeouts(first_token=2.0))
    for _ in range(3):
        permit(engine, waits=True)
    engine.tracker.open_if_stalled(engine["a"], 2.0)
    assert engine["a"].breaker.open_until == pytest.approx(2.3)


@pytest.mark.parametrize(("outcome", "opens"), [(SERVER, False), (REFUSED, True)])
def test_failures_of_one_moment(outcome: Outcome, opens: bool) -> None:
    """Five are one observation of an overloaded server; five connections that were refused are not."""
    engine = pool(breaker=Breaker())
    for _ in range(5):
        end(engine, outcome)
    assert (engine["a"].breaker.state is State.OPEN) is opens


@pytest.mark.parametrize(("outcome", "counted"), [(SERVER, 1), (TIMEOUT, 8)])
def test_concurrent_failures_of_a_target_that_recovers(outcome: Outcome, counted: int) -> None:
    """Eight fast refusals are one: too many calls at the same time. Eight timeouts are eight."""
    engine = pool(breaker=Breaker())
    engine.recover("a", now=10.0)
    for held in [permit(engine, now=10.0) for _ in range(8)]:
        end(engine, outcome, now=10.1, of=held)
    assert engine["a"].breaker.recent == (counted, counted)


def test_an_event_of_a_breaker_that_is_not_open() -> None:
    """It has no time until a probe, also where the break that it ends was to last longer."""
    engine = pool()
    engine.open("a")
    permit(engine, now=1.0)
    assert engine.events == [events.StateChanged("a", State.OPEN, State.HALF_OPEN, "", 0.0)]


def test_stale_outcomes() -> None:
    """What began before the breaker opened neither opens nor closes it, and does not count."""
    for outcome in (SERVER, OK):
        engine = pool()
        old = permit(engine)
        engine.open("a")
        engine["a"].rejection = Kind.AUTH
        end(engine, outcome, now=1.0, of=old)
        assert (engine["a"].breaker.state, engine["a"].breaker.recent) == (State.OPEN, (0, 0))
        assert engine.events == []
        assert engine["a"].rejection is (None if outcome is OK else Kind.AUTH)


def test_neutral_outcomes() -> None:
    """Outcomes about the request or the caller change no breaker and emit nothing, whatever their kind."""
    engine = pool()
    for kind in (Kind.CANCELLED, Kind.CONTEXT_LENGTH, Kind.CONTENT_FILTER, Kind.INVALID, Kind.INVALID):
        end(engine, Outcome(kind, "about you"))
    for kind in (Kind.NOT_FOUND, Kind.RATE_LIMITED):
        end(engine, Outcome(kind, "about you", retry_after=9.0, scope=Scope.REQUEST))
    breaker = engine["a"].breaker
    assert (breaker.recent, breaker.state, breaker.rate_limited_until, breaker.disabled) == (
        (0, 0), State.CLOSED, -inf, "",
    )  # fmt: skip
    assert engine.events == []


def test_rate_limited() -> None:
    """A rate limit keeps the target away for the time that is named, or three quarters of a second, and opens nothing."""
    engine = pool("ab")
    engine.tracker.has_news = False
    end(engine, Outcome(Kind.RATE_LIMITED, retry_after=7.0), now=10.0)
    assert engine.tracker.has_news, "other processes leave it alone too"
    end(engine, Outcome(Kind.RATE_LIMITED), "b", now=10.0)
    assert (engine["a"].breaker.rate_limited_until, engine["b"].breaker.rate_limited_until) == (17.0, 10.75)
    assert engine["a"].breaker.state is State.CLOSED
    assert engine.events == [events.RateLimited("a", 7.0, 7.0), events.RateLimited("b", 0.75, None)]


def test_not_found() -> None:
    """A model that does not exist opens its target for a minute, then for two, up to an hour, and is an event for a human.
    A success begins anew."""
    engine = pool()
    for break_duration in (60.0, 120.0, 240.0, 480.0, 960.0, 1920.0, 3600.0, 3600.0):
        now = max(0.0, engine["a"].breaker.open_until)
        end(engine, Outcome(Kind.NOT_FOUND, "no model x"), now=now)
        assert engine["a"].breaker.open_until == now + break_duration
        assert engine["a"].rejection is Kind.NOT_FOUND
        assert engine.events[-1] == events.NeedsAttention("a", Kind.NOT_FOUND, "no model x")
    now = engine["a"].breaker.open_until
    end(engine, OK, now=now)
    end(engine, Outcome(Kind.NOT_FOUND, "no model x"), now=now + 1)
    assert engine["a"].breaker.open_until == now + 61


def test_a_rejection_is_seen() -> None:
    """Until it recovers, a target that has just opened shows the attempts that opened it."""
    for outcome in (SERVER, Outcome(Kind.AUTH, "bad key"), Outcome(Kind.QUOTA), Outcome(Kind.NOT_FOUND)):
        engine = pool()
        end(engine, outcome)
        end(engine, outcome, now=0.5)
        assert engine["a"].breaker.state is State.OPEN
        assert engine["a"].breaker.recent == (2, 2)
        end(engine, OK, now=9999.0)
        assert engine["a"].breaker.recent == (0, 0)


def test_a_failure_that_names_a_time() -> None:
    """A 503 with Retry-After: the target is left alone for so long, though its breaker is closed."""
    engine = pool("ab")
    engine.tracker.has_news = False
    end(engine, Outcome(Kind.SERVER, "maintenance", retry_after=30.0), now=10.0)
    assert engine.tracker.has_news, "other processes leave it alone too"
    assert engine["a"].breaker.state is State.CLOSED
    assert engine.tracker.available_at(engine["a"], 10.0) == 40.0
    assert engine["a"].unavailable_reason(10.0) == "the provider stated a time to wait (Retry-After)"


@pytest.mark.parametrize(
    ("outcome", "seconds", "rejected"),
    [
        (Outcome(Kind.AUTH, "bad key"), 300.0, True),
        (Outcome(Kind.AUTH, "bad key", retry_after=900.0), 300.0, True),
        (Outcome(Kind.QUOTA, "used up"), 300.0, False),
        (Outcome(Kind.QUOTA, "used up", retry_after=900.0), 900.0, False),
        (Outcome(Kind.QUOTA, "used up", retry_after=1.0), 3.75, False),  # a break is not shortened
    ],
)
def test_a_blocked_account(outcome: Outcome, seconds: float, rejected: bool) -> None:
    """A key or a quota opens the target and all targets of its account, for the reset of a quota or five minutes."""
    engine = pool("abc")
    end(engine, outcome, now=10.0)
    reason = f"{outcome.kind}: {outcome.message}"
    assert engine.events == [
        events.StateChanged("a", State.CLOSED, State.OPEN, reason, seconds),
        events.StateChanged("p/x", State.CLOSED, State.OPEN, f"{outcome.kind} at a", seconds, "account"),
        events.NeedsAttention("a", outcome.kind, outcome.message),
    ]
    assert (engine["a"].rejection is Kind.AUTH) is rejected
    assert [engine.tracker.available_at(engine[name], 10.0) for name in "abc"] == [10 + seconds, -inf, 10 + seconds]


def test_a_blocked_account_of_one() -> None:
    """An account of one target, or an outcome that is about the target alone, opens no domain; long reasons are cut."""
    engine = pool("ab")
    end(engine, Outcome(Kind.AUTH, "y" * 99))
    assert changes(engine) == [("a", State.CLOSED, State.OPEN)]
    assert engine["a"].breaker.reason == "auth: " + "y" * 80
    engine = pool("ac")
    end(engine, Outcome(Kind.AUTH, "not this model", scope=Scope.TARGET))
    assert changes(engine) == [("a", State.CLOSED, State.OPEN)]


def test_a_key_that_a_function_did_not_give() -> None:
    """No provider has refused it: the target opens for a second, doubling to the longest break, and the fleet does not share it."""
    engine, now = pool("ac", breaker=Breaker(auth_break_duration=300.0)), 0.0
    breaks = list[float]()
    for _ in range(8):
        end(engine, Outcome(Kind.AUTH, "gave no key", scope=Scope.TARGET), now=now)
        breaks.append(engine["a"].breaker.open_until - now)
        now += breaks[-1]
    assert breaks == pytest.approx([0.75, 1.75, 3.5, 7, 14, 17.5, 17.5, 17.5])
    assert (engine["a"].breaker.cause, engine["c"].breaker.state) == ("", State.CLOSED)
    end(engine, Outcome(Kind.AUTH, "bad key"), now=now)
    assert engine["a"].breaker.open_until - now == 300.0


def test_a_contradicted_invalid() -> None:
    """An INVALID that another target refuted is a failure of the target; enough of them open it with its message."""
    engine = pool()
    refuted = Outcome(Kind.INVALID, "bad field")
    engine.tracker.record_contradicted_invalid(engine["a"], refuted, 1.0, 2.0)
    assert engine["a"].breaker.recent == (1, 1)
    assert engine.events == []
    engine.tracker.record_contradicted_invalid(engine["a"], refuted, 3.0, 4.0)
    assert engine.events == [events.StateChanged("a", State.CLOSED, State.OPEN, "2 consecutive failures", 3.75)]
    engine["a"].breaker.state = State.RECOVERING
    engine.tracker.record_contradicted_invalid(engine["a"], refuted, 5.0, 6.0)
    assert engine["a"].breaker.reason == "invalid: bad field"


# --- domains ------------------------------------------------------------------------------------------------------


def test_a_region_that_cannot_be_connected_to() -> None:
    """Failures without a connection count against the region; with two targets in it, it opens, and says why."""
    engine = pool("ab")
    end(engine, REFUSED)
    end(engine, REFUSED, "b", now=1.0)
    assert engine.events == [events.StateChanged("p/r1", State.CLOSED, State.OPEN, "connection failed", 0.75, "region")]
    assert engine["a"].breaker.state is engine["b"].breaker.state is State.CLOSED
    region = engine.tracker.domains[REGION]
    assert (region.state, region.cause) == (State.OPEN, ""), "others have another network"
    alone = pool("ad")
    end(alone, REFUSED)
    end(alone, REFUSED, now=1.0)
    assert changes(alone) == [("a", State.CLOSED, State.OPEN)], "a region of one target is that target"
    connected = pool("ab")
    end(connected, SERVER)
    end(connected, SERVER, "b", now=1.0)
    assert connected.events == []


def test_most_of_a_region_is_down() -> None:
    """The region opens when the second of its targets does, and stays as it is when a third one follows."""
    engine = pool("abcd")
    for name in "ab":
        for _ in range(2):
            end(engine, SERVER, name)
    assert engine.events == [
        events.StateChanged("a", State.CLOSED, State.OPEN, "2 consecutive failures", 0.75),
        events.StateChanged("b", State.CLOSED, State.OPEN, "2 consecutive failures", 0.75),
        events.StateChanged("p/r1", State.CLOSED, State.OPEN, "most of its targets are down", 0.75, "region"),
    ]
    epoch = engine.tracker.domains[REGION].epoch
    end(engine, SERVER, "b", of=Permit(0.0, engine["b"].breaker.epoch))
    assert engine.tracker.domains[REGION].epoch == epoch, "what is open already is not opened again"


def test_most_of_a_provider_is_down() -> None:
    """Open targets in two regions open the provider, also one that has just recovered; those used long ago do not count."""
    engine = pool("ad")
    engine.tracker.domains[PROVIDER].state = State.RECOVERING
    for name in "ad":
        for _ in range(2):
            end(engine, SERVER, name)
    assert changes(engine)[-1] == ("p", State.RECOVERING, State.OPEN)
    engine = pool("ad")
    for now, name in ((0.0, "a"), (120.0, "d")):
        for _ in range(2):
            end(engine, SERVER, name, now=now)
    assert [subject for subject, _, _ in changes(engine)] == ["a", "d"]


def test_one_probe_serves_the_domain() -> None:
    """A probe's success closes its domains immediately, and lets the other open targets be probed, but not a rejected key."""
    engine = pool("abcd")
    engine.open("a")
    engine.open("b", "c", "d", seconds=300.0)
    engine["c"].rejection = Kind.AUTH
    engine["d"].breaker.state = State.HALF_OPEN
    opened(engine, PROVIDER)
    held = permit(engine, now=5.0)
    _ = engine.events
    end(engine, OK, now=6.0, of=held)
    assert engine.events == [
        events.StateChanged("a", State.HALF_OPEN, State.RECOVERING, "", 0.0),
        events.StateChanged("p", State.HALF_OPEN, State.CLOSED, "", 0.0, "provider"),
    ]
    assert [engine[name].breaker.open_until for name in "bcd"] == [6.0, 300.0, 300.0]
    provider = engine.tracker.domains[PROVIDER]
    assert (provider.last_success_start, provider.recovering_since) == (5.0, 6.0)


def test_a_success_elsewhere_leaves_closed_domains_alone() -> None:
    """An ordinary success does not change when the others may be probed."""
    engine = pool("ab")
    engine.open("b", seconds=300.0)
    end(engine, OK, now=1.0)
    assert engine["b"].breaker.open_until == 300.0
    assert engine.events == []
    counted = [engine.tracker.domains[domain].recent for domain in engine["a"].domains]
    assert counted == [(1, 0), (0, 0), (0, 0)]  # of the region: an account and a provider open by other evidence
    assert engine["a"].breaker.last_success_start == 1.0


def test_an_account_that_was_told_to_wait() -> None:
    """After that time a success of any of its targets opens it for as many attempts as before."""
    engine = pool("ac")
    account = engine.tracker.domains[ACCOUNT]
    account.stay_away(0.0, 5.0)
    assert account.free(5.0) == 1
    end(engine, OK, now=99.0)
    assert account.free(99.0) == inf


@pytest.mark.parametrize(
    ("outcome", "after"),
    [(SERVER, State.OPEN), (TIMEOUT, State.HALF_OPEN), (CANCELLED, State.HALF_OPEN), (OK, State.CLOSED)],
)
def test_a_domain_after_its_probe(outcome: Outcome, after: State) -> None:
    """A failure of more than the target opens the domain again; one of the target alone leaves it to the next probe."""
    engine = pool("ab")
    opened(engine, REGION)
    held = permit(engine, now=5.0)
    _ = engine.events
    end(engine, outcome, now=6.0, of=held)
    assert engine.tracker.domains[REGION].state is after
    if after is State.OPEN:
        assert engine.events == [
            events.StateChanged("p/r1", State.HALF_OPEN, State.OPEN, "its probe failed", 8.75, "region")
        ]


def test_only_the_probe_opens_a_half_open_domain_again() -> None:
    """The failure of another attempt, which was out already, is no result of the probe of the domain."""
    engine = pool("ab")
    early = permit(engine, "b")
    opened(engine, REGION)
    permit(engine, now=5.0)
    end(engine, SERVER, "b", now=6.0, of=early)
    assert engine.tracker.domains[REGION].state is State.HALF_OPEN


def test_an_open_domain_that_opens_again_is_no_event() -> None:
    """A second rejected key on an open account makes its time longer, without another event of the account."""
    engine = pool("ac")
    end(engine, Outcome(Kind.AUTH, "key"))
    _ = engine.events
    end(engine, Outcome(Kind.AUTH, "key"), "c", now=100.0, of=Permit(0.0, 0))
    assert changes(engine) == [("c", State.CLOSED, State.OPEN)]
    assert engine.tracker.domains[ACCOUNT].open_until == 400.0


def test_the_tracker_alone() -> None:
    """A tracker without targets has no domain and nothing to tell."""
    tracker = HealthTracker([], Policy(), Engine().shared.rng)
    assert (tracker.states, tracker.domains, tracker.pending_events) == ((), {}, [])
