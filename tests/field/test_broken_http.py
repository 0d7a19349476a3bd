"""What servers, gateways and boxes in the middle send instead of HTTP: a broken answer is TRANSPORT, a sound one is an answer, and
threads, asyncio and trio agree on which is which."""

import json
from collections.abc import Generator

import anyio
import pytest
from hotspare import AllTargetsFailed, Kind, Pool, Target

from tests.support.raw_server import RawRequest, RawServer, Step, raw_server

BODY = json.dumps(
    {"choices": [{"index": 0, "message": {"role": "assistant", "content": "fine"}, "finish_reason": "stop"}]}
).encode()
HEAD = b"HTTP/1.1 200 OK\r\n"
LENGTH = b"content-length: %d\r\n" % len(BODY)
CHUNKED = b"transfer-encoding: chunked\r\n"
SIZE = b"%x" % len(BODY)
REST = b"\r\n" + BODY
WHOLE = LENGTH + REST


def chunks(*parts: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    """A chunked body with its head."""
    return HEAD + CHUNKED + b"\r\n" + b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + end


def chunk_line(line: bytes) -> bytes:
    """A chunked body whose first chunk has this line for its size."""
    return HEAD + CHUNKED + b"\r\n" + line + b"\r\n" + BODY + b"\r\n0\r\n\r\n"


SOUND = {
    "plain": HEAD + WHOLE,
    "lines that end with LF alone": b"HTTP/1.1 200 OK\ncontent-length: %d\n\n%b" % (len(BODY), BODY),
    "no reason phrase": b"HTTP/1.1 200\r\n" + WHOLE,
    "an empty reason phrase": b"HTTP/1.1 200 \r\n" + WHOLE,
    "a reason phrase in Korean": "HTTP/1.1 200 좋아요\r\n".encode() + WHOLE,
    "a control character in the reason phrase": b"HTTP/1.1 200 O\x01K\r\n" + WHOLE,
    "HTTP/1.0 with a length": b"HTTP/1.0 200 OK\r\n" + WHOLE,
    "HTTP/1.0 until the connection closes": b"HTTP/1.0 200 OK\r\n" + REST,
    "HTTP/2.0 in a status line": b"HTTP/2.0 200 OK\r\n" + WHOLE,
    "empty lines before the response": b"\r\n\r\n" + HEAD + WHOLE,
    "100 Continue first": b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + WHOLE,
    "103 Early Hints first": b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" + HEAD + WHOLE,
    "100 with a length first": b"HTTP/1.1 100 Continue\r\ncontent-length: 3\r\n\r\n" + HEAD + WHOLE,
    "twenty times 102 Processing first": b"HTTP/1.1 102 Processing\r\n\r\n" * 20 + HEAD + WHOLE,
    "no length, until the connection closes": HEAD + REST,
    "a length with leading zeros": HEAD + b"content-length: 000%d\r\n" % len(BODY) + REST,
    "a length between spaces": HEAD + b"content-length:   %d  \r\n" % len(BODY) + REST,
    "a header in UTF-8": HEAD + "x-policy: 통과\r\n".encode() + WHOLE,
    "a header in Latin-1": HEAD + b"x-policy: caf\xe9\r\n" + WHOLE,
    "a control character in a header": HEAD + b"set-cookie: a=\x01b\r\n" + WHOLE,
    "a tab in a header": HEAD + b"x-policy: a\tb\r\n" + WHOLE,
    "an empty header": HEAD + b"x-policy:\r\n" + WHOLE,
    "a folded header": HEAD + b"x-policy: a\r\n  b\r\n" + WHOLE,
    "a header line of 9,000 bytes": HEAD + b"x-policy: " + b"a" * 9_000 + b"\r\n" + WHOLE,
    "a header line of 64 KB": HEAD + b"x-policy: " + b"a" * 65_500 + b"\r\n" + WHOLE,
    "500 headers": HEAD + b"".join(b"x-%d: y\r\n" % index for index in range(500)) + WHOLE,
    "twenty cookies": HEAD + b"".join(b"set-cookie: a%d=b\r\n" % index for index in range(20)) + WHOLE,
    "connection: close": HEAD + b"connection: close\r\n" + WHOLE,
    "an offer to upgrade": HEAD + b"connection: upgrade\r\nupgrade: h2c\r\n" + WHOLE,
    "two chunks": chunks(BODY[:7], BODY[7:]),
    "a chunk a byte": chunks(*(bytes((byte,)) for byte in BODY)),
    "chunked in capitals": (HEAD + b"Transfer-Encoding: Chunked\r\n\r\n") + chunks(BODY).partition(b"\r\n\r\n")[2],
    "a chunk size with zeros": chunk_line(b"00000" + SIZE),
    "a chunk size in capitals": chunk_line(SIZE.upper()),
    "a chunk extension": chunk_line(SIZE + b";name=value"),
    "a quoted chunk extension": chunk_line(SIZE + b';name="a;b"'),
    "spaces behind a chunk size": chunk_line(SIZE + b"  "),
    "trailers": chunks(BODY, end=b"0\r\nx-a: b\r\nx-c: d\r\n\r\n"),
    "another answer behind the answer": (HEAD + WHOLE) * 2,
}  # fmt: skip

BROKEN = {
    "nothing": b"",
    "half a status line": b"HTTP/1.1 20",
    "half a head": HEAD + b"x-policy: a\r\n",
    "HTTP/0.9": BODY,
    "SSH": b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    "SMTP": b"220 mail.example ESMTP\r\n",
    "a TLS alert": b"\x15\x03\x01\x00\x02\x02\x46",
    "settings of HTTP/2": b"\x00\x00\x12\x04" + b"\0" * 23,
    "zeros": b"\0" * 100,
    "a byte order mark": b"\xef\xbb\xbf" + HEAD + WHOLE,
    "a line of noise first": b"noise\r\n" + HEAD + WHOLE,
    "ICY": b"ICY 200 OK\r\n" + WHOLE,
    "http in small letters": b"http/1.1 200 OK\r\n" + WHOLE,
    "HTTP/2 without a minor version": b"HTTP/2 200 OK\r\n" + WHOLE,
    "HTTP/1.2": b"HTTP/1.2 200 OK\r\n" + WHOLE,
    "two spaces in the status line": b"HTTP/1.1  200 OK\r\n" + WHOLE,
    "tabs in the status line": b"HTTP/1.1\t200\tOK\r\n" + WHOLE,
    "NUL in the reason phrase": b"HTTP/1.1 200 O\0K\r\n" + WHOLE,
    "status 000": b"HTTP/1.1 000 OK\r\n" + WHOLE,
    "status 099": b"HTTP/1.1 099 OK\r\n" + WHOLE,
    "status 600": b"HTTP/1.1 600 OK\r\n" + WHOLE,
    "status 999": b"HTTP/1.1 999 OK\r\n" + WHOLE,
    "status 20": b"HTTP/1.1 20 OK\r\n" + WHOLE,
    "status 2000": b"HTTP/1.1 2000 OK\r\n" + WHOLE,
    "status -20": b"HTTP/1.1 -20 OK\r\n" + WHOLE,
    "a status in words": b"HTTP/1.1 okay OK\r\n" + WHOLE,
    "101 that was not asked for": b"HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n" + BODY,
    "a storm of 102": b"HTTP/1.1 102 Processing\r\n\r\n" * 500 + HEAD + WHOLE,
    "a line without a colon": HEAD + b"this is no header\r\n" + WHOLE,
    "a line without a colon in a 502": b"HTTP/1.1 502 Bad Gateway\r\nthis is no header\r\ncontent-length: 2\r\n\r\nno",
    "a header without a name": HEAD + b": a\r\n" + WHOLE,
    "a space in a name": HEAD + b"x policy: a\r\n" + WHOLE,
    "a space before the colon": HEAD + b"x-policy : a\r\n" + WHOLE,
    "a name in Korean": HEAD + "통과: a\r\n".encode() + WHOLE,
    "NUL in a name": HEAD + b"x\0y: a\r\n" + WHOLE,
    "NUL in a header": HEAD + b"x-policy: a\0b\r\n" + WHOLE,
    "CR alone in a header": HEAD + b"x-policy: a\rb\r\n" + WHOLE,
    "a folded line first": HEAD + b"  a\r\n" + WHOLE,
    "a header line of 200 KB": HEAD + b"x-policy: " + b"a" * 200_000 + b"\r\n" + WHOLE,
    "5,000 headers": HEAD + b"".join(b"x-%d: y\r\n" % index for index in range(5_000)) + WHOLE,
    "the same length twice": HEAD + LENGTH + WHOLE,
    "a list of lengths": HEAD + b"content-length: %d, %d\r\n" % (len(BODY), len(BODY)) + REST,
    "two lengths": HEAD + b"content-length: 5\r\n" + WHOLE,
    "a negative length": HEAD + b"content-length: -5\r\n" + REST,
    "a length with a plus": HEAD + b"content-length: +%d\r\n" % len(BODY) + REST,
    "a length in hexadecimal": HEAD + b"content-length: 0x80\r\n" + REST,
    "an empty length": HEAD + b"content-length:\r\n" + REST,
    "a length in words": HEAD + b"content-length: all\r\n" + REST,
    "a length beyond all numbers": HEAD + b"content-length: 99999999999999999999999\r\n" + REST,
    "a length with an underscore": HEAD + b"content-length: 1_0\r\n" + REST,
    "a body shorter than its length": HEAD + b"content-length: 9999\r\n" + REST,
    "a body longer than its length": HEAD + b"content-length: 5\r\n" + REST,
    "a length, and chunked": HEAD + LENGTH + CHUNKED + chunks(BODY).partition(CHUNKED)[2],
    "chunked, and a length": HEAD + CHUNKED + LENGTH + chunks(BODY).partition(CHUNKED)[2],
    "an unknown framing": HEAD + b"transfer-encoding: sliced\r\n" + REST,
    "gzip and chunked framing": HEAD + b"transfer-encoding: gzip, chunked" + chunks(BODY).partition(b"chunked")[2],
    "chunked framing twice": HEAD + CHUNKED + CHUNKED + chunks(BODY).partition(CHUNKED)[2],
    "a chunk size in words": chunk_line(b"zz"),
    "a negative chunk size": chunk_line(b"-8"),
    "a chunk size with 0x": chunk_line(b"0x" + SIZE),
    "an empty chunk size": chunk_line(b""),
    "a chunk size beyond all numbers": chunk_line(b"f" * 20),
    "a space before a chunk size": chunk_line(b" " + SIZE),
    "noise for a chunk extension": chunk_line(SIZE + b";\x01\xff"),
    "a chunk line that ends with LF alone": HEAD + CHUNKED + b"\r\n" + SIZE + b"\n" + BODY + b"\r\n0\r\n\r\n",
    "a chunk without an end": HEAD + CHUNKED + b"\r\n" + SIZE + b"\r\n" + BODY + b"0\r\n\r\n",
    "a chunk longer than its size": HEAD + CHUNKED + b"\r\n5\r\n" + BODY + b"\r\n0\r\n\r\n",
    "no last chunk": chunks(BODY, end=b""),
    "half a last chunk": chunks(BODY, end=b"0\r\n"),
    "noise for trailers": chunks(BODY, end=b"0\r\nthis is no trailer\r\n\r\n"),
    "noise behind the answer": HEAD + WHOLE + b"noise",
}  # fmt: skip

UNREADABLE = {
    "gzip that is none": HEAD + b"content-encoding: gzip\r\n" + WHOLE,
    "deflate that is none": HEAD + b"content-encoding: deflate\r\n" + WHOLE,
    "a coding that does not exist": HEAD + b"content-encoding: sliced\r\n" + WHOLE,
}
CASES = [
    *((name, data, None) for name, data in SOUND.items()),
    *((name, data, Kind.TRANSPORT) for name, data in BROKEN.items()),
    *((name, data, Kind.SERVER) for name, data in UNREADABLE.items()),
]


@pytest.fixture(scope="module")
def server() -> Generator[RawServer]:
    """Answers with the case that the request's path names, and closes."""

    def answer(request: RawRequest) -> list[Step]:
        index, _, _ = request.path.lstrip("/").partition("/")
        return [CASES[int(index)][1], "close"]

    with raw_server(answer) as running:
        yield running


def outcome(pool: Pool, mode: str) -> str | Kind:
    """The text of a whole answer, or the kind of the only attempt's failure."""

    async def call() -> str:
        async with pool:
            return (await pool.achat("hello")).text

    try:
        if mode != "threads":
            return anyio.run(call, backend=mode)
        with pool:
            return pool.chat("hello").text
    except AllTargetsFailed as error:
        return error.attempts[0].kind


@pytest.mark.parametrize("mode", ["threads", "asyncio", "trio"])
@pytest.mark.parametrize("index", range(len(CASES)), ids=[case[0] for case in CASES])
def test_a_broken_answer_is_the_connections_fault_everywhere(server: RawServer, index: int, mode: str) -> None:
    """The same kind, or the same answer, in threads, asyncio and trio; never INVALID, which would be the caller's fault."""
    target = Target("openai/gpt-4.1", base_url=f"{server.url}/{index}/v1", api_key="test-1")
    pool = Pool(
        [target], max_attempts=1, completion="wait", when_all_down="fail", retry_same_target="never", deadline=30
    )
    assert outcome(pool, mode) == (CASES[index][2] or "fine")


@pytest.mark.parametrize("mode", ["threads", "asyncio", "trio"])
@pytest.mark.parametrize("name", ["a TLS alert", "status 999", "a chunk size in words", "the same length twice"])
def test_a_call_moves_on_from_a_broken_answer(server: RawServer, name: str, mode: str) -> None:
    """The next target answers."""
    broken, sound = (next(i for i, case in enumerate(CASES) if case[0] == wanted) for wanted in (name, "plain"))
    targets = [
        Target("openai/gpt-4.1", name=str(i), base_url=f"{server.url}/{i}/v1", api_key=f"test-{i}")
        for i in (broken, sound)
    ]
    assert outcome(Pool(targets, completion="wait", deadline=30), mode) == "fine"
