"""The reader of HTTP/1.1 responses: every split of the bytes, what it leaves behind, and a comparison with h11 for valid answers."""

from itertools import pairwise
from weakref import ref

import h11
import pytest
from hotspare._http.http1 import ResponseReader, headers_of, request_bytes
from hotspare.errors import TransportError
from hypothesis import given
from hypothesis import strategies as st

SOUND = {
    b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello": b"hello",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3;a=b\r\nllo\r\n0\r\nx: y\r\n\r\n": b"hello",
    b"HTTP/1.1 102 X\r\n\r\nHTTP/1.1 200 OK\r\nx-a: 1\r\n 2\r\ncontent-length: 5\r\n\r\nhello": b"hello",
    b"HTTP/1.1 204 No Content\r\n\r\n": b"",
}


def read(data: bytes, cuts: list[int]) -> tuple[ResponseReader, bytes]:
    """The reader and the body after these bytes, cut at these places."""
    reader, body = ResponseReader(), b""
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    for start, end in pairwise(places):
        if start < end:
            body += reader.feed(data[start:end])
    return reader, body


@pytest.mark.parametrize("data", SOUND)
def test_the_bytes_may_be_split_anywhere(data: bytes) -> None:
    """At each place, and into single bytes."""
    for cuts in [*([cut] for cut in range(len(data))), [*range(len(data))]]:
        reader, body = read(data, cuts)
        assert (body, reader.ended, reader.reusable) == (SOUND[data], True, True)


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=8), st.lists(st.integers(0, 1000), max_size=10))
def test_chunked_bodies(parts: list[bytes], cuts: list[int]) -> None:
    """h11 writes them, and they come out whole, wherever they are split."""
    server = h11.Connection(h11.SERVER)
    server.receive_data(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    server.next_event()
    server.next_event()
    data = server.send(h11.Response(status_code=200, headers=[("transfer-encoding", "chunked")])) or b""
    for part in parts:
        data += server.send(h11.Data(data=part)) or b""
    data += server.send(h11.EndOfMessage()) or b""
    reader, body = read(data, cuts)
    assert (body, reader.ended, reader.reusable) == (b"".join(parts), True, True)


def test_what_lies_behind_a_response() -> None:
    """The connection cannot be used again, and the bytes after the response are not part of the body."""
    reader, body = read(next(iter(SOUND)) + b"HTTP/1.1 200 OK\r\n", [])
    assert (body, reader.ended, reader.reusable) == (b"hello", True, False)


@pytest.mark.parametrize(
    ("head", "reusable"),
    [
        (b"HTTP/1.1 200 OK\r\n", True),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n", False),
        (b"HTTP/1.0 200 OK\r\n", False),
        (b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n", True),
    ],
)
def test_whether_the_connection_can_be_used_again(head: bytes, reusable: bool) -> None:
    """By the version, and by what the server says."""
    reader, _ = read(head + b"content-length: 1\r\n\r\nx", [])
    assert reader.ended
    assert reader.reusable is reusable


def test_the_end_of_a_connection() -> None:
    """It ends a body without a length; everywhere else it is an error that says where it was."""
    reader, body = read(b"HTTP/1.1 200 OK\r\n\r\nhello", [])
    assert not reader.ended
    assert (reader.feed(b""), body, reader.ended, reader.reusable) == (b"", b"hello", True, False)
    for data, where in ((b"", "before the response"), (b"HTTP/1.1 2", "in the head"), (b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n", "in the body")):  # fmt: skip
        reader, _ = read(data, [])
        with pytest.raises(TransportError, match=where):
            reader.feed(b"")


def test_an_answer_to_connect_has_no_body() -> None:
    """A success ends with its head, whatever length it names; a refusal has a body."""
    reader = ResponseReader(tunnel=True)
    reader.feed(b"HTTP/1.1 200 Connected\r\ncontent-length: 5\r\n\r\n")
    assert reader.ended
    reader = ResponseReader(tunnel=True)
    reader.feed(b"HTTP/1.1 407 Authenticate\r\ncontent-length: 5\r\n\r\n")
    assert reader.has_head
    assert not reader.ended


@pytest.mark.parametrize("length", [b"5, 5", b"5\r\nContent-Length: 5", b"", b"-5", b"5x", b"9" * 20, b"9" * 5000])
def test_a_length_that_is_none(length: bytes) -> None:
    """It is broken HTTP, whether the head is received at once or by single bytes; so is a number that `int` refuses for its length."""
    data = b"HTTP/1.1 200 OK\r\ncontent-length: " + length + b"\r\n\r\nhello"
    for cuts in ([], [*range(len(data))]):
        with pytest.raises(TransportError, match="length of the body"):
            read(data, cuts)


def test_the_head_of_a_response_is_read_alike_in_one_piece_and_by_lines() -> None:
    """Names, repeated fields, white space around values, and bytes beyond ASCII, valid UTF-8 or not."""
    head = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nset-cookie:\tb=2 \t\r\nX-N: \xc3\xa9 \xff:\r\nX-E:\r\nContent-Length: 2\r\n\r\n"
    expected = {"set-cookie": "a=1, b=2", "x-n": "\xe9 \ufffd:", "x-e": "", "content-length": "2"}
    for cuts in ([], [*range(len(head))]):
        assert read(head + b"{}", cuts)[0].headers == expected


def test_a_reader_is_freed_without_the_garbage_collector() -> None:
    """It refers to nothing that refers to it: with many calls at once, collecting such cycles would take as long as parsing."""
    found = ref(read(next(iter(SOUND)), [])[0])
    assert found() is None


def test_headers() -> None:
    """By lower-case name; a repeated one is joined."""
    assert headers_of([("X-A", "1"), ("x-a", "2"), ("B", "é")]) == {"x-a": "1, 2", "b": "é"}


def test_a_request() -> None:
    """With its length; a header cannot end its line and begin another."""
    data = request_bytes("POST", "/v1", "x:80", [("a", "b")], b"{}")
    assert data == b"POST /v1 HTTP/1.1\r\nhost: x:80\r\na: b\r\ncontent-length: 2\r\n\r\n{}"
    with pytest.raises(ValueError, match="line break"):
        request_bytes("POST", "/v1", "x", [("a", "b\r\nc: d")], b"")
