"""What events say of a call: a whole account of it, the same through each face, and nothing where there are no listeners."""

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

import pytest
from hotspare import AllTargetsFailed, Kind, Price, RequestError, StreamInterrupted, Usage, events
from hotspare.events import AttemptEnded, AttemptStarted, CallEnded, CallQueued, CallResult, CallStarted, Event
from hotspare.outcome import Outcome
from hotspare.testing import ScriptedTarget, VirtualClock, answer, break_after, fail, scripted_pool

from tests.support.calls import EACH_FACE, Ask, run_calls

REFUSED = Outcome(Kind.TRANSPORT, "refused", before_connect=True)
FIELDS = Path(__file__).parents[2] / "docs/events.md"


def only(seen: list[Event], kind: type[Any]) -> Any:
    """The one event of this type."""
    (found,) = [event for event in seen if isinstance(event, kind)]
    return found


@EACH_FACE
def test_the_account_of_a_rescued_call(face: str) -> None:
    """Model, route, labels, tokens, cost, latency, first token, and that it was rescued; each attempt from start to end."""
    clock, seen = VirtualClock(), list[Event]()
    a = ScriptedTarget("a", fail(REFUSED, delay=1.0))
    b = ScriptedTarget("b", [answer(["x", "y"], delay=2.0, gap=1.5, usage=Usage(10, 5))], price=Price(1.0, 2.0))
    pool = scripted_pool(a, b, clock=clock, listeners=[seen.append], retry_same_target="never")
    run_calls(face, pool, clock, [Ask(options={"model": "default", "labels": {"team": "search"}})])
    started, ended = only(seen, CallStarted), only(seen, CallEnded)
    assert (started.model, started.route, started.streaming, started.labels) == (
        "default",
        "default",
        True,
        {"team": "search"},
    )
    assert (ended.result, ended.target, ended.rescued, ended.labels) == (
        CallResult.ANSWERED,
        "b",
        True,
        {"team": "search"},
    )
    assert (ended.ttft, ended.seconds) == (3.0, 6.0)
    assert (ended.usage, ended.cost) == (Usage(10, 5), 20e-6)
    order = [
        (type(event).__name__, getattr(event, "target", "")) for event in seen if "Attempt" in type(event).__name__
    ]
    assert order == [("AttemptStarted", "a"), ("AttemptEnded", ""), ("AttemptStarted", "b"), ("AttemptEnded", "")]
    assert json.loads(json.dumps([events.as_dict(event) for event in seen]))[0]["event"] == "CallStarted"


def test_calls_that_are_not_answered() -> None:
    """No target answered; a stream broke and was not continued; the caller left. The events differ, and name the reason."""
    clock, seen = VirtualClock(), list[Event]()
    a = ScriptedTarget("a", [fail(REFUSED), break_after(1, ["x", "y"]), answer(["x", "y"], gap=1.0)])
    pool = scripted_pool(
        a, clock=clock, listeners=[seen.append], when_all_down="fail", max_attempts=1, on_break="raise"
    )
    with pytest.raises(AllTargetsFailed):
        pool.chat("q")
    with pytest.raises(StreamInterrupted):
        list(pool.stream("q"))
    chunks = pool.stream("q")
    next(chunks)
    chunks.close()
    ended = [event for event in seen if isinstance(event, CallEnded)]
    assert [event.result for event in ended] == [CallResult.FAILED, CallResult.INTERRUPTED, CallResult.ABANDONED]
    assert [event.target for event in ended] == [None, None, "a"]
    assert ended[0].error.startswith("1 attempt failed") and "broke" in ended[1].error
    assert not any(event.rescued for event in ended)


def test_a_caller_who_leaves_with_the_last_chunk_was_answered() -> None:
    """Also if the generator is closed at that moment."""
    seen: list[Event] = []
    pool = scripted_pool(ScriptedTarget("a", answer(["x"])), listeners=[seen.append])
    chunks = pool.stream("q")
    for chunk in chunks:
        if chunk.finish_reason:
            break
    chunks.close()
    assert only(seen, CallEnded).result is CallResult.ANSWERED


def test_a_call_that_waits_is_an_event_once() -> None:
    """With the time that it has left; its seconds without an attempt are in its account."""
    clock, seen = VirtualClock(), list[Event]()
    a = ScriptedTarget("a", [fail(REFUSED, delay=0.3)] * 5 + ["back"])
    pool = scripted_pool(a, clock=clock, listeners=[seen.append], deadline=60)
    run_calls("sync", pool, clock, [Ask(streaming=False)])
    assert len([event for event in seen if isinstance(event, CallQueued)]) == 1
    ended = only(seen, CallEnded)
    assert ended.rescued and 0 < ended.waited < ended.seconds


def test_what_an_operator_does_is_an_event() -> None:
    """Out of use and back."""
    seen: list[Event] = []
    pool = scripted_pool("a", listeners=[seen.append])
    pool.disable("a", "maintenance")
    pool.enable("a")
    assert seen == [events.TargetDisabled("a", "maintenance"), events.TargetEnabled("a")]


def test_nothing_is_made_where_there_are_no_listeners() -> None:
    """Not one event of a call that succeeds, until a listener comes, and none after the last has left."""
    pool, seen = scripted_pool("a"), list[Event]()
    pending = pool._scheduler._shared.tracker.pending_events
    made: list[object] = []

    class Counting(list[Event]):
        def append(self, event: Event) -> None:
            made.append(event)

        def __iadd__(self, found: Iterable[Event]) -> "Counting":
            made.extend(found)
            return self

    pool._scheduler._shared.tracker.pending_events = Counting(pending)
    pool.chat("q")
    assert made == []
    unsubscribe = pool.subscribe(seen.append)
    pool.chat("q")
    assert [type(event) for event in made] == [CallStarted, AttemptStarted, AttemptEnded, CallEnded]
    unsubscribe()
    pool.chat("q")
    assert len(made) == 4


@pytest.mark.parametrize("labels", [{"a": 1}, "team", {"a": "x" * 101}, {str(n): "v" for n in range(17)}])
def test_labels_are_short_words(labels: Any) -> None:
    """Anything else is named, before a call is made."""
    with pytest.raises(RequestError, match="labels"):
        scripted_pool("a").chat("q", labels=labels)


def test_every_field_is_documented() -> None:
    """docs/events.md has a row for each field of each event."""
    page = FIELDS.read_text(encoding="utf-8")
    for event in get_args(Event):
        section = page.partition(f"### {event.__name__}\n")[2].partition("\n### ")[0]
        names = {one.name for one in dataclasses.fields(event)}
        rows = {line.split("|")[1].strip(" `") for line in section.splitlines() if line.startswith("| `")}
        assert rows == names, event.__name__


def test_kinds_are_words() -> None:
    """Enumerations become their values."""
    record = events.AttemptEnded("c", scripted_pool("a").chat("q").attempts[0])
    assert events.as_dict(record)["attempt"]["kind"] == str(Kind.OK)
