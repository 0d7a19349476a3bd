"""One call as a flow of commands: attempts, waiting, reading, recovery, and what is left behind when it ends."""

from typing import Any

import pytest
from hotspare import events
from hotspare._engine.call import Attempt, OpenStream
from hotspare._engine.commands import LATE, WOKE, Broke, Event, Finished, Flow, Read, Start, Wait
from hotspare._engine.flow import flow
from hotspare._engine.scheduler import Scheduler
from hotspare._health.target_state import TargetState
from hotspare.errors import AllTargetsFailed, AttemptTimeout, IncompleteAnswer, StreamInterrupted
from hotspare.messages import ChatChunk, ChatReply, Usage
from hotspare.outcome import Kind, Outcome
from hotspare.policy import Policy, Timeouts
from hotspare.target import Price

from tests.support.engine import OK, TIMEOUT, FixedRandom, Now, call_of, state_of

END = ChatChunk(finish_reason="stop", usage=Usage(1, 2))
REPLY = ChatReply(text="hello", usage=Usage(10, 5))


class ManualCall:
    """A call driven by the test, which sends it events and checks its commands."""

    def __init__(self, *states: TargetState, call: dict[str, Any] | None = None, **policy: Any) -> None:
        self.states = states or (state_of("a"), state_of("b"))
        policy.setdefault("retry_same_target", "never")
        settings = Policy(**policy)
        self.scheduler = Scheduler(self.states, settings, FixedRandom())
        self.call = call_of(*self.states, policy=settings, **(call or {}))
        self.now = Now()
        self.flow: Flow = flow(self.call, self.scheduler, settings, self.now)

    def send(self, event: Event = None, now: float | None = None) -> Any:
        """The next command."""
        if now is not None:
            self.now.seconds = now
        return self.flow.send(event)

    def start(self, event: Event = None, now: float | None = None) -> Attempt:
        """The next attempt, which has to be the next command; the wait for it is the one after that."""
        command = self.send(event, now)
        assert isinstance(command, Start), command
        assert isinstance(self.send(), Wait)
        return command.attempt

    def result(self, event: Event = None, now: float | None = None) -> ChatReply | None:
        """What the call returns; it has to end now."""
        with pytest.raises(StopIteration) as ended:
            self.send(event, now)
        return ended.value.value

    def events(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.scheduler.take_pending()[0] if isinstance(event, kind)]

    @property
    def in_flight(self) -> int:
        return self.scheduler.health(0.0).in_flight


def finished(attempt: Attempt, *, first: ChatChunk | None = None, reply: ChatReply | None = None) -> Finished:
    """The attempt has its first content, or a whole answer."""
    attempt.result = OpenStream(first, "chunks") if first is not None else reply
    return Finished(attempt, OK)


# --- whole answers ------------------------------------------------------------------------------------------------


def test_a_whole_answer() -> None:
    """The answer is returned with its target, its attempts and its cost."""
    run = ManualCall(state_of("a", price=Price(2.0, 4.0)), call={"streaming": False, "started": 1.0})
    attempt = run.start(now=2.0)
    assert attempt.unary
    reply = run.result(finished(attempt, reply=REPLY), now=4.0)
    assert reply == ChatReply(text="hello", usage=Usage(10, 5), target="a", attempts=run.call.records, cost=40 / 1e6)
    (end,) = run.events(events.CallEnded)
    assert (end.target, end.seconds, run.in_flight) == ("a", 3.0, 0)


def test_the_next_target_answers() -> None:
    """A failure is settled at its time, and the next attempt starts."""
    run = ManualCall(call={"streaming": False})
    first = run.start()
    second = run.start(Finished(first, TIMEOUT), now=3.0)
    reply = run.result(finished(second, reply=REPLY), now=5.0)
    assert reply is not None
    assert [(one.target, one.kind, one.seconds) for one in reply.attempts] == [
        ("a", Kind.TIMEOUT, 3.0),
        ("b", Kind.OK, 2.0),
    ]
    assert (reply.target, run.call.idle_seconds) == ("b", 0.0)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_no_target_answers(count: int) -> None:
    """The error names how many attempts failed and why the call ended, and holds all of it."""
    states = [state_of(name) for name in "abc"]
    for state in states[count:]:
        state.breaker.disabled = "gone"
    run = ManualCall(*states, call={"streaming": False, "max_attempts": count or 1})
    event: Event = None
    for now in range(count):
        event = Finished(run.start(event, now=float(now)), TIMEOUT)
    with pytest.raises(AllTargetsFailed) as caught:
        run.send(event)
    text = {
        0: "no attempt was possible: no target is left to try",
        1: "1 attempt failed: all 1 attempts are used",
        2: "2 attempts failed: all 2 attempts are used",
    }[count]
    assert str(caught.value).splitlines()[0] == text
    assert caught.value.attempts == run.call.records
    assert caught.value.skipped == {state.name: "disabled: gone" for state in states[count:]}
    assert caught.value.retry_after is None
    (end,) = run.events(events.CallEnded)
    assert (end.target, end.attempts) == (None, run.call.records)


def test_when_to_come_back() -> None:
    """The error of a call that found no target available says when one will be."""
    a = state_of()
    a.breaker.rate_limited_until = 30.0
    run = ManualCall(a, when_all_down="fail", call={"allow_last_resort": False})
    with pytest.raises(AllTargetsFailed) as caught:
        run.send(now=10.0)
    assert caught.value.retry_after == 20.0


def test_a_call_fills_the_budgets() -> None:
    """Once, at the time of its start."""
    run = ManualCall(call={"started": 30.0})
    run.scheduler.call_started(0.0)
    run.send(now=61.0)
    assert run.scheduler.health(61.0).retry_tokens == pytest.approx(15.4)
    run.flow.close()
    assert run.scheduler.health(61.0).retry_tokens == pytest.approx(15.4)


# --- waiting ------------------------------------------------------------------------------------------------------


def test_waiting_for_a_recovery() -> None:
    """A call waits in the queue, leaves it when it is woken, and the time without an attempt is idle time."""
    a = state_of()
    a.breaker.rate_limited_until = 30.0
    run = ManualCall(a)
    wait = run.send(now=10.0)
    assert isinstance(wait, Wait)
    assert (wait.seconds, run.scheduler.health(10.0).waiting) == (20.0, 1)
    command = run.send(WOKE, now=30.0)
    assert isinstance(command, Start)
    assert (run.call.idle_seconds, run.scheduler.health(30.0).waiting) == (20.0, 0)
    assert isinstance(run.send(), Wait)
    run.send(finished(command.attempt, first=ChatChunk(text="x")), now=35.0)
    assert run.call.idle_seconds == 20.0, "the time of an attempt is not idle"


def test_idle_times_add_up() -> None:
    """Each pause before a retry counts."""
    run = ManualCall(state_of(), retry_same_target="always", max_attempts=2)
    first = run.start()
    pause = run.send(Finished(first, Outcome(Kind.SERVER)), now=1.0)
    assert isinstance(pause, Wait)
    run.call.idle_seconds = 4.0
    assert isinstance(run.send(WOKE, now=1.5), Start)
    assert run.call.idle_seconds == 4.5


def test_a_caller_that_leaves_while_it_waits() -> None:
    """A closed flow leaves the queue, and its end is recorded."""
    a = state_of()
    a.breaker.rate_limited_until = 30.0
    run = ManualCall(a)
    run.send()
    run.flow.close()
    assert run.scheduler.health(0.0).waiting == 0
    assert len(run.events(events.CallEnded)) == 1


def test_a_caller_that_leaves_an_attempt() -> None:
    """What still runs is settled as cancelled, at that time, exactly once."""
    run = ManualCall()
    attempt = run.start()
    run.now.seconds = 7.0
    run.flow.close()
    assert attempt.record is not None
    assert (attempt.record.kind, attempt.record.seconds, run.in_flight) == (Kind.CANCELLED, 7.0, 0)


def test_the_loser_of_a_race() -> None:
    """The first answer ends the race: what still runs is settled, as overdue or as cancelled."""
    run = ManualCall(state_of("a"), state_of("b"), state_of("c"), on_slow="race")
    first = run.start()
    second = run.start(WOKE, now=10.0)
    third = run.start(WOKE, now=20.0)
    run.send(finished(third, first=ChatChunk(text="x")), now=21.0)
    assert first.record is not None and second.record is not None
    assert (first.record.kind, second.record.kind, first.record.seconds) == (Kind.TIMEOUT, Kind.TIMEOUT, 21.0)
    run = ManualCall(on_slow="race")
    first = run.start()
    second = run.start(WOKE, now=10.0)
    run.send(finished(first, first=ChatChunk(text="x")), now=12.0)
    assert second.record is not None
    assert (second.record.kind, run.in_flight) == (Kind.CANCELLED, 0)


# --- streams ------------------------------------------------------------------------------------------------------


def test_a_stream() -> None:
    """First content, further chunks as they are read, and the last one with its summary; nothing is returned."""
    run = ManualCall()
    attempt = run.start()
    first = ChatChunk(text="x")
    assert run.send(finished(attempt, first=first), now=1.0) is first
    read = run.send(now=2.0)
    assert isinstance(read, Read)
    assert (read.attempt, read.within) == (attempt, 30.0)
    second = ChatChunk(text="y")
    assert run.send(second) is second
    again = run.send()
    assert again is read
    assert run.send(ChatChunk(), now=12.0) is read, "a keep-alive is not handed out"
    assert read.within == 20.0
    last = run.send(END)
    assert last.finish_reason == "stop"
    assert last.summary.target == "a"
    assert run.result() is None
    assert run.in_flight == 0


def test_a_stream_of_one_chunk() -> None:
    """The first content may be the proven end."""
    run = ManualCall()
    attempt = run.start()
    assert run.send(finished(attempt, first=END)).summary.target == "a"
    assert run.result() is None


def test_a_whole_answer_where_a_stream_was_requested() -> None:
    """It is handed out as two chunks."""
    run = ManualCall()
    attempt = run.start()
    content = run.send(finished(attempt, reply=REPLY))
    assert (content.text, content.finish_reason) == ("hello", None)
    end = run.send()
    assert (end.finish_reason, end.summary.target) == ("stop", "a")
    assert run.result() is None


def test_a_stream_underneath_a_whole_answer() -> None:
    """Its chunks are read, not handed out, and become the answer."""
    run = ManualCall(completion="stream", call={"streaming": False})
    attempt = run.start()
    assert not attempt.unary
    read = run.send(finished(attempt, first=ChatChunk(text="x")))
    assert isinstance(read, Read)
    assert run.send(ChatChunk(text="y")) is read
    reply = run.result(END)
    assert reply is not None
    assert (reply.text, reply.target, reply.usage) == ("xy", "a", Usage(1, 2))
    run = ManualCall(completion="stream", call={"streaming": False})
    reply = run.result(finished(run.start(), reply=REPLY))
    assert reply is not None
    assert (reply.text, reply.attempts) == ("hello", run.call.records)


@pytest.mark.parametrize(
    ("event", "kind"), [(Broke(ConnectionError("reset")), Kind.TRANSPORT), (LATE, Kind.TIMEOUT), (None, Kind.SERVER)]
)
def test_the_next_target_continues(event: Event, kind: Kind) -> None:
    """After a break, a stall or an end without proof another target continues; the caller sees one text."""
    run = ManualCall(timeouts=Timeouts(stall=5.0))
    first = run.start()
    run.send(finished(first, first=ChatChunk(text="one two")))
    run.send()
    second = run.start(event, now=4.0)
    assert (second.state.name, second.is_continuation) == ("b", True)
    assert run.send(finished(second, first=ChatChunk(text=" three"))).text == " three"
    run.send()
    last = run.send(END)
    assert (last.summary.targets, last.summary.splice_points) == (("a", "b"), (7,))
    assert run.result() is None
    (broke,) = run.events(events.StreamBroke)
    assert (broke.target, broke.kind) == ("a", kind)


def test_no_target_continues() -> None:
    """The caller has the text so far, the reason, and the break as the cause."""
    run = ManualCall(max_attempts=2, when_all_down="fail", call={"allow_last_resort": False, "max_attempts": 2})
    attempt = run.start()
    run.send(finished(attempt, first=ChatChunk(text="one")))
    run.send()
    error = ConnectionError("reset")
    second = run.start(Broke(error))
    with pytest.raises(StreamInterrupted) as caught:
        run.send(Finished(second, TIMEOUT))
    assert str(caught.value).startswith("a stream broke, and no other target continued it: 2 attempts failed: all 2")
    assert (caught.value.text, caught.value.attempts) == ("one", run.call.records)
    assert caught.value.__cause__ is error
    assert len(run.events(events.CallEnded)) == 1


def test_a_whole_answer_that_is_not_given_again() -> None:
    """A whole answer whose stream broke and that no other target gives is a call that failed."""
    run = ManualCall(completion="stream", call={"streaming": False, "max_attempts": 1})
    attempt = run.start()
    run.send(finished(attempt, first=ChatChunk(text="one")))
    with pytest.raises(AllTargetsFailed, match="1 attempt failed"):
        run.send(None)
    assert attempt.record is not None
    assert (attempt.record.kind, attempt.record.message) == (Kind.SERVER, "the stream ended without its last chunk")


def test_a_late_read_names_the_time() -> None:
    """The error of a read whose time is over is a stall, or the total deadline."""
    for call, message in (
        ({}, "stalled for 30 s"),
        ({"total_deadline": 4.0}, "total deadline of the stream exceeded"),
    ):
        run = ManualCall(on_break="raise", call=call)
        run.send(finished(run.start(), first=ChatChunk(text="one")))
        run.send()
        with pytest.raises(StreamInterrupted, match=message) as caught:
            run.send(LATE, now=4.0)
        assert isinstance(caught.value.__cause__, AttemptTimeout)
    run = ManualCall(on_break="raise")
    run.send(finished(run.start(), first=ChatChunk(text="one")))
    run.send()
    with pytest.raises(StreamInterrupted) as caught:
        run.send(None)
    assert isinstance(caught.value.__cause__, IncompleteAnswer)
