"""Every step of a scripted target, streamed and whole, in sync code and on both event loops."""

from typing import Any

import pytest
from hotspare import ChatReply, ConfigError, Kind, Outcome, ToolCall, ToolCallDelta, Usage
from hotspare.errors import AttemptTimeout, EmptyAnswer
from hotspare.messages import IDLE, ChatChunk
from hotspare.testing import (
    ScriptedError,
    ScriptedTarget,
    StepLike,
    VirtualClock,
    answer,
    break_after,
    fail,
    hang,
    tool_call,
)
from hypothesis import given
from hypothesis import strategies as st

from tests.core.testing.faces import FACES, send, stream

DOWN = Outcome(Kind.SERVER, "down", 503)
END = ChatChunk(finish_reason="stop", usage=Usage(1, 1))


def target(*steps: StepLike, **options: Any) -> ScriptedTarget:
    """A scripted target on a clock of its own that begins at 0."""
    return ScriptedTarget("a", list(steps), clock=VirtualClock(0), **options)


def texts(*pieces: str) -> list[ChatChunk]:
    """Chunks of text."""
    return [ChatChunk(text=piece) for piece in pieces]


@FACES
def test_a_text_keeps_its_spaces(face: str) -> None:
    """Streamed word by word, it is the same text as the whole answer, at no cost of time."""
    text = "Hello from  the\nprimary "
    scripted = target(text)
    chunks = [chunk for chunk, _ in stream(scripted, face)]
    assert chunks == [*texts("Hello ", "from  ", "the\n", "primary "), END]
    reply = send(scripted, face)
    assert reply == ChatReply(text=text, usage=Usage(1, 1))
    assert scripted.clock is not None and scripted.clock() == 0


@given(st.text())
def test_no_text_loses_anything(text: str) -> None:
    """Whatever white space there is, and where."""
    chunks = [chunk for chunk, _ in stream(target(text), "sync")]
    assert "".join(chunk.text for chunk in chunks if isinstance(chunk, ChatChunk)) == text


@FACES
def test_pieces_are_streamed_as_they_are(face: str) -> None:
    """Nothing between them; a chunk among them passes as it is."""
    scripted = target(["Hel", "lo", IDLE, " there"])
    assert [chunk for chunk, _ in stream(scripted, face)] == [*texts("Hel", "lo"), IDLE, *texts(" there"), END]
    assert send(scripted, face).text == "Hello there"


@FACES
def test_reasoning_text_and_tool_calls_in_order(face: str) -> None:
    """An answer with all that it can have, in the order in which providers stream it."""
    calls = [tool_call("get_weather", city="Seoul"), tool_call("get_time", id="call_2")]
    step = answer("Let me see.", reasoning="A question.", tool_calls=calls, usage=Usage(9, 7, reasoning_tokens=2))
    chunks = [chunk for chunk, _ in stream(target(step), face)]
    assert chunks == [
        *[ChatChunk(reasoning=piece) for piece in ("A ", "question.")],
        *texts("Let ", "me ", "see."),
        ChatChunk(tool_calls=(ToolCallDelta(0, "call_1", "get_weather"),)),
        ChatChunk(tool_calls=(ToolCallDelta(0, arguments='{"city": "Seoul"}'),)),
        ChatChunk(tool_calls=(ToolCallDelta(1, "call_2", "get_time"),)),
        ChatChunk(tool_calls=(ToolCallDelta(1, arguments="{}"),)),
        ChatChunk(finish_reason="tool_calls", usage=Usage(9, 7, reasoning_tokens=2)),
    ]
    reply = send(target(step), face)
    assert (reply.text, reply.reasoning, reply.finish_reason) == ("Let me see.", "A question.", "tool_calls")
    assert reply.tool_calls == (
        ToolCall("call_1", "get_weather", '{"city": "Seoul"}'),
        ToolCall("call_2", "get_time", "{}"),
    )


@FACES
def test_a_finish_reason_is_what_was_said(face: str) -> None:
    """Over the one that follows from the answer."""
    assert send(target(answer("cut", finish_reason="length")), face).finish_reason == "length"


@FACES
def test_delays_and_gaps_pass_on_the_clock(face: str) -> None:
    """Before the first chunk, between chunks, before the end; a whole answer takes as long as a streamed one."""
    step = answer("one two three", delay=5, gap=2)
    assert [at for _, at in stream(target(step), face)] == [5, 7, 9, 11]
    whole = target(step)
    assert send(whole, face).text == "one two three"
    assert whole.clock is not None and whole.clock() == 11


@FACES
def test_the_target_s_own_delay_comes_on_top(face: str) -> None:
    """For answers and failures alike."""
    scripted = target(answer("hi", delay=1), DOWN, delay=0.5)
    assert [at for _, at in stream(scripted, face)] == [1.5, 1.5]
    assert stream(scripted, face)[-1][1] == 2.0


@FACES
@pytest.mark.parametrize("step", [DOWN, fail(DOWN), fail(Kind.SERVER, "down"), fail(503, "down"), Kind.SERVER], ids=str)
def test_a_failure_is_raised_and_classified(face: str, step: StepLike) -> None:
    """However it is written, streamed and whole."""
    scripted = target(step)
    for error in (send(scripted, face), stream(scripted, face)[0][0]):
        assert isinstance(error, ScriptedError)
        assert scripted.classify(error).kind is Kind.SERVER
        assert error.outcome.message in ("down", "")


def test_a_status_is_classified_as_a_provider_s() -> None:
    """429 is a rate limit, 401 a key, 400 a request; the words count as well."""
    kinds = {status: target(fail(status)).unused[0].error for status in (400, 401, 402, 404, 429, 500, 529)}
    assert {status: error.outcome.kind for status, error in kinds.items() if isinstance(error, ScriptedError)} == {
        400: Kind.INVALID, 401: Kind.AUTH, 402: Kind.QUOTA, 404: Kind.NOT_FOUND, 429: Kind.RATE_LIMITED,
        500: Kind.SERVER, 529: Kind.SERVER,
    }  # fmt: skip
    limited = fail(429, "slow down", retry_after=7).error
    assert isinstance(limited, ScriptedError)
    assert (limited.outcome.status, limited.outcome.message, limited.outcome.retry_after) == (429, "slow down", 7)


@FACES
def test_any_exception_is_raised_as_it_is(face: str) -> None:
    """And classified by the rules for every backend; raised again and again it does not grow."""
    error = ConnectionResetError("peer")
    scripted = target(error)
    for _ in range(3):
        assert send(scripted, face) is error
        assert stream(scripted, face)[0][0] is error
    assert scripted.classify(error).kind is Kind.TRANSPORT
    assert target(EmptyAnswer("nothing")).classify(EmptyAnswer("nothing")).kind is Kind.SERVER
    frames, trace = 0, error.__traceback__
    while trace is not None:
        frames, trace = frames + 1, trace.tb_next
    assert frames < 30


@FACES
def test_a_failure_can_take_its_time(face: str) -> None:
    """A slow 503."""
    (error, at), *rest = stream(target(fail(503, delay=4)), face)
    assert isinstance(error, ScriptedError) and at == 4 and rest == []


@FACES
def test_an_answer_breaks_after_so_many_words(face: str) -> None:
    """A stream hands out what came before; a whole answer is lost, after the same time."""
    step = break_after(2, "one two three", DOWN, delay=1, gap=2)
    *chunks, (error, at) = stream(target(step), face)
    assert [chunk for chunk, _ in chunks] == texts("one ", "two ")
    assert isinstance(error, ScriptedError) and error.outcome is DOWN and at == 5
    whole = target(step)
    assert isinstance(send(whole, face), ScriptedError)
    assert whole.clock is not None and whole.clock() == 5


def test_a_break_is_a_reset_unless_it_is_said_otherwise() -> None:
    """And an answer with all that it has can break, at any place of it."""
    calls = answer("text", tool_calls=[tool_call("f", x=1)], gap=1)
    for pieces in range(4):
        *chunks, (error, at) = stream(target(break_after(pieces, calls)), "sync")
        assert isinstance(error, ScriptedError) and error.outcome.kind is Kind.TRANSPORT
        assert (len(chunks), at) == (pieces, pieces)
    with pytest.raises(ConfigError, match=r"step\.pieces: 4 must be between 0 and 3"):
        break_after(4, calls)


@FACES
def test_silence_lasts_until_the_bound(face: str) -> None:
    """From the start, or after some words: a caller's bound ends it, in sync code the target itself keeps it."""
    *chunks, (error, at) = stream(target(hang()), face)
    assert chunks == [] and isinstance(error, AttemptTimeout) and at == 100
    *chunks, (error, at) = stream(target(hang(2, "one two three", delay=3, gap=4)), face)
    assert [chunk for chunk, _ in chunks] == texts("one ", "two ")
    assert isinstance(error, AttemptTimeout) and at == 107
    whole = target(hang(1, "one"))
    assert isinstance(send(whole, face), AttemptTimeout)
    assert whole.clock is not None and whole.clock() == 100


@FACES
def test_what_comes_too_late_does_not_come(face: str) -> None:
    """A delay beyond the bound is a timeout at the bound; one that ends with it is too late as well."""
    for delay in (100, 5000):
        *chunks, (error, at) = stream(target(answer("late", delay=delay)), face)
        assert chunks == [] and isinstance(error, AttemptTimeout) and at == 100
    *chunks, (_, at) = stream(target(answer("in time", delay=99.9)), face)
    assert at == 99.9


@FACES
def test_a_whole_answer_has_one_bound_for_all_of_it(face: str) -> None:
    """A stream has one for each chunk."""
    step = answer("one two three", delay=60, gap=60)
    whole = target(step)
    assert isinstance(send(whole, face), AttemptTimeout)
    assert whole.clock is not None and whole.clock() == 100
    assert [at for _, at in stream(target(step), face)] == [60, 120, 180, 240]


@FACES
def test_a_whole_reply_is_given_as_it_is(face: str) -> None:
    """With its own data; streamed it has the same content."""
    reply = ChatReply(
        text="Good day.", reasoning="hm", tool_calls=(ToolCall("c", "f", "{}", "signed"),), finish_reason="length",
        usage=Usage(3, 4), model="m-1", id="r-1", refusal="no", thinking=({"type": "thinking"},), raw={"x": 1},
    )  # fmt: skip
    assert send(target(reply), face) is reply
    chunks = [chunk for chunk, _ in stream(target(reply), face) if isinstance(chunk, ChatChunk)]
    assert "".join(chunk.text for chunk in chunks) == reply.text
    assert "".join(chunk.reasoning for chunk in chunks) == reply.reasoning
    assert [chunk.refusal for chunk in chunks if chunk.refusal] == ["no"]
    assert [chunk.thinking for chunk in chunks if chunk.thinking] == [reply.thinking]
    assert [delta.signature for chunk in chunks for delta in chunk.tool_calls if delta.id] == ["signed"]
    last = chunks[-1]
    assert (last.finish_reason, last.usage, last.model, last.id) == ("length", Usage(3, 4), "m-1", "r-1")


@pytest.mark.parametrize(
    ("step", "problem"),
    [
        (3, r"step: 3 must be a text, pieces, an Outcome"),
        (TimeoutError, r"step: <class 'TimeoutError'> must be a text"),
        ([1], r"step: \[1\] must be a text"),
        (Outcome(Kind.OK), r"step: Outcome\(kind=<Kind.OK.* is not a failure"),
    ],
)
def test_what_is_no_step_is_named(step: Any, problem: str) -> None:
    """With the way out."""
    with pytest.raises(ConfigError, match=problem):
        target(step)


def test_times_are_not_negative() -> None:
    """Named by field and value."""
    with pytest.raises(ConfigError, match=r"step\.delay: -1 must be seconds, 0 or more"):
        answer("x", delay=-1)
    with pytest.raises(ConfigError, match=r"step\.gap: nan must be seconds, 0 or more"):
        answer("x", gap=float("nan"))
