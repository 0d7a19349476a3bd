"""An event that cannot be read is a break, unless it cannot have held content: a finish reason does not bring its words back."""

import json

import pytest

from tests.support.field_calls import (
    STREAMED,
    WHOLE,
    WIRES,
    Face,
    Wire,
    anthropic_event,
    block_delta,
    call,
    chunk_event,
    end,
    finish,
    start,
    text,
    two_targets,
)
from tests.support.raw_server import event, sse

CUT = {
    "openai": event('{"id":"c1","choices":[{"index":0,"delta":{"content":"one hundred'),
    "anthropic": event('{"type":"content_block_delta","index":0,"delta":{"type":"text_del', "content_block_delta"),
    "gemini": event('{"candidates":[{"content":{"parts":[{"text":"one hun'),
}
WRONG_TYPES = {
    "openai": [
        chunk_event({"content": 100}),
        event({"choices": "one hundred"}),
        event(["one hundred"]),
        event("one hundred"),
    ],
    "anthropic": [event(["one hundred"]), event('"one hundred"', "content_block_delta"), event("one hundred")],
    "gemini": [event({"candidates": [{"content": {"parts": "one hundred"}}]}), event({"candidates": ["one hundred"]})],
}


def around(wire: Wire, lost: str) -> list[str]:
    """A whole answer with this event in the middle of its text."""
    return [*start(wire), text(wire, "Pay now: "), lost, text(wire, " thanks."), finish(wire), *end(wire)]


LOST = [(wire, lost) for wire in WIRES for lost in [CUT[wire], *WRONG_TYPES[wire]]]


@pytest.mark.parametrize(("wire", "lost"), LOST)
def test_a_lost_event_is_a_break(wire: Wire, lost: str) -> None:
    """What came before it is kept, and another target says the rest: an answer with a hole is never served as a whole one."""
    with two_targets(wire, sse(*around(wire, lost))) as two:
        for face in STREAMED:
            result = call(two.pool, face)
            assert (result.text, result.kinds[-1]) == ("Pay now: spare answer", "spare ok")


@pytest.mark.parametrize("face", WHOLE)
@pytest.mark.parametrize("wire", WIRES)
def test_a_lost_event_of_a_whole_answer(wire: Wire, face: Face) -> None:
    """Streamed underneath, or sent as a stream although none was requested: the whole answer comes from the next target."""
    for completion in ("stream", "wait"):
        with two_targets(wire, sse(*around(wire, CUT[wire])), completion=completion) as two:
            result = call(two.pool, face)
            assert (result.text, result.kinds[0], result.kinds[-1]) == ("spare answer", "first server", "spare ok")


HARMLESS: dict[str, list[str]] = {
    "openai": [
        ": OPENROUTER PROCESSING\n\n",
        event("null"),
        event("{}"),
        event(""),
        event("pong", "ping"),
        event("[]"),
    ],
    "anthropic": [event("", "ping"), event("{", "ping"), event('{"type":"message_sta', "message_start"), event("true")],
    "gemini": [": keep-alive\n\n", event("0"), event("not json", "heartbeat")],
}


@pytest.mark.parametrize("face", STREAMED)
@pytest.mark.parametrize("wire", WIRES)
def test_what_cannot_have_held_content_is_forgiven(wire: Wire, face: Face) -> None:
    """Comments, keep-alives by their name, whole JSON values that hold nothing, and anything after the finish reason."""
    events = [
        *start(wire),
        text(wire, "all "),
        *HARMLESS[wire],
        text(wire, "of it"),
        finish(wire),
        CUT[wire],
        *end(wire),
    ]
    with two_targets(wire, sse(*events)) as two:
        result = call(two.pool, face)
    assert (result.text, result.kinds) == ("all of it", ["first ok"])


def test_a_lost_piece_of_a_tool_call_never_makes_a_call() -> None:
    """Its beginning, or the middle of its arguments: the call is made by another target, or not at all."""
    block = anthropic_event(
        "content_block_start", index=1, content_block={"type": "tool_use", "id": "t", "name": "pay"}
    )
    pieces = [block_delta(1, type="input_json_delta", partial_json=piece) for piece in ('{"usd":', " 100}")]
    stop = anthropic_event("content_block_stop", index=1)
    tail = [stop, finish("anthropic", "tool_use"), *end("anthropic")]
    cut = event('{"type":"content_block', "content_block_start")
    for events in ([cut, *pieces], [block, pieces[0], CUT["anthropic"]], [*pieces]):
        with two_targets("anthropic", sse(*start("anthropic"), *events, *tail), completion="stream") as two:
            result = call(two.pool, "chat")
            assert (result.text, result.reply.tool_calls) == ("spare answer", ())


def test_the_error_says_what_was_lost() -> None:
    """The sentence is hotspare's own, and the event is the error's body."""
    from hotspare.errors import MalformedAnswer
    from hotspare.messages import ChatRequest
    from hotspare.providers.presets import PRESETS

    for wire in WIRES:
        reader = PRESETS[wire].wire().reader(ChatRequest(messages=[{"role": "user", "content": "hi"}]))
        data = CUT[wire].split("data: ")[1].strip()
        with pytest.raises(MalformedAnswer, match="an event of the stream is not JSON") as caught:
            reader.event("message", data)
        assert caught.value.body.decode() == data
        with pytest.raises(json.JSONDecodeError):
            json.loads(data)
