"""An empty continuation whose few tokens may be those of an end or of a lost word."""

from typing import Any

import pytest
from hotspare._engine.continuation import UnconfirmedEnd, looks_unfinished
from hotspare.errors import EmptyAnswer
from hotspare.messages import ChatChunk, ChatReply, FinishReason, Usage
from hotspare.outcome import Kind, Outcome

from tests.support.engine import state_of
from tests.support.streams import UNWATCHED, Stream


def end(tokens: int = 1, reason: FinishReason = "stop") -> ChatChunk:
    """An end without text."""
    return ChatChunk(finish_reason=reason, usage=Usage(10, tokens), model="m", id="c1")


def always(_: ChatReply) -> bool:
    """Accepts every answer."""
    return True


def broken(text: str = "it is", names: str = "abc", **call: Any) -> Stream:
    """A text that broke, and a second target that continues it."""
    stream = Stream(*map(state_of, names), call={"max_attempts": 5, **call}, timeouts=UNWATCHED)
    stream.text(2.0, text)
    stream.breaks(3.0)
    stream.begin(4.0)
    return stream


def unconfirmed(**call: Any) -> Stream:
    """The second target has added nothing, and the third one is to be asked."""
    stream = broken(**call)
    with pytest.raises(UnconfirmedEnd, match="another target is asked") as raised:
        stream.at(5.0, end(2))
    stream.breaks(5.0, raised.value)
    return stream


def test_another_target_is_asked_once() -> None:
    """It is the only further attempt, until it answers. The first one is no failure, and is paid for as reported."""
    stream = unconfirmed()
    assert (stream.call.max_attempts, stream.call.attempts_left) == (3, 1)
    why = "the continuation is empty, and another target is asked whether the answer is complete"
    assert stream.call.last is not None and stream.call.last.outcome == Outcome(Kind.REJECTED, why)
    assert stream.call.parts[-1][1] == Usage(10, 2)
    assert stream.begin(6.0).state.name == "c"
    assert stream.call.max_attempts == 5


def test_the_other_target_confirms_it() -> None:
    """It adds nothing either."""
    stream = unconfirmed()
    stream.begin(6.0)
    last = stream.at(7.0, end(1))
    assert last is not None and last.summary is not None
    assert (last.summary.target, last.summary.splice_points) == ("c", (5, 5))
    assert stream.monitor.usage == Usage(10, 1)


def test_the_other_target_has_the_rest() -> None:
    """Its text follows. If it breaks in turn, an end after that text is not confirmed yet, and the earlier one is void."""
    stream = unconfirmed()
    stream.begin(6.0)
    assert stream.at(7.0, ChatChunk(text=" so well")) == ChatChunk(text=" so well")
    stream.breaks(8.0)
    assert stream.monitor.unconfirmed_end() is None


def test_an_end_after_more_text_is_confirmed_again() -> None:
    """The text has grown since another target was asked."""
    stream = unconfirmed(names="abcde")
    stream.begin(6.0)
    stream.at(7.0, ChatChunk(text=" so well"))
    stream.breaks(8.0)
    stream.begin(9.0)
    with pytest.raises(UnconfirmedEnd):
        stream.at(9.5, end())


def test_no_other_target_answers() -> None:
    """The end is believed, with the facts of the target that sent it; its part is counted once."""
    stream = unconfirmed()
    last = stream.monitor.unconfirmed_end()
    assert last is not None and last.summary is not None
    assert (last.finish_reason, last.usage, last.model, last.id, last.text) == ("stop", Usage(10, 2), "m", "c1", "")
    assert last.summary.target == "b"
    assert [attempt.state.name for attempt, _ in stream.call.parts] == ["a", "b"]
    assert stream.call.usage == Usage(10, 2), "the call is answered"


def test_a_break_is_no_end() -> None:
    """Nothing was reported."""
    stream = broken()
    stream.breaks(5.0)
    assert stream.monitor.unconfirmed_end() is None


@pytest.mark.parametrize(
    ("text", "names", "call", "ending"),
    [
        ("it is.", "abc", {}, end()),  # the text looks finished
        ("it is", "ab", {}, end()),  # there is no other target
        ("it is", "abc", {"max_attempts": 2}, end()),
        ("it is", "abc", {"accept": always}, end()),
        ("it is", "abc", {}, end(reason="length")),
        ("it is", "abc", {"total_deadline": 5.0}, end()),  # it arrives at the last moment
    ],
)
def test_an_end_that_needs_no_confirmation(text: str, names: str, call: dict[str, Any], ending: ChatChunk) -> None:
    """It ends the answer."""
    assert broken(text, names, **call).at(5.0, ending) is not None


@pytest.mark.parametrize(("text", "tokens"), [("it is", 1), ("it is", 3), ("I", 2)])
def test_the_tokens_of_an_end(text: str, tokens: int) -> None:
    """One to three may be all that an end takes, after a text of any length."""
    with pytest.raises(UnconfirmedEnd):
        broken(text).at(5.0, end(tokens))


@pytest.mark.parametrize(
    ("usage", "tokens", "shown"), [(None, 0, "none"), (Usage(10, 0), 0, "none"), (Usage(10, 4), 4, "4")]
)
def test_lost_text(usage: Usage | None, tokens: int, shown: str) -> None:
    """No token, no usage, or more tokens than an end has: the answer was complete by its wire format, but not its text."""
    with pytest.raises(EmptyAnswer) as raised:
        broken().at(5.0, ChatChunk(finish_reason="stop", usage=usage))
    assert str(raised.value) == f"the continuation is empty (finish reason: stop, tokens: {shown})"
    assert raised.value.proven and raised.value.output_tokens == tokens


def test_a_continuation_takes_no_attempts_away() -> None:
    """The bound of attempts is as it was, if no end had to be confirmed: one that did not count may have been made meanwhile."""
    stream = Stream(*map(state_of, "ab"), call={"max_attempts": 5}, timeouts=UNWATCHED)
    stream.text(2.0, "it is")
    stream.breaks(3.0)
    stream.call.max_attempts += 1
    stream.begin(4.0)
    assert stream.call.max_attempts == 6


@pytest.mark.parametrize("text", ["so", "42", "one, ", "namely:", "well -", "(", "«", "다음", "a_", "第一，"])
def test_texts_that_look_unfinished(text: str) -> None:
    """They stop at a letter or a digit, or at a mark that something follows."""
    assert looks_unfinished(text)


@pytest.mark.parametrize("text", ["so.", "Why? ", "(so)", "```\n", "좋습니다.", "好。", "}", "🙂", "*", ""])
def test_texts_that_look_finished(text: str) -> None:
    """They stop at the end of a sentence, a bracket or a block."""
    assert not looks_unfinished(text)
