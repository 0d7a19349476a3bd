"""When a target may be tried, its domains considered, and what permits and time change."""

from math import inf

import pytest
from hotspare import events
from hotspare._health.breaker import Permit, State
from hotspare._health.failures import Failure, may_retry, suspect
from hotspare._health.probe_lease import ProbeLease
from hotspare._health.target_state import TargetState
from hotspare.outcome import Kind
from hotspare.policy import Breaker
from hotspare.target import Domain

from tests.support.engine import OK, SERVER
from tests.support.health import ACCOUNT, PROVIDER, REGION, end, opened, permit, pool

# --- when a target may be tried -----------------------------------------------------------------------------------


@pytest.mark.parametrize("domain", [REGION, ACCOUNT, PROVIDER])
def test_available_when_all_of_them_are(domain: Domain) -> None:
    """The latest of the target's own time and those of its domains counts."""
    engine = pool("ad")
    assert engine.tracker.available_at(engine["a"], 0.0) == -inf
    opened(engine, domain).open_until = 50.0
    assert engine.tracker.available_at(engine["a"], 0.0) == 50.0
    assert engine.tracker.available_at(engine["d"], 0.0) == (50.0 if domain == PROVIDER else -inf)
    engine["a"].breaker.rate_limited_until = 60.0
    assert engine.tracker.available_at(engine["a"], 0.0) == 60.0


def test_added_targets_share_what_is_known() -> None:
    """A target that is added later finds its domains as they are, and the others keep theirs."""
    engine = pool("ac")
    opened(engine, ACCOUNT).open_until = 70.0
    late = pool("b")["b"]
    engine.tracker.add([late])
    assert [state.name for state in engine.tracker.states] == ["a", "c", "b"]
    assert engine.tracker.available_at(engine["c"], 0.0) == 70.0
    assert engine.tracker.available_at(late, 0.0) == -inf
    opened(engine, REGION).open_until = 80.0
    assert engine.tracker.available_at(late, 0.0) == engine.tracker.available_at(engine["a"], 0.0) == 80.0


@pytest.mark.parametrize(
    ("failure", "now", "expected"),
    [
        (None, 10.0, -inf),
        (Failure(Kind.SERVER, 9.5), 10.0, 10.5),  # nothing has changed: a second after the failure
        (Failure(Kind.SERVER, 5.0), 10.0, -inf),
        (Failure(Kind.RATE_LIMITED, 8.0), 10.0, -inf),
    ],
)
def test_retry_at(failure: Failure | None, now: float, expected: float) -> None:
    """A target that failed this call is worth another attempt one break later, or once something has changed."""
    engine = pool()
    assert engine.tracker.retry_at(engine["a"], failure, now) == expected


def test_retry_at_an_open_target() -> None:
    """What is not available is not worth an attempt before it is, whether it failed this call or not."""
    engine = pool()
    engine.open("a", seconds=40.0)
    assert engine.tracker.retry_at(engine["a"], None, 0.0) == 40.0
    assert engine.tracker.retry_at(engine["a"], Failure(Kind.SERVER, 0.0), 0.0) == 40.0
    engine = pool()
    engine["a"].breaker.rate_limited_until = 9.0
    assert engine.tracker.retry_at(engine["a"], Failure(Kind.SERVER, 8.0), 9.0) == 9.0, "available at this moment"
    assert engine.tracker.retry_at(engine["a"], Failure(Kind.SERVER, 8.5), 9.0) == 9.5, "it has just failed"


def test_retry_at_while_a_probe_is_out() -> None:
    """A probe of the target or of a domain is waited for at most a second; a disabled target never becomes available."""
    engine = pool()
    engine["a"].breaker.open(0.0, engine.shared.rng)
    permit(engine, now=4.0)
    assert engine.tracker.retry_at(engine["a"], None, 6.0) == 7.0
    assert engine.tracker.retry_at(engine["a"], None, 63.5) == 64.0
    engine["a"].breaker.disabled = "gone"
    assert engine.tracker.retry_at(engine["a"], None, 6.0) == inf
    engine = pool("ad")
    opened(engine, PROVIDER)
    permit(engine, "d", now=4.0)
    assert engine.tracker.retry_at(engine["a"], None, 6.0) == 7.0


@pytest.mark.parametrize(
    ("kind", "now", "success", "state", "expected"),
    [
        (Kind.SERVER, 5.9, -inf, State.CLOSED, False),
        (Kind.SERVER, 5.9, 5.0, State.CLOSED, False),  # a success of a call that started with the failure
        (Kind.SERVER, 5.9, 5.1, State.CLOSED, True),
        (Kind.SERVER, 5.9, -inf, State.RECOVERING, True),
        (Kind.RATE_LIMITED, 5.9, -inf, State.CLOSED, True),
        (Kind.SERVER, 6.0, -inf, State.CLOSED, True),  # a second later
    ],
)
def test_may_retry(kind: Kind, now: float, success: float, state: State, expected: bool) -> None:
    """Any one change since the failure at 5 is enough, and there has to be one."""
    engine = pool()
    engine["a"].breaker.last_success_start, engine["a"].breaker.state = success, state
    assert may_retry(engine["a"], Failure(kind, 5.0), now) is expected


def test_unavailable_reason() -> None:
    """The domain that is open, the rate limit, or the target's own breaker, each with its reason if there is one."""
    engine = pool()
    engine["a"].breaker.state = State.OPEN
    assert engine["a"].unavailable_reason(0.0) == "circuit breaker open (failing)"
    engine["a"].breaker.reason = "500s"
    assert engine["a"].unavailable_reason(0.0) == "circuit breaker open (500s)"
    engine["a"].breaker.rate_limited_until, engine["a"].breaker.rate_limits = 5.0, 1
    assert engine["a"].unavailable_reason(4.9) == "rate limited"
    assert engine["a"].unavailable_reason(5.0) == "circuit breaker open (500s)"
    breaker = opened(engine, ACCOUNT, reason="")
    assert engine["a"].unavailable_reason(0.0) == "account p/x is open (failing)"
    breaker.reason = "key"
    engine["a"].breaker.rate_limited_until = -inf
    assert engine["a"].unavailable_reason(0.0) == "account p/x is open (key)"
    assert engine["a"].unavailable_reason(breaker.open_until) == "circuit breaker open (500s)"
    breaker.lease, breaker.cause = ProbeLease(0.0), "auth"
    assert engine["a"].unavailable_reason(breaker.open_until) == "account p/x is open (key)", "it waits for the lease"


# --- permits and time ---------------------------------------------------------------------------------------------


def test_acquire() -> None:
    """A permit is of the moment and of the breaker's epoch; only attempts that report their first token are in flight."""
    engine = pool()
    engine["a"].breaker.epoch = 3
    plain = permit(engine, now=7.0)
    assert (plain.started, plain.epoch, plain.probe, plain.last_resort) == (7.0, 3, False, False)
    waits = permit(engine, now=8.0, waits=True, last=True)
    assert waits.last_resort
    assert list(engine["a"].breaker.in_flight) == [waits]
    assert (engine["a"].breaker.last_used, engine["a"].breaker.active) == (8.0, 2)
    assert engine.events == []
    engine.tracker.release(engine["a"], waits)
    assert not engine["a"].breaker.in_flight and engine["a"].breaker.active == 1


def test_one_probe_for_target_and_domains() -> None:
    """The probe of a target is the probe of its domains that are open; each move is an event; releasing it frees all."""
    engine = pool("ab")
    engine["a"].breaker.reason = "broken"
    engine.open("a")
    opened(engine, REGION)
    probe = permit(engine, now=5.0)
    assert probe.probe
    assert engine.events == [
        events.StateChanged("a", State.OPEN, State.HALF_OPEN, "broken", 0.0),
        events.StateChanged("p/r1", State.OPEN, State.HALF_OPEN, "why", 0.0, "region"),
    ]
    assert engine.tracker.available_at(engine["b"], 5.0) == 65.0
    engine.tracker.has_news = False
    engine.tracker.release(engine["a"], probe)
    assert engine.tracker.available_at(engine["b"], 5.0) == -inf
    assert engine.tracker.has_news, "other processes may probe too"


def test_advance() -> None:
    """The end of a slow start is an event; time moves nothing else, and one target's does not hide the next one's."""
    engine = pool("abd")
    engine.open("a")
    engine.recover("b", "d")
    engine.tracker.advance(29.0)
    assert engine.events == []
    engine.tracker.advance(30.0)
    assert engine.events == [events.StateChanged(name, State.RECOVERING, State.CLOSED, "", 0.0) for name in ("b", "d")]
    assert engine["a"].breaker.state is State.OPEN
    assert not engine.tracker.recovering


def test_stall() -> None:
    """Three calls that wait too long open their target, with the reason and an event, and what is open does not open again."""
    engine = pool()
    for start in (100.0, 100.1, 100.2):
        permit(engine, now=start, waits=2.0)
    engine.tracker.open_if_stalled(engine["a"], 102.1)
    assert engine.events == []
    engine.tracker.open_if_stalled(engine["a"], 102.3)
    reason = "3 calls without an answer for over 2.1 s"
    assert engine.events == [events.StateChanged("a", State.CLOSED, State.OPEN, reason, 3.75)]
    engine.tracker.open_if_stalled(engine["a"], 150.0)
    assert (engine.events, engine["a"].breaker.epoch) == ([], 1)


def test_a_request_at_fault() -> None:
    """Failures of several targets on one request are taken back, once, by a success of one of them that began later."""
    engine = pool("abd", breaker=Breaker(consecutive_failures=9, failure_span=0.0))
    permits: list[tuple[TargetState, Permit]] = []
    for name, now in (("a", 1.0), ("b", 2.0), ("d", 3.0)):
        held = permit(engine, name, now)
        end(engine, SERVER, name, now, of=held)
        permits.append((engine[name], held))
        if len(permits) > 1:
            suspect(permits, now, "call-1")
    end(engine, OK, "a", 5.0, of=permit(engine, "a", 2.5))
    assert engine["b"].breaker.recent == (1, 1), "it began before the last of them failed"
    end(engine, OK, "a", 6.0, of=permit(engine, "a", 4.0))
    assert engine.events == [events.RequestAtFault("call-1", ("a", "b", "d"))]
    assert [engine[name].breaker.recent for name in "abd"] == [(2, 0), (0, 0), (0, 0)]


def test_a_request_at_fault_does_not_close_a_target() -> None:
    """A target that has opened since then, by other failures, stays open with all of them: they are evidence of a time before."""
    engine = pool("ad")
    held = [(engine[name], permit(engine, name, 1.0)) for name in "ad"]
    for state, one in held:
        end(engine, SERVER, state.name, 1.0, of=one)
    suspect(held, 1.0, "call-1")
    end(engine, SERVER, "d", 2.0)
    end(engine, OK, "a", 3.0)
    assert engine["a"].breaker.recent == (1, 0)
    assert (engine["d"].breaker.state, engine["d"].breaker.recent) == (State.OPEN, (2, 2))


@pytest.mark.parametrize(("now", "suspected"), [(10.9, ["call-1", "call-2"]), (11.0, ["call-2"])])
def test_an_old_suspicion_is_dropped(now: float, suspected: list[str]) -> None:
    """Ten seconds after the start of the first attempt, when there is a new one: the target has changed since."""
    engine = pool("ad")
    suspect([(engine["a"], permit(engine, "a", 1.0)), (engine["d"], permit(engine, "d", 5.0))], 6.0, "call-1")
    suspect([(engine["a"], permit(engine, "a", 9.0)), (engine["d"], permit(engine, "d", 9.0))], now, "call-2")
    assert [one.call_id for one in engine["a"].suspicions] == suspected


def test_an_outage_of_several_targets_is_not_taken_back() -> None:
    """None of them answers: their failures count, and they open."""
    engine = pool("ad")
    for now in (1.0, 2.0):
        permits: list[tuple[TargetState, Permit]] = []
        for name in "ad":
            held = permit(engine, name, now)
            end(engine, SERVER, name, now, of=held)
            permits.append((engine[name], held))
        suspect(permits, now, f"call-{now}")
    assert [engine[name].breaker.state for name in "ad"] == [State.OPEN, State.OPEN]


def test_a_last_resort_that_fails_does_not_end_the_probe_of_another_call() -> None:
    """An early probe began before the break was over, and fails during the regular probe: that probe's answer decides."""
    engine = pool()
    engine.open("a")
    early = permit(engine, now=3.0, last=True)
    probe = permit(engine, now=4.0)
    end(engine, SERVER, now=4.5, of=early)
    assert (engine["a"].breaker.state, engine["a"].breaker.recent) == (State.HALF_OPEN, (1, 1))
    assert engine.tracker.available_at(engine["a"], 4.5) == 64.0, "the probe keeps its lease"
    end(engine, OK, now=5.0, of=probe)
    assert engine["a"].breaker.state is State.RECOVERING


def test_suspicions_do_not_add_up() -> None:
    """Each success would check all of them again: those that a success has cleared are forgotten."""
    engine = pool("ab", breaker=Breaker(consecutive_failures=9, failure_span=0.0))
    for number in range(3):
        suspect([(engine[name], permit(engine, name, 1.0)) for name in "ab"], 1.0, f"call-{number}")
    end(engine, OK, "a", 2.0, of=permit(engine, "a", 1.5))
    assert (engine["a"].suspicions, len(engine.events)) == ([], 3)
    end(engine, OK, "b", 3.0, of=permit(engine, "b", 2.5))
    assert (engine["b"].suspicions, engine.events) == ([], [])


def test_why_a_target_that_is_not_open_admits_no_attempt() -> None:
    """A probe is in flight, or a slow start admits only so many attempts: the circuit breaker is not open."""
    engine = pool()
    engine.open("a")
    probe = permit(engine, now=9.0)
    assert engine["a"].unavailable_reason(9.0) == "circuit breaker half-open (failing)"
    end(engine, OK, now=9.1, of=probe)
    while engine.tracker.available_at(engine["a"], 9.2) <= 9.2:
        permit(engine, now=9.2)
    assert engine["a"].unavailable_reason(9.2) == "slow start: it admits no more concurrent attempts yet"


def test_domains_without_targets_are_forgotten() -> None:
    """A pool that is reloaded with another key each hour must not keep all their accounts."""
    engine = pool("ac")
    opened(engine, REGION)
    engine.tracker.replace([engine["a"]], engine.policy)
    assert engine["a"].breakers[1].state is State.OPEN, "domains that are still used keep their health"
    engine.tracker.replace([engine["c"]], engine.policy)
    assert set(engine.tracker.domains) == set(engine["c"].domains)
    end(engine, SERVER, "a")
    end(engine, SERVER, "a")
    assert engine["a"].breaker.state is State.OPEN, "attempts at the previous targets end as usual"
    end(engine, OK, "a", now=99.0)
    assert [breaker.state for breaker in engine["a"].breakers[:2]] == [State.RECOVERING, State.CLOSED]
    end(engine, SERVER, "a", now=99.5)
    end(engine, SERVER, "a", now=99.6)
    assert engine["a"].breaker.state is State.OPEN
