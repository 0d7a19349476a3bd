"""A call and its attempts: what is left, what is running, what they have shown."""

from math import inf

import pytest
from hotspare._engine.call import Attempt
from hotspare.outcome import AttemptReason, Kind, Outcome, Scope
from hotspare.target import Domain

from tests.support.engine import CANCELLED, OK, SERVER, TIMEOUT, Engine, call_of, state_of


def test_a_new_call() -> None:
    """It has all its attempts and all its time left."""
    a, b, c = state_of("a"), state_of("b"), state_of("c")
    call = call_of(tiers=((a, b), (c,)), started=10.0, deadline=30.0)
    assert (call.attempts_left, call.time_left(12.0), call.time_budget) == (6, 18.0, 20.0)
    assert (call.running, call.records, call.results, call.avoided_domains) == ([], (), {}, frozenset())
    assert list(call.states()) == [a, b, c]
    assert not call.is_running_at(a)
    assert (call.idle_seconds, call.emitted, call.hedged, call.was_queued) == (
        0.0,
        None,
        False,
        False,
    )
    assert (call.retry_used, call.retry_target, call.last, call.tracks_ttft, call.allow_last_resort) == (
        False, None, None, True, True,
    )  # fmt: skip


def test_what_can_be_sent() -> None:
    """Targets with a field that they cannot be sent are left out, in the order given."""
    a, b, c = state_of("a"), state_of("b"), state_of("c")
    call = call_of(a, b, c, unsupported={b: ("seed",), c: ()})
    assert list(call.supporting([c, b, a])) == [c, a]


def test_attempts() -> None:
    """A running attempt counts as used; a settled one has a record and, if it lost no race, a result."""
    engine = Engine("abc")
    call = engine.call()
    first, second, third = (engine.start(call, name, float(now)) for now, name in enumerate("abc"))
    assert (call.attempts_left, call.running) == (3, [first, second, third])
    assert call.is_running_at(engine["b"])
    engine.settle(call, second, SERVER, 5.0)
    engine.settle(call, third, CANCELLED, 6.0)
    assert call.running == [first]
    assert not call.is_running_at(engine["b"])
    assert call.results == {engine["b"]: second}
    assert [(record.target, record.kind) for record in call.records] == [("b", Kind.SERVER), ("c", Kind.CANCELLED)]
    again = engine.start(call, "b", 7.0)
    engine.settle(call, again, OK, 8.0)
    assert call.results == {engine["b"]: again}
    again.superseded = True
    assert call.results == {engine["b"]: second}


def test_the_end_of_an_attempt_for_its_call() -> None:
    """Its outcome, when, and after how many seconds."""
    engine = Engine()
    attempt: Attempt = engine.start(engine.call(), now=10.0)
    assert (attempt.outcome, attempt.ended, attempt.seconds, attempt.superseded, attempt.lost) == (
        None, inf, 0.0, False, False,
    )  # fmt: skip
    assert (attempt.target, attempt.reason, attempt.result) == (engine["a"].target, AttemptReason.FIRST, None)
    attempt.end(TIMEOUT, 12.5)
    assert (attempt.outcome, attempt.ended, attempt.seconds) == (TIMEOUT, 12.5, 2.5)


def test_avoided_domains() -> None:
    """The regions and accounts at fault, by the scope of each outcome."""
    targets = {name: {"id": "p/m", "region": f"r{name}", "account": f"x{name}"} for name in "abcd"}
    engine = Engine("abcd", targets=targets)
    call = engine.call()
    outcomes = (SERVER, Outcome(Kind.QUOTA), TIMEOUT, Outcome(Kind.SERVER, scope=Scope.ACCOUNT))
    for name, outcome in zip("abcd", outcomes, strict=True):
        engine.settle(call, engine.start(call, name), outcome, 1.0)
    assert call.avoided_domains == {
        Domain("region", "p", "ra"), Domain("account", "p", "xb"), Domain("account", "p", "xd"),
    }  # fmt: skip


def test_attempts_in_a_domain() -> None:
    """Running and ended attempts count, in any domain that their target is in."""
    targets = {"a": {"id": "p/m", "region": "r1"}, "b": {"id": "p/m", "region": "r2"}}
    engine = Engine("ab", targets=targets)
    call = engine.call()
    engine.settle(call, engine.start(call, "a"), SERVER, 1.0)
    engine.start(call, "b")
    assert call.attempts_in(Domain("region", "p", "r1")) == 1
    assert call.attempts_in(Domain("provider", "p")) == 2
    assert call.attempts_in(Domain("provider", "q")) == 0


@pytest.mark.parametrize(
    ("streaming", "total", "deadline"),
    [(True, None, 100.0), (True, 40.0, 40.0), (True, 400.0, 100.0), (False, 40.0, 100.0)],
)
def test_the_total_deadline_bounds_the_first_content_of_a_stream(
    streaming: bool, total: float | None, deadline: float
) -> None:
    """A stream has to begin before it has to end; the time of a call stays what it was."""
    call = call_of(streaming=streaming, total_deadline=total)
    assert (call.deadline, call.time_budget) == (deadline, 100.0)


@pytest.mark.parametrize(
    ("total", "until", "deadline"),
    [(None, 150.0, 150.0), (None, 50.0, 100.0), (120.0, 150.0, 120.0), (120.0, 110.0, 110.0)],
)
def test_more_time_after_a_break(total: float | None, until: float, deadline: float) -> None:
    """The deadline moves later, never earlier, and never beyond the total deadline."""
    call = call_of(total_deadline=total)
    call.extend_deadline(until)
    assert call.deadline == deadline
