"""Recorded answers, read by hotspare and by an independent reader: whole, in pieces, and truncated."""

import json
import random
import re
from itertools import pairwise

import pytest
from hotspare._classify.rules import classify
from hotspare._engine.folding import reply_of
from hotspare.errors import BackendError, InBandError, MalformedAnswer
from hotspare.outcome import Kind
from hotspare.providers.response import ResponseParser, read_response

from tests.conformance.traffic import (
    ALL,
    ANSWERS,
    MALFORMED,
    STREAMS,
    Recorded,
    named,
    needs_recordings,
)
from tests.support.reference_reader import ReadAnswer, Tokens, as_read, data_lines, read_recording

pytestmark = needs_recordings
HALF = {
    "openai": b'data: {"choices": [{"del\n\n',
    "responses": b'data: {"type":"response.output_text.delta","output_index":0,"del\n\n',
    "anthropic": b'event: content_block_delta\ndata: {"type": "content_bl\n\n',
    "gemini": b'data: {"candidates": [{"con\n\n',
}
"""An incomplete event of each dialect."""


def expected(item: Recorded) -> ReadAnswer:
    """What the independent reader finds. Of the OpenAI-compatible APIs, only OpenRouter's signed reasoning is kept."""
    whole = read_recording(item.wire.dialect, item.text, stream=item.stream)
    reads_back = item.wire.dialect != "openai" or item.preset.name == "openrouter"
    return whole if reads_back else whole._replace(signatures=[])


def stream(item: Recorded, whole: ReadAnswer, *pieces: bytes) -> ReadAnswer:
    """The answer in these bytes of a stream. Raises BackendError."""
    parser = ResponseParser(item.wire, item.chat_request, 200, {"content-type": "text/event-stream"})
    chunks = [chunk for piece in pieces for chunk in parser.feed(piece)]
    return as_read(reply_of([*(chunk for chunk in chunks if chunk.is_content), *parser.end()]), whole)


def truncated(item: Recorded, whole: ReadAnswer, *pieces: bytes) -> ReadAnswer | None:
    """The answer, or None for a BackendError of kind SERVER; any other exception is raised."""
    try:
        return stream(item, whole, *pieces)
    except BackendError as error:
        assert classify(error).kind is Kind.SERVER
        return None


@named([item for item in ANSWERS if not item.stream])
def test_a_whole_answer(item: Recorded) -> None:
    """Text, calls, usage, finish reason, reasoning and signatures equal those of the raw JSON."""
    whole = expected(item)
    reply = read_response(item.wire, item.chat_request, 200, {}, item.text.encode())
    assert as_read(reply, whole) == whole
    assert len({call.id for call in reply.tool_calls}) == len(reply.tool_calls)


@named(STREAMS)
def test_a_stream(item: Recorded) -> None:
    """A stream gives what its JSON lines hold: fed whole, byte by byte, and in random pieces."""
    raw, whole = item.text.encode(), expected(item)
    assert stream(item, whole, raw) == whole
    assert stream(item, whole, *(raw[i : i + 1] for i in range(len(raw)))) == whole
    places = random.Random(item.name)
    for _ in range(20):
        cuts = [0, *sorted(places.randrange(len(raw)) for _ in range(30)), len(raw)]
        assert stream(item, whole, *(raw[a:b] for a, b in pairwise(cuts))) == whole


@named(STREAMS)
def test_a_truncated_stream_is_never_taken_for_a_whole_one(item: Recorded) -> None:
    """Truncated at every event and at 200 random bytes: the whole answer or an error, never a part of the text."""
    raw, whole = item.text.encode(), expected(item)
    ends = [0, *(found.end() for found in re.finditer(rb"\r?\n\r?\n", raw))]
    places = random.Random(item.name)
    breaks = 0
    for end in [*ends, *(places.randrange(len(raw)) for _ in range(200))]:
        result = truncated(item, whole, raw[:end])
        breaks += result is None
        if result is not None:  # the usage may follow the proof of completion, and be missing
            assert result._replace(tokens=whole.tokens) == whole
            assert result.tokens in (whole.tokens, Tokens())
    if item.wire.dialect == "anthropic":  # its proof is the stop reason, which comes before the last event
        assert all(truncated(item, whole, raw[:end]) is None for end in ends[:-2])
    assert breaks >= len(ends) // 2


@named(STREAMS)
def test_an_incomplete_event_is_ignored_only_after_the_finish_reason(item: Recorded) -> None:
    """After it the answer is whole; before it the event is an error, however the stream continues."""
    events = re.split(rb"(?<=\n\n)|(?<=\r\n\r\n)", item.text.encode())
    whole, half = expected(item), HALF[item.wire.dialect]
    for place in range(1, len(events) - 1, max(1, len(events) // 10)):
        before = truncated(item, whole, *events[:place], half)
        assert before is None or before._replace(tokens=whole.tokens) == whole
        assert truncated(item, whole, *events[:place], half, *events[place:]) == (whole if before is not None else None)


@named([item for item in ALL if item.is_blocked])
def test_a_blocked_answer(item: Recorded) -> None:
    """An InBandError with the JSON, of kind CONTENT_FILTER, which does not count against the target."""
    with pytest.raises(InBandError) as caught:
        read_response(item.wire, item.chat_request, 200, {}, item.text.encode())
    assert json.loads(caught.value.body) == json.loads(item.text)
    assert classify(caught.value).kind is Kind.CONTENT_FILTER


@named([item for item in ALL if item.is_malformed])
def test_a_malformed_answer(item: Recorded) -> None:
    """A call of a tool that the request does not have ends the attempt; another target may do better."""
    with pytest.raises(MalformedAnswer, match=MALFORMED) as caught:
        read_response(item.wire, item.chat_request, 200, {}, item.text.encode())
    assert classify(caught.value).kind is Kind.SERVER


@named([item for item in ALL if item.is_broken])
def test_a_stream_that_ends_with_an_error_event(item: Recorded) -> None:
    """The error event is raised after the text that came before it, with its JSON and the provider's message."""
    events = [json.loads(line[5:]) for line in data_lines(item.text)]
    *before, error = [event.get("error") for event in events]
    parser = ResponseParser(item.wire, item.chat_request, 200, {})
    text = ""
    with pytest.raises(InBandError) as caught:
        for chunk in parser.feed(item.text.encode()):
            text += chunk.text
    assert not any(before) and text == "".join(
        (choice["delta"].get("content") or "") for event in events[:-1] for choice in event["choices"]
    )
    assert json.loads(caught.value.body)["error"] == error
    found = classify(caught.value)
    assert (found.kind, found.message) == (Kind.SERVER, error["message"])
