"""HTTP/1.1 without I/O: formats requests and parses responses (RFC 9112).

The transports of threads, asyncio and trio share it, so that they reject the same responses. It accepts what aiohttp's parser accepts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping

from hotspare.errors import TransportError

MAX_LINE = 100_000
"""Most bytes in one line of a head. Common servers and proxies allow at most 64 KB."""
MAX_FIELDS = 1_000
"""Most header lines of one response."""
MAX_INFORMATIONAL = 100
"""Most 1xx responses before the final one. A server may send one every few seconds while it processes a request."""

_STATUS_LINE = re.compile(rb"HTTP/(1\.[01]|2\.0) ([0-9]{3})(?: [^\0\r]*)?")
_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_NAME = re.compile(_TOKEN)
_FIELD = re.compile(rb"(%b):([^\0\r]*)" % _TOKEN)
_HEAD = re.compile(rb"HTTP/1\.([01]) ([2-5][0-9][0-9])(?: [^\0\r\n]*)?\r\n((?:%b:[^\0\r\n]*\r\n)+)\r\n" % _TOKEN)
_LINES = re.compile(r"([^:]+):[ \t]*([^\r]*)\r\n")
_CHUNK = re.compile(rb"([0-9A-Fa-f]+)[ \t]*(?:;%b(?:=(?:%b|\"(?:[^\"\\\0\r]|\\.)*\"))?)*" % (_TOKEN, _TOKEN))
_ENDS = re.compile(rb"[\0\r]")
_SIZE = re.compile(rb"[0-9A-Fa-f]+")
_LENGTH = re.compile("[0-9]{1,1000}")
_MAX_LENGTH = 2**63 - 1

Fields = list[tuple[str, str]]


def request_bytes(method: str, target: str, host: str, headers: Collection[tuple[str, str]], body: bytes) -> bytes:
    """A request with its body. Raises ValueError for a header with a line break or NUL."""
    return written_request(method, target, host, header_lines(headers), body)


def header_lines(headers: Iterable[tuple[str, str]]) -> str:
    """Header fields as they are sent. Raises ValueError for one with a line break or NUL."""
    lines: list[str] = []
    for name, value in headers:
        if "\n" in value or "\r" in value or "\0" in value:
            raise ValueError(f"the header {name!r} has a line break or NUL in it")
        lines.append(f"{name}: {value}\r\n")
    return "".join(lines)


def written_request(method: str, target: str, host: str, lines: str, body: bytes) -> bytes:
    """A request with its body. `lines`: its header fields, as `header_lines` returns them."""
    head = f"{method} {target} HTTP/1.1\r\nhost: {host}\r\n{lines}content-length: {len(body)}\r\n\r\n"
    return head.encode("utf-8") + body


def headers_of(fields: Fields) -> dict[str, str]:
    """Header fields by lower-case name; the values of a repeated one are joined by commas."""
    headers = {name.lower(): value.rstrip(" \t") for name, value in fields}
    if len(headers) == len(fields):  # nearly always: none is repeated
        return headers
    headers.clear()
    for raw_name, raw_value in fields:
        name, value = raw_name.lower(), raw_value.rstrip(" \t")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def check_head(status: int, headers: Mapping[str, str], reason: str = "") -> None:
    """Checks that parsers may omit. Raises TransportError for an invalid status, an unknown framing, and NUL."""
    if "\0" in reason:
        raise TransportError("broken HTTP: NUL in the status line")
    if not 200 <= status <= 599:
        raise TransportError(f"broken HTTP: {status} is not a final status")
    framing = headers.get("transfer-encoding")
    if framing is not None and framing.lower() != "chunked":
        raise TransportError(f"broken HTTP: transfer-encoding {framing[:40]!r}")


class ResponseReader:
    """Parses one response, however its bytes are split into reads.

    `feed` takes the bytes of one read, b"" at the end of the connection, and returns the part of them that belongs to the body, before
    content decoding. Raises TransportError for data that is not valid HTTP. `tunnel`: the response is one to CONNECT, which has no
    body if it is a 2xx.
    """

    __slots__ = ("__weakref__", "_fields", "_informational", "_keep_alive", "_left", "_rest", "_state", "_tunnel", "ended",
                 "has_head", "headers", "started", "status")  # fmt: skip

    def __init__(self, *, tunnel: bool = False) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.started = False
        """Whether a byte was received."""
        self.has_head = False
        self.ended = False
        self._tunnel = tunnel
        self._rest = bytearray()
        self._fields: Fields = []
        self._informational = 0
        self._keep_alive = True
        self._left = 0
        self._state: _Step = ResponseReader._status_line  # a bound method would be a reference cycle

    @property
    def reusable(self) -> bool:
        """Whether the connection can carry another request: the response has ended, and no bytes follow it."""
        return self.ended and self._keep_alive and not self._rest

    def feed(self, data: bytes) -> bytes:
        """The body's bytes in `data`. Raises TransportError."""
        if not data:
            self._end_of_connection()
            return b""
        with_head, is_first, self.started = not self.has_head, not self.started, True
        parts: list[bytes] = []
        if is_first:
            data = self._plain_head(data)
        if not self._rest:
            data = self._plain_body(data, parts)
        if data:
            self._rest += data
            while not self.ended and self._state(self, parts):
                pass
            if self.ended and with_head and self._rest and not b"HTTP/".startswith(bytes(self._rest[:5])):
                raise TransportError(
                    "broken HTTP: bytes after the end of the response"
                )  # aiohttp's parser rejects it too
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _end_of_connection(self) -> None:
        if self._state is ResponseReader._until_close:
            self.ended = True
            return
        if not self.ended:
            where = "in the body" if self.has_head else "in the head" if self.started else "before the response"
            raise TransportError(f"the connection was closed {where}")

    # --- fast paths for the usual case, a head or chunks received in one piece: same result as the states below ---------------

    def _plain_head(self, data: bytes) -> bytes:
        """Parse the head in one step. Returns what follows it; all of the data if it has to be parsed line by line."""
        end = data.find(b"\r\n\r\n")
        found = _HEAD.match(data) if 0 < end <= MAX_LINE else None
        if found is None or found.end() != end + 4:
            return data
        fields: Fields = _LINES.findall(found[3].decode("utf-8", "replace"))
        if len(fields) > MAX_FIELDS:
            return data
        self.status, self._keep_alive = int(found[2]), found[1] == b"1"
        self._begin_body(headers_of(fields))
        return data[end + 4 :]

    def _plain_body(self, data: bytes, parts: list[bytes]) -> bytes:
        """Move complete chunks, or bytes of a body whose length is known, to `parts`. Returns what follows them."""
        if self._state is ResponseReader._chunk_size:
            return data[_take_chunks(data, parts) :]
        if self._state is ResponseReader._sized and 0 < len(data) <= self._left:
            parts.append(data)
            self._left -= len(data)
            self.ended = self._left == 0
            return b""
        return data

    # --- lines ---------------------------------------------------------------------------------------------------

    def _line(self) -> bytes | None:
        """The next line without its end; None until it is complete."""
        end = self._rest.find(b"\n")
        if end < 0:
            if len(self._rest) > MAX_LINE:
                raise TransportError(f"broken HTTP: a header line is longer than {MAX_LINE} bytes")
            return None
        line = bytes(self._rest[:end])
        del self._rest[: end + 1]
        return line

    def _status_line(self, parts: list[bytes]) -> bool:
        if (
            self._rest
            and not b"HTTP/".startswith(bytes(self._rest[:5]))
            and bytes(self._rest[:1]) not in (b"\r", b"\n")
        ):
            raise TransportError(f"broken HTTP: the response begins with {bytes(self._rest[:20])!r}")
        line = self._line()
        if line is None:
            return False
        line = line.removesuffix(b"\r")
        if not line:  # empty lines before a response are skipped
            return True
        found = _STATUS_LINE.fullmatch(line)
        if found is None:
            raise TransportError(f"broken HTTP: status line {line[:60]!r}")
        self.status = int(found[2])
        self._keep_alive = found[1] != b"1.0"
        self._state = ResponseReader._field
        return True

    def _field(self, parts: list[bytes]) -> bool:
        line = self._line()
        if line is None:
            return False
        line = line.removesuffix(b"\r")
        if not line:
            self._end_of_head()
            return True
        found = _FIELD.fullmatch(line)
        is_folded = found is None and line[:1] in (b" ", b"\t") and self._fields and not _ENDS.search(line)
        if not (found or is_folded) or len(self._fields) >= MAX_FIELDS or len(line) > MAX_LINE:
            raise TransportError(f"broken HTTP: header line {line[:60]!r}")
        text = (found[2] if found else line).strip(b" \t").decode("utf-8", "replace")
        if found:
            self._fields.append((found[1].decode("ascii"), text))
        else:
            name, value = self._fields.pop()
            self._fields.append((name, f"{value} {text}"))
        return True

    # --- framing -------------------------------------------------------------------------------------------------

    def _end_of_head(self) -> None:
        if 100 <= self.status < 200 and self.status != 101:
            self._informational += 1
            if self._informational > MAX_INFORMATIONAL:
                raise TransportError(f"broken HTTP: more than {MAX_INFORMATIONAL} responses with a status 1xx")
            self._fields.clear()
            self._state = ResponseReader._status_line
            return
        self._begin_body(headers_of(self._fields))

    def _begin_body(self, headers: dict[str, str]) -> None:
        """Decide from the head how the end of the body is found. Raises TransportError."""
        self.headers = headers
        check_head(self.status, headers)
        if "connection" in headers:
            options = headers["connection"].lower()
            self._keep_alive = "close" not in options if self._keep_alive else "keep-alive" in options
        self.has_head = True
        if self._tunnel and self.status < 300:
            self.ended = True
            return
        self._state = self._frame(headers.get("content-length"), chunked="transfer-encoding" in headers)

    def _frame(self, length: str | None, *, chunked: bool) -> _Step:
        if length is not None and (chunked or not _LENGTH.fullmatch(length)):
            raise TransportError("broken HTTP: the length of the body is given twice, or is not a number")
        if self.status in (204, 304):
            self.ended = True
        elif chunked:
            return ResponseReader._chunk_size
        elif length is not None:
            self._left = int(length)
            if self._left > _MAX_LENGTH:
                raise TransportError("broken HTTP: the length of the body is out of range")
            self.ended = self._left == 0
            return ResponseReader._sized
        else:
            self._keep_alive = False
        return ResponseReader._until_close

    def _take(self, parts: list[bytes]) -> bool:
        """Move bytes of the body from the buffer to `parts`, at most the rest of its length."""
        if not self._rest:
            return False
        if len(self._rest) <= self._left:
            part = bytes(self._rest)
            self._rest.clear()
        else:
            part = bytes(self._rest[: self._left])
            del self._rest[: self._left]
        self._left -= len(part)
        parts.append(part)
        return True

    def _sized(self, parts: list[bytes]) -> bool:
        took = self._take(parts)
        self.ended = self._left == 0
        return took

    def _until_close(self, parts: list[bytes]) -> bool:
        self._left = len(self._rest)
        return self._take(parts)

    def _chunk_size(self, parts: list[bytes]) -> bool:
        taken = _take_chunks(self._rest, parts)
        if taken:
            del self._rest[:taken]
            return True
        line = self._line()
        if line is None:
            return False
        found = _CHUNK.fullmatch(line[:-1]) if line.endswith(b"\r") else None
        if found is None or int(found[1], 16) > _MAX_LENGTH:
            raise TransportError(f"broken HTTP: chunk size {line[:40]!r}")
        self._left = int(found[1], 16)
        self._state = ResponseReader._chunk if self._left else ResponseReader._trailer
        return True

    def _chunk(self, parts: list[bytes]) -> bool:
        took = self._take(parts)
        if self._left == 0:
            self._state = ResponseReader._chunk_end
            return True
        return took

    def _chunk_end(self, parts: list[bytes]) -> bool:
        if not b"\r\n".startswith(bytes(self._rest[:2])):
            raise TransportError("broken HTTP: a chunk is longer than its size")
        if len(self._rest) < 2:
            return False
        del self._rest[:2]
        self._state = ResponseReader._chunk_size
        return True

    def _trailer(self, parts: list[bytes]) -> bool:
        line = self._line()
        if line is None:
            return False
        line = line.removesuffix(b"\r")
        if not line:
            self.ended = True
        else:
            name, colon, _ = line.partition(b":")
            self._fields.append(("", ""))
            if not colon or not _NAME.fullmatch(name) or len(self._fields) > 2 * MAX_FIELDS:
                raise TransportError(f"broken HTTP: trailer {line[:60]!r}")
        return True


def _take_chunks(data: bytes | bytearray, parts: list[bytes]) -> int:
    """Move the complete chunks at the beginning of these bytes to `parts`. Returns the number of bytes moved.

    A fast path: same result as the states above, in a third of the time. It stops at a chunk with an extension, which event streams
    do not use.
    """
    start = 0
    while True:
        end = data.find(b"\r\n", start, start + 10)
        if end < 0 or not _SIZE.fullmatch(data, start, end):
            return start
        stop = end + 2 + int(data[start:end], 16)
        if stop == end + 2 or data[stop : stop + 2] != b"\r\n":
            return start
        parts.append(bytes(data[end + 2 : stop]))
        start = stop + 2


_Step = Callable[[ResponseReader, list[bytes]], bool]
"""A state of the reader: moves bytes of the body to the list, and returns whether it made progress."""
