"""What real providers answered, read by hotspare and, independently, by hand: whole, in pieces, and cut off."""

import json
import random
import re
from itertools import pairwise

import pytest
from hotspare._classify.rules import classify
from hotspare.errors import BackendError, InBandError, MalformedAnswer
from hotspare.outcome import Kind
from hotspare._engine.folding import reply_of
from hotspare.providers.response import Incoming, read_whole

from tests.conformance.traffic import (
    ALL,
    ANSWERS,
    BROKEN,
    MALFORMED,
    REFUSED,
    STREAMS,
    Recorded,
    named,
    needs_recordings,
)
from tests.support.told import Tokens, Told, said, told

pytestmark = needs_recordings
HALF = {
    "openai": b'data: {"choices": [{"del\n\n',
    "anthropic": b'event: content_block_delta\ndata: {"type": "content_bl\n\n',
    "gemini": b'data: {"candidates": [{"con\n\n',
}
"""Half an event of each dialect."""


def expected(item: Recorded) -> Told:
    """What was recorded. Signed reasoning is kept for those of OpenAI's kin who are known to read it back: OpenRouter."""
    whole = told(item.wire.dialect, item.text, stream=item.stream)
    reads_back = item.wire.dialect != "openai" or item.provider == "openrouter"
    return whole if reads_back else whole._replace(signatures=[])


def stream(item: Recorded, whole: Told, *pieces: bytes) -> Told:
    """The answer that these bytes of a stream make; raises hotspare's own errors."""
    incoming = Incoming(item.wire, item.asked, 200, {"content-type": "text/event-stream"})
    chunks = [chunk for piece in pieces for chunk in incoming.feed(piece)]
    return said(reply_of([*(chunk for chunk in chunks if chunk.is_content), *incoming.end()]), whole)


def cut(item: Recorded, whole: Told, *pieces: bytes) -> Told | None:
    """The answer, or None for a clean break that is the provider's failure; any other exception passes through."""
    try:
        return stream(item, whole, *pieces)
    except BackendError as error:
        assert classify(error, dialect=item.preset.dialect).kind is Kind.SERVER
        return None


@named([item for item in ANSWERS if not item.stream])
def test_a_whole_answer_is_read_right(item: Recorded) -> None:
    """Text, calls, usage, finish reason, reasoning and signatures are those of the raw JSON."""
    whole = expected(item)
    reply = read_whole(item.wire, item.asked, 200, {}, item.text.encode())
    assert said(reply, whole) == whole
    assert len({call.id for call in reply.tool_calls}) == len(reply.tool_calls)


@named(STREAMS)
def test_a_stream_is_read_right(item: Recorded) -> None:
    """A stream gives what its JSON lines say, whole, byte by byte and in random pieces."""
    raw, whole = item.text.encode(), expected(item)
    assert stream(item, whole, raw) == whole
    assert stream(item, whole, *(raw[i : i + 1] for i in range(len(raw)))) == whole
    places = random.Random(item.name)
    for _ in range(20):
        cuts = [0, *sorted(places.randrange(len(raw)) for _ in range(30)), len(raw)]
        assert stream(item, whole, *(raw[a:b] for a, b in pairwise(cuts))) == whole


@named(STREAMS)
def test_a_cut_stream_is_never_served_as_whole(item: Recorded) -> None:
    """Ended at every event and at 200 random bytes: the whole answer, or a clean break, never part of the text."""
    raw, whole = item.text.encode(), expected(item)
    ends = [0, *(found.end() for found in re.finditer(rb"\r?\n\r?\n", raw))]
    places = random.Random(item.name)
    breaks = 0
    for end in [*ends, *(places.randrange(len(raw)) for _ in range(200))]:
        result = cut(item, whole, raw[:end])
        breaks += result is None
        if result is not None:  # the usage may come behind the proof, or be cut with it
            assert result._replace(tokens=whole.tokens) == whole
            assert result.tokens in (whole.tokens, Tokens())
    if item.wire.dialect == "anthropic":  # its proof is `message_stop`, which comes last
        assert all(cut(item, whole, raw[:end]) is None for end in ends[:-1])
    assert breaks >= len(ends) // 2


@named(STREAMS)
def test_half_an_event_is_passed_over_only_in_a_whole_stream(item: Recorded) -> None:
    """Garbage between events does no harm when the stream proves complete; else it is the break."""
    events = re.split(rb"(?<=\n\n)|(?<=\r\n\r\n)", item.text.encode())
    whole, half = expected(item), HALF[item.wire.dialect]
    for place in range(1, len(events) - 1, max(1, len(events) // 10)):
        assert stream(item, whole, *events[:place], half, *events[place:]) == whole
        before = cut(item, whole, *events[:place], half)
        assert before is None or before._replace(tokens=whole.tokens) == whole


@named([item for item in ALL if item.name in REFUSED])
def test_a_blocked_answer_is_refused_in_the_providers_words(item: Recorded) -> None:
    """It is an error that holds the JSON, and it says nothing about the target's health."""
    with pytest.raises(InBandError) as caught:
        read_whole(item.wire, item.asked, 200, {}, item.text.encode())
    assert json.loads(caught.value.body) == json.loads(item.text)
    assert classify(caught.value, dialect=item.preset.dialect).kind is Kind.CONTENT_FILTER


@named([item for item in ALL if MALFORMED in item.text])
def test_a_malformed_answer_is_no_answer(item: Recorded) -> None:
    """A call to a tool that was never offered ends the attempt, and another target may do better."""
    with pytest.raises(MalformedAnswer, match=MALFORMED) as caught:
        read_whole(item.wire, item.asked, 200, {}, item.text.encode())
    assert classify(caught.value, dialect=item.preset.dialect).kind is Kind.SERVER


@named([item for item in ALL if item.name == BROKEN])
def test_a_stream_that_ends_with_an_error_event_is_an_error(item: Recorded) -> None:
    """Groq's error event after five words is raised behind those words, with its own JSON."""
    incoming = Incoming(item.wire, item.asked, 200, {})
    text = ""
    with pytest.raises(InBandError, match="Tool choice is required") as caught:
        for chunk in incoming.feed(item.text.encode()):
            text += chunk.text
    assert text == "maybe"
    assert json.loads(caught.value.body)["error"]["code"] == "tool_use_failed"
    assert classify(caught.value, dialect="groq").kind is Kind.SERVER
