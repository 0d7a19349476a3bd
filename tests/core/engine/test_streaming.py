"""What is done with each chunk of a running stream: content, time and throughput."""

from dataclasses import replace
from typing import Any

import pytest
from hotspare.errors import AttemptTimeout, IncompleteAnswer
from hotspare.messages import IDLE, ChatChunk, StreamSummary, ToolCallDelta
from hotspare.policy import Timeouts
from hotspare.target import Price

from tests.support.engine import state_of
from tests.support.streams import END, UNWATCHED, Stream

# --- chunks -------------------------------------------------------------------------------------------------------


def test_content_is_handed_out_as_it_is() -> None:
    """Every kind of content is; what is none is not, and does not end the stream."""
    stream = Stream()
    assert (stream.monitor.done, stream.monitor.error, stream.monitor.usage) == (False, None, None)
    for chunk in (
        ChatChunk(text="a", native=1), ChatChunk(reasoning="r"), ChatChunk(tool_calls=(ToolCallDelta(0, arguments="{}"),)),
    ):  # fmt: skip
        assert stream.at(2.0, chunk) is chunk
    assert stream.at(2.0, IDLE) is None
    assert not stream.monitor.done


def test_the_last_chunk() -> None:
    """It ends the stream, with a summary; content that it carries is handed out too."""
    stream = Stream()
    stream.text(2.0, "a", "b")
    last = stream.at(3.0, replace(END, text="c"))
    assert stream.monitor.done
    summary = StreamSummary("a", stream.call.records, None, ("a",))
    assert last == replace(END, text="c", summary=summary)
    assert stream.call.usage == END.usage
    bare = Stream()
    assert bare.at(2.0, ChatChunk(finish_reason="length")) == ChatChunk(
        finish_reason="length", summary=StreamSummary("a", bare.call.records, None, ("a",))
    )
    assert bare.monitor.done


def test_an_end_without_a_last_chunk() -> None:
    """A stream that ends without its proof of completion is incomplete, whatever came before."""
    stream = Stream()
    stream.text(2.0, "a")
    with pytest.raises(IncompleteAnswer, match=r"^the stream ended without its last chunk$"):
        stream.at(3.0, None)


def test_a_summary_names_the_cost() -> None:
    """The tokens of the answer at the target's price."""
    stream = Stream(price=Price(2.0, 4.0))
    stream.text(2.0, "a", "b")
    last = stream.at(3.0, END)
    assert last is not None and last.summary is not None
    assert last.summary.cost == pytest.approx((10 * 2 + 5 * 4) / 1e6)
    free = Stream(price=Price(2.0, 4.0))
    last = free.at(3.0, ChatChunk(finish_reason="stop"))
    assert last is not None and last.summary is not None
    assert last.summary.cost is None, "usage that never came is not known"


# --- time ---------------------------------------------------------------------------------------------------------


def test_time_left() -> None:
    """The stall bound from the last progress on; a keep-alive is no progress, but its time is looked at."""
    stream = Stream()
    stream.text(2.0, "a")
    assert stream.monitor.next_wait() == 30.0
    stream.at(12.0, IDLE)
    assert stream.monitor.next_wait() == 20.0
    stream.text(13.0, "a")
    assert stream.monitor.next_wait() == 30.0
    stream.at(42.5, IDLE)
    assert stream.monitor.next_wait() == 0.5
    stream.at(42.9, IDLE)
    with pytest.raises(AttemptTimeout, match=r"^the stream stalled for 30 s$"):
        stream.at(43.0, IDLE)


def test_a_stall_before_the_first_progress() -> None:
    """The time counts from the moment the stream began for its caller."""
    stream = Stream()
    stream.at(30.9, IDLE)
    with pytest.raises(AttemptTimeout, match="stalled"):
        stream.at(31.0, IDLE)


def test_the_total_deadline() -> None:
    """It bounds a stream's content too; the deadline of its first content does not."""
    stream = Stream(call={"total_deadline": 40.0, "deadline": 5.0}, timeouts=UNWATCHED)
    stream.text(20.0, "a")
    assert stream.monitor.next_wait() == 20.0
    stream.text(39.9, "a")
    for chunk in (ChatChunk(text="a"), IDLE):
        with pytest.raises(AttemptTimeout, match=r"^total deadline of the stream exceeded$"):
            stream.at(40.0, chunk)
    free = Stream(call={"deadline": 5.0}, timeouts=UNWATCHED)
    free.text(20.0, "a")
    assert free.monitor.next_wait() == 30.0
    assert str(free.monitor.timeout_error()) == "the stream stalled for 30 s"


def test_a_slow_reader_takes_from_the_total_deadline() -> None:
    """The time in which the caller works on a chunk is no stall, but the total deadline does not wait for it."""
    stream = Stream(call={"total_deadline": 40.0, "deadline": 5.0}, timeouts=UNWATCHED)
    stream.text(20.0, "a")
    stream.now.seconds = 35.0
    assert stream.monitor.next_wait() == 5.0
    stream.now.seconds = 45.0
    assert stream.monitor.next_wait() == 0.0
    free = Stream(timeouts=UNWATCHED)
    free.text(20.0, "a")
    free.now.seconds = 45.0
    assert free.monitor.next_wait() == 30.0


def test_the_last_chunk_may_come_late() -> None:
    """The end of a stream is taken whenever it comes."""
    stream = Stream(call={"total_deadline": 40.0})
    assert stream.at(50.0, END) is not None
    assert stream.monitor.done


def test_the_deadline_of_a_whole_answer() -> None:
    """Of an answer that is streamed underneath, the call's deadline bounds the content."""
    times = {"streaming": False, "total_deadline": 10.0, "deadline": 40.0}
    stream = Stream(completion="stream", call=times, timeouts=UNWATCHED)
    stream.text(20.0, "a")
    assert stream.monitor.next_wait() == 20.0
    with pytest.raises(AttemptTimeout, match=r"^deadline exceeded$"):
        stream.at(40.0, ChatChunk(text="b"))


# --- throughput ---------------------------------------------------------------------------------------------------


def test_a_slow_stream_is_left() -> None:
    """Under 8 bytes a second over 15 s, where another target is free."""
    stream = Stream()
    stream.text(15.9, "x" * 119)
    with pytest.raises(AttemptTimeout, match=r"^the stream is too slow: under 8 bytes a second$"):
        stream.at(16.0, ChatChunk(tool_calls=(ToolCallDelta(0),)))


@pytest.mark.parametrize(
    ("chunk", "now", "slow"),
    [
        (ChatChunk(text="x" * 120), 16.0, False),
        (ChatChunk(text="x" * 119), 16.0, True),
        (ChatChunk(text="x"), 15.9, False),  # before the window is over
        (ChatChunk(text="x" * 120), 16.1, True),  # over the time that has really passed
        (ChatChunk(text="\N{SNOWMAN}" * 40), 16.0, False),  # three bytes each
        (ChatChunk(text="\N{SNOWMAN}" * 39), 16.0, True),
        (ChatChunk(reasoning="x" * 120), 16.0, False),
        (ChatChunk(text="x", reasoning="x" * 120), 16.0, True),
        (
            ChatChunk(tool_calls=(ToolCallDelta(0, arguments="x" * 60), ToolCallDelta(1, arguments="x" * 60))),
            16.0,
            False,
        ),
        (ChatChunk(tool_calls=(ToolCallDelta(0, arguments="x" * 119),)), 16.0, True),
        (ChatChunk(text="x" * 60, tool_calls=(ToolCallDelta(0, arguments="x" * 60),)), 16.0, False),
    ],
)
def test_what_counts_as_throughput(chunk: ChatChunk, now: float, slow: bool) -> None:
    """The bytes of text, else of reasoning, and those of the arguments of tool calls."""
    stream = Stream(completion="stream", call={"streaming": False})
    if slow:
        with pytest.raises(AttemptTimeout, match="too slow"):
            stream.at(now, chunk)
    else:
        assert stream.at(now, chunk) is chunk


def test_each_window_counts_alone() -> None:
    """Bytes of one window do not help the next one."""
    stream = Stream()
    stream.text(16.0, "x" * 120)
    stream.text(30.9, "x" * 119)
    with pytest.raises(AttemptTimeout, match="too slow"):
        stream.at(31.0, ChatChunk(refusal="n"))


@pytest.mark.parametrize(
    "case",
    [
        {"timeouts": Timeouts(throughput_window=0.0)},
        {"on_break": "raise"},
        {"names": "a"},
        {"tool": True},
    ],
)
def test_a_slow_stream_that_stays(case: dict[str, Any]) -> None:
    """With the watch switched off, where it could not continue elsewhere, or where no other target is free."""
    case = dict(case)
    names, tool = case.pop("names", "ab"), case.pop("tool", False)
    stream = Stream(*map(state_of, names), **case)
    if tool:
        stream.at(1.0, ChatChunk(tool_calls=(ToolCallDelta(0),)))
    assert stream.at(16.0, ChatChunk(text="x")) is not None


def test_a_whole_answer_can_always_go_elsewhere() -> None:
    """Nothing of it was handed out, so that it may be left whatever the policy for streams is."""
    stream = Stream(completion="stream", on_break="raise", call={"streaming": False})
    with pytest.raises(AttemptTimeout, match="too slow"):
        stream.at(16.0, ChatChunk(text="x"))


def test_the_targets_own_rate() -> None:
    """A target that is usually fast is left when it is ten times slower."""
    a, b = state_of("a"), state_of("b")
    for _ in range(8):
        a.throughput.add(1000.0)
    stream = Stream(a, b)
    with pytest.raises(AttemptTimeout, match=r"^the stream is too slow: under 100 bytes a second$"):
        stream.at(16.0, ChatChunk(text="x" * 1499))


def test_what_a_stream_leaves_behind() -> None:
    """The longest silence between pieces, not before the first one, and the bytes a second of the whole stream."""
    stream = Stream()
    for now, size in ((9.0, 200), (11.0, 200), (12.0, 200), (17.0, 100), (33.0, 300), (36.0, 100), (40.0, 800)):
        stream.text(now, "x" * size)
    stream.at(51.0, END)
    a = stream.states[0]
    assert (a.gaps.quantile(1.0), a.throughput.quantile(1.0)) == (16.0, 38.0)
    assert (len(a.gaps), len(a.throughput)) == (1, 1)


def test_a_short_stream_leaves_something_behind() -> None:
    """Two pieces are enough, also within a second."""
    stream = Stream()
    stream.text(1.0, "a")
    stream.text(1.5, "b")
    stream.at(1.5, END)
    a = stream.states[0]
    assert (a.gaps.quantile(1.0), a.throughput.quantile(1.0)) == (0.5, 4.0)


def test_a_short_window() -> None:
    """The window may be shorter than a second."""
    stream = Stream(timeouts=Timeouts(throughput_window=0.5))
    with pytest.raises(AttemptTimeout, match="too slow"):
        stream.at(1.5, ChatChunk(text="xxx"))


@pytest.mark.parametrize(("texts", "now"), [(["a"], 5.0), (["a", "b"], 1.0)])
def test_too_short_a_stream_says_nothing(texts: list[str], now: float) -> None:
    """One piece has no gaps, and no time has no rate."""
    stream = Stream()
    stream.text(now, *texts)
    stream.at(now, END)
    assert len(stream.states[0].gaps) == len(stream.states[0].throughput) == 0
