"""The events of a call: their content, in which order they come, and that postponed ones say the same as immediate ones."""

from contextvars import copy_context
from dataclasses import replace
from typing import Any

import pytest
from hotspare import ChatReply, Price, StreamInterrupted, Usage, events
from hotspare._engine import call_report
from hotspare._engine.call import Attempt, Call
from hotspare._engine.commands import Wait
from hotspare.errors import AllTargetsFailed
from hotspare.events import CallResult
from hotspare.messages import ChatRequest
from hotspare.outcome import AttemptReason, Kind, Outcome

from tests.support.engine import CANCELLED, OK, SERVER, Engine, state_of

ASKED = ChatRequest(messages=[{"role": "user", "content": "x" * 400}], model="best")
STARTED = events.CallStarted("call-1", "best", "main", True, {"team": "a"})


def engine_of(*, late: bool = False) -> Engine:
    """Targets a and b, at one and two USD a token. `late`: all listeners accept a call's events after its end."""
    states = [
        state_of(name, price=Price(usd, usd), position=place)
        for place, (name, usd) in enumerate((("a", 1e6), ("b", 2e6)))
    ]
    engine = Engine(states, retry_same_target="never")
    engine.shared.reports_late = late
    return engine


def asked(engine: Engine, **fields: Any) -> Call:
    return engine.call(**({"request": ASKED, "route": "main", "labels": {"team": "a"}, "started": 1.0} | fields))


def step(engine: Engine, call: Call, now: float) -> Attempt:
    """The next attempt, reported."""
    found = engine.attempt(call, now)
    call_report.stepped(call, found, engine.shared, now, was_queued=False)
    return found


def whole(engine: Engine, call: Call, attempt: Attempt, now: float) -> None:
    """A whole answer with its usage."""
    attempt.result, attempt.unary = ChatReply(text="x", usage=Usage(10, 5)), True
    engine.settle(call, attempt, OK, now)
    call.usage, call.cost = Usage(10, 5), 15.0
    call.parts.append((attempt, Usage(10, 5)))


def test_a_call_as_it_happens() -> None:
    """Begun, one attempt, which fails, another one, which answers, and the end with all figures."""
    engine = engine_of()
    call = asked(engine, context=None, saved_tokens=7)
    call_report.started(call, engine.shared)
    engine.settle(call, step(engine, call, 1.0), SERVER, 1.5)
    attempt = step(engine, call, 1.5)
    whole(engine, call, attempt, 3.0)
    call.idle_seconds, call.duplicate_tokens = 0.25, 3
    first, second = call.records
    found = engine.events
    assert found == [
        STARTED,
        events.AttemptStarted("call-1", 1, "a", AttemptReason.FIRST),
        events.AttemptEnded("call-1", first),
        events.FailedOver("call-1", "a", "b", Kind.SERVER),
        events.AttemptStarted("call-1", 2, "b", AttemptReason.FAILOVER),
        events.AttemptEnded("call-1", second, Usage(10, 5)),
    ]
    assert call_report.ended(call, None, engine.shared, 4.0) == (
        events.CallEnded(
            "call-1", "b", (first, second), 3.0, CallResult.ANSWERED, model="best", route="main", streaming=True,
            labels={"team": "a"}, ttft=2.0, usage=Usage(10, 5), cost=15.0, wasted_tokens=3, waited=0.25, rescued=True,
            paid=(events.Paid(2, "b", Usage(10, 5), 30.0, False),), wasted=0, saved=0.0, saved_tokens=7,
        ),
    )  # fmt: skip


def test_a_call_that_is_reported_at_its_end() -> None:
    """If the first attempt answers, its events are created later, and are the same as those of a call that is reported as it happens."""
    reports: list[list[events.Event]] = []
    for late in (False, True):
        engine = engine_of(late=late)
        call = asked(engine)
        call_report.started(call, engine.shared)
        assert call.is_reported_late is late
        whole(engine, call, step(engine, call, 1.0), 2.0)
        if late:
            assert engine.events == [] and call_report.ended(call, None, engine.shared, 3.0) == ()
            assert list(engine.shared.answered) == [(call, 3.0)]
            reports.append([*call_report.events_of(*engine.shared.answered[0])])
        else:
            reports.append([*engine.events, *call_report.ended(call, None, engine.shared, 3.0)])
            assert not engine.shared.answered
    assert reports[0] == reports[1] and len(reports[0]) == 4


def test_a_failure_is_reported_at_once() -> None:
    """The events that were postponed, in order, behind those that are pending already; later ones as they happen."""
    engine = engine_of(late=True)
    call = asked(engine)
    call_report.started(call, engine.shared)
    attempt = step(engine, call, 1.0)
    pending = events.TargetEnabled("x")
    engine.tracker.pending_events.append(pending)
    engine.settle(call, attempt, SERVER, 1.5)
    assert engine.events == [
        pending, STARTED, events.AttemptStarted("call-1", 1, "a", AttemptReason.FIRST),
        events.AttemptEnded("call-1", call.records[0]),
    ]  # fmt: skip
    assert not call.is_reported_late
    whole(engine, call, step(engine, call, 1.5), 2.0)
    assert [type(one).__name__ for one in engine.events] == ["FailedOver", "AttemptStarted", "AttemptEnded"]
    assert len(call_report.ended(call, None, engine.shared, 3.0)) == 1 and not engine.shared.answered


@pytest.mark.parametrize("error", [None, ValueError("x")])
def test_several_attempts_or_an_error(error: Exception | None) -> None:
    """A call that is reported late and ends otherwise than with one attempt's answer is reported when it ends."""
    engine = engine_of(late=True)
    call = asked(engine)
    call_report.started(call, engine.shared)
    engine.settle(call, engine.start(call, "a", 1.0), OK, 2.0)
    if error is None:
        engine.settle(call, engine.start(call, "b", 1.0), CANCELLED, 2.0)
        call.is_reported_late = True
    engine.events  # noqa: B018 - what the attempts have reported
    found = call_report.ended(call, error, engine.shared, 3.0)
    assert found[0] == STARTED and isinstance(found[-1], events.CallEnded) and len(found) == (6 if error is None else 4)


def test_a_call_that_waits() -> None:
    """Reported once, with its remaining time, after what was postponed."""
    engine = engine_of(late=True)
    call = asked(engine, deadline=21.0)
    call_report.started(call, engine.shared)
    wait = Wait(1.0, None)
    call_report.stepped(call, wait, engine.shared, 2.0, was_queued=False)
    assert engine.events == [], "a pause, not the queue"
    call.was_queued = True
    call_report.stepped(call, wait, engine.shared, 2.0, was_queued=False)
    assert engine.events == [STARTED, events.CallQueued("call-1", 19.0)]
    call_report.stepped(call, wait, engine.shared, 3.0, was_queued=True)
    assert engine.events == []


def test_an_attempt_that_continues_an_answer() -> None:
    """It says so."""
    engine = engine_of()
    call = asked(engine)
    call.emitted = "so far"
    attempt = engine.start(call, "a", 1.0)
    call_report.stepped(call, attempt, engine.shared, 1.0, was_queued=False)
    assert attempt.is_continuation
    assert engine.events[-1] == events.AttemptStarted("call-1", 1, "a", AttemptReason.FIRST, True)


INTERRUPTED = StreamInterrupted("it broke\nmore", text="so far")


@pytest.mark.parametrize(
    ("error", "usage", "result", "target", "line"),
    [
        (None, None, CallResult.ANSWERED, "a", ""),
        (GeneratorExit(), Usage(1, 1), CallResult.ANSWERED, "a", ""),
        (INTERRUPTED, None, CallResult.INTERRUPTED, None, "it broke"),
        (ValueError("secret"), None, CallResult.FAILED, None, "ValueError"),
        (AllTargetsFailed(""), None, CallResult.FAILED, None, ""),
        (GeneratorExit(), None, CallResult.ABANDONED, "a", "GeneratorExit"),
    ],
)
def test_how_a_call_ends(
    error: BaseException | None, usage: Usage | None, result: CallResult, target: str | None, line: str
) -> None:
    """Answered, interrupted, failed or abandoned; the target that sent the last of an answer; and why, in one line without a foreign text."""
    engine = engine_of()
    call = asked(engine)
    engine.settle(call, engine.start(call, "a", 1.0), OK, 2.0)
    call.usage = usage
    (ended,) = call_report.ended(call, error, engine.shared, 3.0)
    assert isinstance(ended, events.CallEnded)
    assert (ended.result, ended.target, ended.error) == (result, target, line)
    assert ended.rescued is False and ended.usage == usage


@pytest.mark.parametrize(
    ("first", "emitted", "rescued"),
    [
        (SERVER, None, True),
        (CANCELLED, None, False),
        (OK, None, False),
        (OK, "so far", True),
        (CANCELLED, "so far", True),
    ],
)
def test_which_calls_were_rescued(first: Outcome, emitted: str | None, rescued: bool) -> None:
    """Answered although the first attempt failed, or the stream broke."""
    engine = engine_of()
    call = asked(engine)
    engine.settle(call, engine.start(call, "a", 1.0), first, 2.0)
    call.emitted = emitted
    (ended,) = call_report.ended(call, None, engine.shared, 3.0)
    assert isinstance(ended, events.CallEnded) and ended.rescued is rescued
    (failed,) = call_report.ended(call, ValueError(), engine.shared, 3.0)
    assert isinstance(failed, events.CallEnded) and failed.rescued is False
    (empty,) = call_report.ended(asked(engine), None, engine.shared, 3.0)
    assert isinstance(empty, events.CallEnded) and (empty.rescued, empty.ttft, empty.target) == (False, None, None)


def test_what_was_wasted() -> None:
    """Tokens that are no part of the answer, and their cost, if all of it is known (at a free target it is 0); unknown usage is none."""
    engine = engine_of()
    call = asked(engine, streaming=False)
    for name in "ab":
        engine.start(call, name, 1.0).lost = True
    call.duplicate_tokens, call.usage = 3, Usage()
    (ended,) = call_report.ended(call, None, engine.shared, 3.0)
    assert isinstance(ended, events.CallEnded)
    assert (ended.wasted_tokens, ended.wasted, ended.usage, ended.ttft) == (203, 300.0, None, None)
    unknown = state_of("c")
    call.attempts[0].state = unknown
    (ended,) = call_report.ended(call, None, engine.shared, 3.0)
    assert isinstance(ended, events.CallEnded) and ended.wasted is None
    call.attempts[0].state = state_of("d", price=Price(0, 0))
    (ended,) = call_report.ended(call, None, engine.shared, 3.0)
    assert isinstance(ended, events.CallEnded) and ended.wasted == 200.0


def test_a_whole_answer_has_no_first_token() -> None:
    """Only a call that streams reports the time to its first content."""
    engine = engine_of()
    call = asked(engine, streaming=False)
    whole(engine, call, engine.start(call, "a", 1.0), 2.0)
    (ended,) = call_report.ended(call, None, engine.shared, 3.0)
    assert isinstance(ended, events.CallEnded) and (ended.target, ended.ttft) == ("a", None)


def test_a_background_check() -> None:
    """Its only event has the outcome of its attempt; without an attempt there is none."""
    engine = engine_of()
    call = asked(engine, is_check=True)
    assert call_report.ended(call, None, engine.shared, 3.0) == ()
    engine.settle(call, engine.start(call, "a", 1.0), replace(SERVER, message="down"), 2.5)
    call.cost = 0.5
    assert call_report.ended(call, None, engine.shared, 3.0) == (
        events.TargetChecked("a", Kind.SERVER, 1.5, 0.5, "down"),
    )


def test_a_call_without_a_model() -> None:
    """Its events have an empty name, and the caller's context."""
    engine = engine_of()
    context = copy_context()
    call = engine.call(context=context)
    call_report.started(call, engine.shared)
    (begun,) = engine.events
    assert isinstance(begun, events.CallStarted) and begun.model == "" and begun.context is context
    (ended,) = call_report.ended(call, None, engine.shared, 1.0)
    assert isinstance(ended, events.CallEnded) and ended.model == ""
