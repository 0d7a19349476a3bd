"""What is done with a break of a running stream, and what a stream and a whole answer are at their end."""

from dataclasses import replace
from typing import Any

import pytest
from hotspare import events
from hotspare._engine.call import Attempt
from hotspare._engine.continuation import SpliceError
from hotspare._engine.scheduler import Scheduler
from hotspare._engine.spending import call_cost
from hotspare.errors import AllTargetsFailed, StreamInterrupted
from hotspare.messages import ChatChunk, ChatReply, StreamSummary, Usage
from hotspare.outcome import AttemptReason, Kind, Outcome
from hotspare.policy import Policy
from hotspare.target import Price

from tests.support.engine import FixedRandom, NoBackend, call_of, state_of
from tests.support.streams import END, PROMPT, Stream

# --- breaks -------------------------------------------------------------------------------------------------------


def test_a_break_that_goes_on() -> None:
    """The next target's text is joined to what was handed out; the summary has both targets, the splice point and the cost."""
    stream = Stream(price=Price(2.0, 4.0))
    stream.text(2.0, "one ", "two")
    error = ConnectionError("reset")
    stream.breaks(3.0, error)
    assert (stream.monitor.error, stream.monitor.done) == (error, False)
    assert stream.call.emitted == "one two"
    assert stream.begin(4.0).state.name == "b"
    joined = stream.at(5.0, ChatChunk(text=" three", reasoning="r", thinking=({},), native=object()))
    assert joined == ChatChunk(text=" three")
    assert joined is not None and joined.native is None
    last = stream.at(6.0, ChatChunk(finish_reason="stop", usage=Usage(20, 7)))
    assert last is not None
    assert last.summary == StreamSummary(
        "b", stream.call.records, last.summary and last.summary.cost, ("a", "b"), (7,), 10 + 2
    )
    assert last.summary is not None
    assert last.summary.cost == pytest.approx((10 * 2 + 2 * 4 + 20 * 2 + 7 * 4) / 1e6)


def test_two_breaks() -> None:
    """Each part has its own splice point; each broken part's prompt is a duplicate, and so is the last one's text."""
    stream = Stream(*map(state_of, "abc"))
    stream.text(2.0, "one", " two")
    stream.breaks(3.0)
    stream.begin(4.0)
    stream.text(5.0, " three", " four", " five")
    stream.breaks(6.0)
    stream.begin(7.0)
    last = stream.at(8.0, replace(END, text=" six"))
    assert last is not None and last.summary is not None
    assert last.text == " six"
    summary = last.summary
    assert (summary.targets, summary.splice_points, summary.duplicate_tokens) == (("a", "b", "c"), (7, 23), 10 + 10 + 3)


def test_a_continuation_is_held_back_and_flushed() -> None:
    """What is not clear yet is not handed out, and comes with the last chunk."""
    stream = Stream()
    stream.text(2.0, "one two three")
    stream.breaks(3.0)
    stream.begin(4.0)
    assert stream.at(5.0, ChatChunk(text="two")) is None
    last = stream.at(6.0, ChatChunk(finish_reason="stop"))
    assert last is not None
    assert last.text == "two"


def test_restart() -> None:
    """With `restart` what was handed out already is skipped, and a difference is an error."""
    stream = Stream(on_break="restart")
    stream.text(2.0, "one")
    stream.breaks(3.0)
    stream.begin(4.0)
    with pytest.raises(SpliceError):
        stream.text(5.0, " two")


def test_a_break_before_any_text_joins_nothing() -> None:
    """With nothing handed out, the next stream is handed out as it is."""
    stream = Stream()
    stream.breaks(3.0)
    stream.begin(4.0)
    chunk = ChatChunk(text="one", native=1)
    assert stream.at(5.0, chunk) is chunk
    last = stream.at(6.0, END)
    assert last is not None and last.summary is not None
    assert last.summary.splice_points == (0,)


def test_a_break_is_classified_and_recorded() -> None:
    """By the target's own backend, with the text so far, at this moment."""
    stream = Stream()
    stream.text(2.0, "one")
    stream.breaks(3.0)
    (broke,) = (event for event in stream.scheduler.take_pending()[0] if isinstance(event, events.StreamBroke))
    assert broke == events.StreamBroke("call-1", "a", Kind.TRANSPORT, "reset")
    assert stream.call.last is not None
    assert (stream.call.last.ended, stream.call.last.outcome) == (3.0, Outcome(Kind.TRANSPORT, "reset"))


@pytest.mark.parametrize(
    ("case", "now"),
    [({"on_break": "raise"}, 3.0), ({"call": {"max_attempts": 1}}, 3.0), ({"call": {"total_deadline": 40.0}}, 40.0)],
)
def test_a_break_that_cannot_go_on(case: dict[str, Any], now: float) -> None:
    """By the policy, without an attempt left, or when its time is over: the caller has the text and every attempt."""
    stream = Stream(**case)
    stream.text(2.0, "one")
    error = ConnectionError("reset")
    with pytest.raises(StreamInterrupted) as caught:
        stream.breaks(now, error)
    assert str(caught.value) == "the stream of a broke after its first content: transport: reset"
    assert (caught.value.text, caught.value.attempts) == ("one", stream.call.records)
    assert caught.value.__cause__ is error
    with pytest.raises(StreamInterrupted, match=r"server: $"):
        Stream(on_break="raise").breaks(2.0, ValueError())


def test_a_break_before_the_total_deadline_goes_on() -> None:
    """As long as its time is not over, a stream may continue elsewhere."""
    stream = Stream(call={"total_deadline": 40.0})
    stream.text(2.0, "one")
    stream.breaks(39.9)
    assert not stream.monitor.done


def test_an_error_without_words() -> None:
    """Where the outcome has no message, the error itself says what it can."""

    class Silent(NoBackend):
        def classify(self, error: Exception) -> Outcome:
            return Outcome(Kind.SERVER)

    stream = Stream(state_of(backend=Silent()), on_break="raise")
    with pytest.raises(StreamInterrupted, match=r"after its first content: server: odd$"):
        stream.breaks(2.0, ValueError("odd"))


def test_what_cannot_be_joined() -> None:
    """A splice error ends the stream with its own message, and does not count against the target."""
    stream = Stream()
    stream.text(2.0, "one")
    error = SpliceError("differs")
    with pytest.raises(StreamInterrupted, match=r"^differs$") as caught:
        stream.breaks(3.0, error)
    assert (caught.value.text, caught.value.__cause__) == ("one", error)
    assert stream.scheduler.take_pending() == ([], [])


def test_not_continued() -> None:
    """When no other target continues a stream, the error has the reason, the text and every attempt."""
    stream = Stream()
    stream.text(2.0, "one")
    found = stream.monitor.not_continued(AllTargetsFailed("none"))
    assert str(found) == "a stream broke, and no other target continued it: none"
    assert (found.text, found.attempts) == ("one", stream.call.records)


# --- whole answers ------------------------------------------------------------------------------------------------


def test_a_whole_answer_from_a_stream() -> None:
    """The chunks become one answer, with where it came from and what it cost."""
    stream = Stream(price=Price(2.0, 4.0), completion="stream", call={"streaming": False})
    stream.text(2.0, "one ", "two")
    stream.at(3.0, END)
    assert stream.monitor.reply() == ChatReply(
        text="one two", usage=Usage(10, 5), target="a", attempts=stream.call.records, cost=40 / 1e6
    )


def test_a_whole_answer_starts_again() -> None:
    """After a break underneath nothing of the first part is left but its tokens, also where it could not be continued."""
    stream = Stream(completion="stream", on_break="raise", call={"streaming": False})
    stream.text(2.0, "one ", "two")
    stream.breaks(3.0)
    stream.begin(4.0)
    stream.text(5.0, "uno")
    last = stream.at(6.0, END)
    assert last is not None and last.summary is not None
    assert (last.summary.targets, last.summary.splice_points, last.summary.duplicate_tokens) == (("a", "b"), (0,), 12)
    reply = stream.monitor.reply()
    assert (reply.text, reply.target) == ("uno", "b")


def test_the_cost_of_a_call() -> None:
    """The parts of the answer, and the prompts of attempts that lost; unknown if any price is."""
    a, b, c = state_of("a", price=Price(2.0, 4.0)), state_of("b", price=Price(1.0, 1.0)), state_of("c")
    scheduler = Scheduler((a, b, c), Policy(), FixedRandom())
    call = call_of(a, b, request=PROMPT)
    attempts = [scheduler.next_step(call_of(state), 0.0) for state in (a, b)]
    for attempt in attempts:
        assert isinstance(attempt, Attempt)
        call.attempts.append(attempt)
    call.parts.append((call.attempts[0], Usage(100, 50)))
    assert call_cost(call) == pytest.approx((100 * 2 + 50 * 4) / 1e6)
    call.attempts[1].lost = True
    assert call_cost(call) == pytest.approx((100 * 2 + 50 * 4 + 10 * 1) / 1e6)
    unpriced = scheduler.next_step(call_of(c), 0.0)
    assert isinstance(unpriced, Attempt)
    call.parts.append((unpriced, Usage(1, 1)))
    assert call_cost(call) is None
    assert call.attempts[0].reason is AttemptReason.FIRST
