"""The event stream decoder: the standard's own examples, and bytes split anywhere."""

from itertools import pairwise

import pytest
from hotspare.errors import BodyTooLarge
from hotspare.providers.sse import SSEDecoder
from hypothesis import given
from hypothesis import strategies as st

Events = list[tuple[str, str]]


def decode(raw: bytes, *splits: int) -> Events:
    """The events of these bytes, fed in pieces; an incomplete one at the end does not count."""
    decoder = SSEDecoder()
    offsets = [0, *sorted(splits), len(raw)]
    return [event for a, b in pairwise(offsets) for event in decoder.feed(raw[a:b])]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"data: YHOO\ndata: +2\ndata: 10\n\n", [("message", "YHOO\n+2\n10")]),
        (b": a comment\n\ndata: one\nid: 1\n\ndata:two\nid\n\ndata:  three\n\n", ["one", "two", " three"]),
        (b"data\n\ndata\ndata\n\ndata:", ["", "\n"]),
        (b"data:test\n\ndata: test\n\n", ["test", "test"]),
        (b"event: ping\n\ndata: x\n\n", ["x"]),
        (b"event: error\ndata: x\n\ndata: y\n\n", [("error", "x"), ("message", "y")]),
        (b"\xef\xbb\xbfdata: bom\r\n\r\ndata: cr\r\rdata: lf\n\n", ["bom", "cr", "lf"]),
        (b"retry: 10\nunknown: field\ndatax: no\ndata: yes\n\n", ["yes"]),
        ("data: 안녕 🌊\n\n".encode(), ["안녕 🌊"]),
        (b"data: half", []),
    ],
)
def test_the_standards_examples(raw: bytes, expected: list[str | tuple[str, str]]) -> None:
    """Comments, names, several data lines, empty data, the byte order mark and all three line ends."""
    assert decode(raw) == [item if isinstance(item, tuple) else ("message", item) for item in expected]


TEXT = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\r\n"), max_size=12)
END = st.sampled_from([b"\n", b"\r", b"\r\n"])
LINE = st.one_of(
    TEXT.map(lambda t: b"data: " + t.encode()),
    TEXT.map(lambda t: b"data:" + t.encode()),
    TEXT.map(lambda t: b":" + t.encode()),
    TEXT.map(lambda t: b"event: " + t.encode()),
    TEXT.map(str.encode),
    st.just(b""),
    st.just(b""),
)
STREAM = st.lists(st.tuples(LINE, END)).map(lambda lines: b"".join(line + end for line, end in lines))
PIECES = [b"\r", b"\n", b"data:x", b"data", b":", b"\xef\xbb\xbf", b"\xff", b" "]
BYTES = STREAM | st.lists(st.sampled_from(PIECES)).map(b"".join)


def reference(raw: bytes) -> Events:
    """The standard's algorithm, line by line, on the whole text."""
    text = raw.decode("utf-8", "replace").removeprefix("\ufeff")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")[:-1]
    found: Events = []
    data, name = "", ""
    for line in lines:
        if not line:
            if data:
                found.append((name or "message", data.removesuffix("\n")))
            data, name = "", ""
            continue
        field, colon, value = line.partition(":")
        value = value.removeprefix(" ") if colon else ""
        if field == "data":
            data += value + "\n"
        elif field == "event":
            name = value
    return found


@given(BYTES, st.lists(st.integers(0, 400), max_size=12))
def test_bytes_split_anywhere_give_the_standards_events(raw: bytes, splits: list[int]) -> None:
    """Split inside line ends and characters too, the events are those of the standard's algorithm."""
    expected = reference(raw)
    assert decode(raw) == expected
    assert decode(raw, *(min(split, len(raw)) for split in splits)) == expected
    assert decode(raw, *range(1, len(raw))) == expected


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=6))
def test_invalid_utf_8_is_replaced(raw: bytes, splits: list[int]) -> None:
    """No exception, and the same events however the bytes are split."""
    assert decode(raw, *(min(split, len(raw)) for split in splits)) == decode(raw)


def test_flush_returns_the_last_event() -> None:
    """A last event without a blank line, or without any line end, is returned once."""
    for tail in (b"data: [DONE]", b"data: [DONE]\n", b"data: [DONE]\r"):
        decoder = SSEDecoder()
        assert decoder.feed(b"data: x\n\n" + tail) == [("message", "x")]
        assert decoder.flush() == [("message", "[DONE]")]
        assert decoder.flush() == []
    assert SSEDecoder().flush() == []


@pytest.mark.parametrize("raw", [b"data: " + b"x" * 200, b"data: x\n" * 60, b"event: " + b"x" * 120 + b"\ndata: y\n"])
def test_an_event_over_the_limit(raw: bytes) -> None:
    """An endless line, and lines without a blank one, raise BodyTooLarge, fed whole or byte by byte."""
    with pytest.raises(BodyTooLarge, match="100 bytes"):
        SSEDecoder(limit=100).feed(raw)
    decoder = SSEDecoder(limit=100)
    with pytest.raises(BodyTooLarge):
        for index in range(len(raw)):
            decoder.feed(raw[index : index + 1])


def test_the_limit_is_on_one_event() -> None:
    """A stream may have any length, and keep-alives do not count."""
    decoder = SSEDecoder(limit=100)
    for _ in range(1000):
        assert decoder.feed(b": keep-alive\n\n") == []
        assert decoder.feed(b"data: x\n") == []
        assert decoder.feed(b"\n") == [("message", "x")]
