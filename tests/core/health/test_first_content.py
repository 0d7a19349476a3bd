"""What the first content of a stream changes, and what a break of a target shows to others: its cause, its events and its news."""

import pytest
from hotspare import events
from hotspare._engine.call import OpenStream
from hotspare._health.breaker import State
from hotspare.messages import ChatChunk
from hotspare.outcome import Outcome

from tests.support.engine import OK, SERVER, TIMEOUT
from tests.support.health import changes, end, permit, pool


@pytest.mark.parametrize(("begins", "later"), [(True, 39), (False, 9)])
def test_a_probe_that_is_answered(begins: bool, later: int) -> None:
    """It ends the break, at its first content too; then it is not known yet how long its answers take."""
    engine = pool("a")
    engine.open("a")
    breaker = engine["a"].breaker
    breaker.rate_limits, engine["a"].not_founds = 3, 2
    held = permit(engine, now=9.0)
    engine.tracker.has_news = False
    assert engine.events and not engine.tracker.recovering
    if begins:
        engine.tracker.record_first_content(engine["a"], held, 9.2)
    else:
        engine.tracker.record_outcome(engine["a"], held, OK, 9.2)
    assert (breaker.state, breaker.recovering_since, breaker.rate_limits) == (State.RECOVERING, 9.2, 0)
    assert (breaker.last_success_start, breaker.free(9.2), breaker.free(10.2)) == (9.0, 9, later)
    assert (engine["a"].not_founds, breaker.changed_at, breaker.probes_members) == (0, 9.2, False)
    assert list(engine.tracker.recovering) == [engine["a"]] and engine.tracker.has_news
    assert changes(engine) == [("a", "half-open", "recovering")]


def test_a_stream_that_begins_ends_an_outage() -> None:
    """The slow start runs from its first content on, and the stream is in flight until its end."""
    engine = pool("a")
    engine.open("a")
    call = engine.call()
    attempt = engine.start(call, "a", 10.0)
    attempt.result = OpenStream(ChatChunk(text="x"), None)
    engine.settle(call, attempt, OK, 11.0)
    breaker = engine["a"].breaker
    assert (breaker.state, breaker.recovering_since, breaker.streams) == (State.RECOVERING, 11.0, 1)


def test_a_stream_of_a_healthy_target() -> None:
    """Its beginning is evidence against a stall, unless it belongs to the time before a break."""
    engine = pool("a")
    held, stale = permit(engine, now=5.0), permit(engine, now=6.0)
    engine.tracker.record_first_content(engine["a"], held, 5.5)
    assert (engine["a"].breaker.last_success_start, engine["a"].breaker.recent) == (5.0, (0, 0))
    stale.epoch -= 1
    engine.tracker.record_first_content(engine["a"], stale, 6.5)
    assert engine["a"].breaker.last_success_start == 5.0


@pytest.mark.parametrize(("outcome", "cause"), [(SERVER, "server"), (TIMEOUT, "")])
def test_the_cause_of_a_break(outcome: Outcome, cause: str) -> None:
    """Only the server's own errors are evidence for other processes; all are events and news."""
    engine = pool("a")
    engine.tracker.has_news = False
    for now in (1.0, 2.0):
        end(engine, outcome, now=now)
    assert engine["a"].breaker.state is State.OPEN and engine["a"].breaker.cause == cause
    assert engine.tracker.has_news and engine["a"].breaker.changed_at == 2.0
    (changed,) = [one for one in engine.events if isinstance(one, events.StateChanged)]
    assert (changed.subject, changed.level, changed.reason) == ("a", "target", "2 consecutive failures")
    assert changed.open_for == engine["a"].breaker.open_until - 2.0 > 0
    engine["a"].breaker.recover(9.0)
    assert engine["a"].breaker.cause == "" and engine["a"].breaker.recovered_at == (9.0 if cause else float("-inf"))


def test_calls_that_wait_are_checked_now_and_then() -> None:
    """Twenty times a second, however many calls begin."""
    engine = pool("a")
    state = engine["a"]
    for now in range(int(state.breaker.config.stalled_calls)):
        permit(engine, now=float(now), waits=50.0)
    engine.tracker.open_if_stalled(state, 10.0)
    assert state.breaker.next_stall_check == pytest.approx(10.05)
    state.breaker.next_stall_check = 99.0
    engine.tracker.open_if_stalled(state, 90.0)
    assert state.breaker.state is State.CLOSED
    engine.tracker.open_if_stalled(state, 99.0)
    assert state.breaker.state is State.OPEN
