"""Server-sent events, decoded incrementally (WHATWG HTML, 9.2.6 "Interpreting an event stream")."""

from hotspare.errors import BodyTooLarge

MAX_EVENT = 16 * 1024 * 1024
"""Maximum bytes of one event. The largest real ones hold an image in base64, far below 16 MiB."""
_BOM = b"\xef\xbb\xbf"


class SSEDecoder:
    """Decodes bytes into events; the bytes may be split anywhere.

    An event is ``(name, data)``; without an `event:` line its name is `message`. `id` and `retry` are ignored: they are
    for reconnecting, which chat APIs do not support.
    """

    __slots__ = ("_cr", "_data", "_limit", "_line", "_name", "_size", "_started")

    def __init__(self, limit: int = MAX_EVENT) -> None:
        self._limit = limit
        self._line: list[bytes] = []  # pieces of a line that has not ended
        self._data: list[bytes] = []
        self._name = b""
        self._size = 0  # bytes kept for the event that is being read
        self._cr = False  # the last line ended with CR: an LF that follows belongs to it
        self._started = False

    def feed(self, chunk: bytes) -> list[tuple[str, str]]:
        """The events that these bytes complete, in order. Comments and partial events give none.

        Raises BodyTooLarge if one event is longer than the limit.
        """
        if not (self._size or self._name or self._cr) and len(chunk) <= self._limit:
            events = _plain_events(chunk)
            if events:
                self._started = True
                return events
        if self._cr and chunk:
            self._cr = False
            chunk = chunk.removeprefix(b"\n")
        if b"\r" in chunk:
            self._cr = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        self._size += len(chunk)
        if b"\n" not in chunk:
            self._line.append(chunk)
            self._check()
            return []
        lines = (b"".join(self._line) + chunk).split(b"\n")
        self._line = [lines.pop()]
        if not self._started:
            self._started = True
            lines[0] = lines[0].removeprefix(_BOM)
        return self._read(lines)

    def flush(self) -> list[tuple[str, str]]:
        """The event that the end of the stream completes.

        The standard discards it, but some servers end with `data: [DONE]` and no blank line. A truncated JSON event
        does not parse, so that it cannot be taken for a complete one.
        """
        rest = b"".join(self._line).removeprefix(b"" if self._started else _BOM)
        self._line = []
        return self._read([rest, b""] if rest else [b""])

    def _read(self, lines: list[bytes]) -> list[tuple[str, str]]:
        events: list[tuple[str, str]] = []
        data = self._data
        for line in lines:
            if line.startswith(b"data: "):
                data.append(line[6:])
            elif not line:
                if data:
                    text = b"\n".join(data).decode("utf-8", "replace")
                    events.append((self._name.decode("utf-8", "replace") or "message", text))
                    data.clear()
                self._name = b""
            else:
                self._field(line)
        if events or not data:
            self._size = sum(map(len, data)) + len(self._line[0] if self._line else b"")
        self._check()
        return events

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
        elif name == b"event":
            self._name = value

    def _check(self) -> None:
        if self._size > self._limit:
            raise BodyTooLarge(f"one event of the stream is longer than {self._limit} bytes")


def _plain_events(chunk: bytes) -> list[tuple[str, str]]:
    """The events of these bytes if each is complete and has one line of data, as nearly always; else none.

    A fast path with the same result as the general parser.
    """
    if not chunk.endswith(b"\n\n") or b"\r" in chunk:
        return []
    if chunk.startswith(b"event: "):
        return _named_event(chunk)
    if not chunk.startswith(b"data: "):
        return []
    text = chunk[6:-2].decode("utf-8", "replace")
    if "\n" not in text:
        return [("message", text)]
    lines = text.split("\n\ndata: ")
    return [("message", line) for line in lines] if text.count("\n") == 2 * len(lines) - 2 else []


def _named_event(chunk: bytes) -> list[tuple[str, str]]:
    """The one event of these bytes, if it is a name and one line of data (Anthropic, Responses); else an empty list."""
    name, _, data = chunk[7:-2].decode("utf-8", "replace").partition("\ndata: ")
    return [(name or "message", data)] if data and "\n" not in name and "\n" not in data else []
