"""What a call leaves behind however it ends, what it says to its driver, and what one stream records of several targets."""

from dataclasses import replace
from typing import Any

import pytest
from hotspare import events
from hotspare._engine.call import OpenStream
from hotspare._engine.commands import LATE, WOKE, Broke, Finished, Read, Start, Wait
from hotspare.errors import AllTargetsFailed, LimitExceeded
from hotspare.messages import SEVERAL, ChatChunk, ChatReply, Usage
from hotspare.outcome import Kind
from hotspare.policy import Hedge, Timeouts
from hotspare.target import Limits

from tests.core.engine.test_flow import END, REPLY, ManualCall, finished
from tests.support.engine import SERVER, TIMEOUT, state_of
from tests.support.streams import PROMPT, UNWATCHED, Stream


@pytest.mark.parametrize(
    ("policy", "call", "alone"),
    [({}, {}, True), ({"hedge": Hedge()}, {}, False), ({"on_slow": "race"}, {}, False)],
)
def test_an_attempt_that_stays_alone(policy: dict[str, Any], call: dict[str, Any], alone: bool) -> None:
    """The driver may wait in the call's own thread where no other attempt will run beside it."""
    run = ManualCall(call=call, **policy)
    command = run.send()
    assert isinstance(command, Start) and command.alone is alone


def test_a_second_attempt_is_alone_after_a_failure_only() -> None:
    """After a failure nothing else runs; beside a running attempt it is not alone."""
    run = ManualCall()
    first = run.start()
    command = run.send(Finished(first, SERVER))
    assert isinstance(command, Start) and command.alone
    beside = ManualCall(*(state_of(name) for name in "abc"), hedge=Hedge(min_delay=0.0, max_extra_calls=1.0))
    for _ in range(8):
        beside.states[0].first_token.add(0.0)
    beside.send()
    command = beside.send()
    assert isinstance(command, Start) and not command.alone
    racing = ManualCall(on_slow="race")
    racing.start()
    command = racing.send(WOKE, now=10.0)
    assert isinstance(command, Start) and not command.alone, "the last target that is left races with the first one"


@pytest.mark.parametrize(("error", "result"), [(ValueError("x"), "failed"), (GeneratorExit(), "abandoned")])
def test_how_a_call_ended(error: BaseException, result: str) -> None:
    """Its beginning and its end are reported, with the exception that its caller gets."""
    run = ManualCall(call={"route": "main"})
    run.start()
    with pytest.raises(type(error)):
        run.flow.throw(error)
    (begun, *_, ended) = run.events(object)
    assert isinstance(begun, events.CallStarted) and begun.route == "main"
    assert isinstance(ended, events.CallEnded) and ended.result == result


def test_a_call_without_listeners() -> None:
    """If it is answered, nothing is left to report."""
    run = ManualCall(call={"streaming": False})
    run.scheduler.observe(False)
    assert run.result(finished(run.start(), reply=REPLY)) is not None
    assert run.events(object) == []


def test_an_end_that_nobody_confirms() -> None:
    """A target has reported the end of a text that looks unfinished, and the other one that is asked fails: the stream ends as reported."""
    run = ManualCall(*map(state_of, "abc"), call={"max_attempts": 5})
    run.send(finished(run.start(), first=ChatChunk(text="it is")))
    run.send()
    second = run.start(Broke(ConnectionError("reset")))
    third = run.start(finished(second, first=ChatChunk(finish_reason="stop", usage=Usage(10, 2))))
    last = run.send(Finished(third, TIMEOUT))
    assert (last.finish_reason, last.usage, last.summary.target) == ("stop", Usage(10, 2), "b")
    assert run.result() is None


def test_a_call_that_is_cancelled_in_a_queue() -> None:
    """It loses its place in the queue of a limit."""
    a = state_of(limits=Limits(rpm=60, burst=1))
    ManualCall(a).start()
    run = ManualCall(a)
    assert a.limits is not None
    a.limits.take(run.call.need, 0.0)
    assert isinstance(run.send(), Wait) and len(a.limits.tickets) == 1
    run.flow.close()
    assert not a.limits.tickets and run.call.ticket is None


def test_a_limit_that_nothing_can_wait_for() -> None:
    """The error says that a limit is the reason; where a target is down it does not."""
    a = state_of(limits=Limits(rpm=60, burst=1))
    run = ManualCall(a, when_all_down="fail")
    assert a.limits is not None
    a.limits.take(run.call.need, 0.0)
    with pytest.raises(LimitExceeded, match=r"^no attempt was possible: the limits of the targets are reached"):
        run.send()
    down = state_of()
    down.breaker.disabled = "gone"
    with pytest.raises(AllTargetsFailed) as caught:
        ManualCall(down).send()
    assert not isinstance(caught.value, LimitExceeded)


@pytest.mark.parametrize("streaming", [True, False])
def test_the_end_of_a_stream_is_recorded(streaming: bool) -> None:
    """With its usage for limits; if it was read for a whole answer, its duration is a sample."""
    a = state_of(limits=Limits(tpm=6000, burst=60))
    run = ManualCall(a, call={"streaming": streaming, "completion": "stream", "started": 0.0})
    attempt = run.start()
    run.send(finished(attempt, first=ChatChunk(text="a")), now=1.0)
    if streaming:
        assert isinstance(run.send(), Read)
        last = run.send(END, now=3.0)
        assert last.summary.signed_by == a.signer
        run.result()
    else:
        reply = run.result(END, now=3.0)
        assert reply is not None and (reply.text, reply.signed_by) == ("a", a.signer)
    assert a.limits is not None and a.limits.left(0.0) == {"6000 tokens a minute": pytest.approx(6000 - 3)}
    assert a.completion.quantile(0.5) == (None if streaming else 3.0)
    assert run.scheduler.in_flight_at("a") == 0 and a.breaker.recent == (1, 0)


@pytest.mark.parametrize(("silent", "calls"), [(9.5, 1), (10.0, 0)])
def test_a_stream_that_its_caller_closes(silent: float, calls: int) -> None:
    """It is a success of its target if it was flowing, and what was received is paid for."""
    a = state_of()
    run = ManualCall(a, timeouts=Timeouts(stall_min=10.0))
    attempt = run.start()
    run.send(finished(attempt, first=ChatChunk(text="a")), now=1.0)
    run.send(now=1.0)
    run.now.seconds = 1.0 + silent
    run.flow.close()
    assert a.breaker.recent == (calls, 0) and run.scheduler.in_flight_at("a") == 0
    assert len(a.completion) == 0, "nobody knows how long the whole answer would have taken"
    assert run.call.parts == [(attempt, Usage(1, 1))]
    (end,) = run.events(events.CallEnded)
    assert (end.result, end.target) == ("abandoned", "a")


def test_a_whole_answer_is_signed() -> None:
    """By its target."""
    run = ManualCall(call={"streaming": False})
    reply = run.result(finished(run.start(), reply=REPLY))
    assert reply is not None and reply.signed_by == run.states[0].signer


# --- one monitor, several targets ---------------------------------------------------------------------------------


def test_a_stream_of_several_targets() -> None:
    """Its reasoning is signed by none of them; a whole answer that was restarted is signed by the last."""
    for streaming, signer in ((True, SEVERAL), (False, None)):
        stream = Stream(call={"streaming": streaming, "completion": "stream"}, timeouts=UNWATCHED)
        stream.text(2.0, "one two")
        stream.breaks(3.0)
        attempt = stream.begin(4.0)
        stream.text(5.0, " three")
        last = stream.at(6.0, END)
        assert last is not None and last.summary is not None
        assert last.summary.signed_by == (signer or attempt.state.signer)


def test_a_finish_reason_before_the_end() -> None:
    """From then on the rest has a few seconds: the end, silence and a break end the answer, with the usage that came."""
    finishing = ChatChunk(finishing="stop", usage=Usage(7, 3), model="m", id="i")
    for event, seconds in ((None, 1.0), (LATE, 1.0), (ChatChunk(), 5.0)):
        stream = Stream(timeouts=Timeouts(throughput_window=0.0, after_finish=5.0))
        stream.text(2.0, "a")
        assert stream.at(3.0, finishing) is None and not stream.monitor.done
        assert stream.monitor.next_wait() == 5.0
        assert stream.at(3.0 + seconds - 0.5, ChatChunk()) is None
        last: Any = stream.at(3.0 + seconds, event)  # type: ignore[arg-type]
        assert stream.monitor.done and stream.monitor.usage == Usage(7, 3)
        assert (last.finish_reason, last.usage, last.model, last.id) == ("stop", Usage(7, 3), "m", "i")


def test_no_time_after_the_finish_reason() -> None:
    """Where the policy gives none, only what has already arrived is read."""
    stream = Stream(timeouts=Timeouts(throughput_window=0.0, after_finish=0.0))
    assert stream.at(2.0, ChatChunk(text="a", finishing="stop")) == ChatChunk(text="a")
    assert stream.monitor.next_wait() == 0.0


def test_content_after_the_finish_reason() -> None:
    """It is handed out, and the rest has its few seconds again; the last finish reason counts."""
    stream = Stream(timeouts=Timeouts(throughput_window=0.0, after_finish=5.0))
    first = stream.at(2.0, ChatChunk(text="a", finishing="stop", usage=Usage(1, 1), model="m", id="i"))
    assert first == ChatChunk(text="a")
    stream.text(6.0, "b")
    assert stream.monitor.next_wait() == 5.0
    assert stream.at(6.5, ChatChunk(finishing="length")) is None
    assert stream.monitor.next_wait() == 4.5, "a second one gives no more time"
    last = stream.at(7.0, None)
    assert last is not None and last.finish_reason == "length" and stream.monitor.usage == Usage()


@pytest.mark.parametrize(("emitted", "raises"), [((), True), (("a",), False)])
def test_a_refusal_fails_over_before_content(emitted: tuple[str, ...], raises: bool) -> None:
    """Only while none of the answer was handed out, and only where the policy says so."""
    refusal = ChatChunk(refusal="I cannot")
    stream = Stream(failover_on={Kind.CONTENT_FILTER})
    stream.text(2.0, *emitted)
    if raises:
        with pytest.raises(Exception, match=r"^I cannot$"):
            stream.at(3.0, refusal)
    else:
        assert stream.at(3.0, refusal) == refusal
    assert Stream().at(3.0, refusal) == refusal
    whole = Stream(failover_on={Kind.CONTENT_FILTER}, call={"streaming": False, "completion": "stream"})
    whole.text(2.0, "a")
    with pytest.raises(Exception, match=r"^I cannot$"):
        whole.at(3.0, refusal)


def test_an_answer_that_is_judged_at_its_end() -> None:
    """All its chunks together; a whole answer that came instead of a stream was judged before."""

    def accept(reply: ChatReply) -> bool | str:
        return reply.text == "ab" or f"it is {reply.text!r}"

    stream = Stream(call={"accept": accept})
    stream.call.attempts[0].result = OpenStream(ChatChunk(text="a"), None)
    stream.text(2.0, "a", "c")
    with pytest.raises(Exception, match=r"^it is 'ac'$"):
        stream.at(3.0, END)
    good = Stream(call={"accept": accept})
    good.call.attempts[0].result = OpenStream(ChatChunk(text="a"), None)
    good.text(2.0, "a", "b")
    assert good.at(3.0, END) is not None
    whole = Stream(call={"accept": accept})
    whole.call.attempts[0].result = ChatReply(text="x")
    whole.text(2.0, "x")
    assert whole.at(3.0, END) is not None
    whole.call.emitted = "x"  # it continues a broken answer: its part was not judged
    with pytest.raises(Exception, match=r"^it is 'xx'$"):
        whole.text(3.0, "x")
        whole.at(3.0, END)


def test_a_rule_that_reads_the_request_of_a_stream() -> None:
    """A built-in rule compares the complete text with what the request asked for."""
    stream = Stream(timeouts=UNWATCHED, call={"accept": frozenset({"schema"})})
    stream.call.request = replace(PROMPT, response_format={"type": "json_object"})
    stream.call.attempts[0].result = OpenStream(ChatChunk(text="no"), None)
    stream.text(2.0, "no", " JSON")
    with pytest.raises(Exception, match=r"^its text is not JSON$"):
        stream.at(3.0, END)


def test_the_longest_silence_and_the_speed_of_a_stream() -> None:
    """Between pieces, in bytes of their text; with a finish reason up to the last piece."""
    stream = Stream(timeouts=UNWATCHED)
    stream.text(2.0, "abcd", "é")
    stream.text(5.0, "x")
    stream.at(6.0, ChatChunk(finishing="stop"))
    stream.at(9.0, None)
    (state, _) = stream.states
    assert state.gaps.quantile(0.5) == 3.0
    assert state.throughput.quantile(0.5) == pytest.approx(7 / 4)


def test_what_was_left_is_paid_for_once() -> None:
    """Not after the end."""
    stream = Stream(timeouts=UNWATCHED)
    stream.text(2.0, "a", "b")
    stream.monitor.record_left()
    assert stream.call.parts == [(stream.call.attempts[0], Usage(10, 2))]
    ended = Stream(timeouts=UNWATCHED)
    ended.at(2.0, END)
    ended.monitor.record_left()
    assert len(ended.call.parts) == 1


def too_short(reply: ChatReply) -> str:
    return "too short"


def test_the_outcome_of_a_rejected_stream() -> None:
    """The error says why, and names the target."""
    stream = Stream(timeouts=UNWATCHED, call={"accept": too_short})
    stream.call.attempts[0].result = OpenStream(ChatChunk(text="a"), None)
    stream.text(2.0, "a")
    with pytest.raises(Exception, match=r"^too short$") as caught:
        stream.at(3.0, END)
    with pytest.raises(Exception, match=r"^the answer of a was not accepted: too short"):
        stream.breaks(3.0, caught.value)
    assert stream.scheduler.health(3.0)["a"].failures == 0
