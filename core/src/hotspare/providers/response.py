"""What comes back over HTTP, read through a wire: whole bodies and streams, also where one comes for the other.

Knows no I/O: it is fed bytes. Every error it raises carries the answer's headers.
"""

import json
from collections.abc import Iterator, Mapping

from hotspare._engine.folding import chunks_of, reply_of
from hotspare.errors import BackendError, BodyTooLarge, EmptyAnswer, MalformedAnswer, StatusError
from hotspare.messages import IDLE, ChatChunk, ChatReply, ChatRequest
from hotspare.providers.base import Wire
from hotspare.providers.json_access import as_list, as_map, is_map
from hotspare.providers.sse import SSEDecoder

ERROR_BODY = 64 * 1024
"""Bytes of an error's body that are kept."""
MAX_BODY = 64 * 1024 * 1024
"""Bytes of a whole answer: far beyond the largest output of any model, image and audio included."""
_BOM = b"\xef\xbb\xbf"


def raise_status(status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Raises StatusError unless the status is a success."""
    if not 200 <= status < 300:
        raise StatusError(f"HTTP {status}", status=status, headers=headers, body=body)


def read_whole(wire: Wire, request: ChatRequest, status: int, headers: Mapping[str, str], body: bytes) -> ChatReply:
    """A whole answer, also where an event stream came for it.

    Raises StatusError, MalformedAnswer, EmptyAnswer, IncompleteAnswer or InBandError.
    """
    raise_status(status, headers, body)
    try:
        start = body[:256].removeprefix(_BOM).lstrip()
        if start.startswith((b"data:", b"event:", b":")):
            events = Events(wire, request)
            return reply_of([chunk for chunk in (*events.feed(body), *events.end()) if chunk is not IDLE])
        return wire.read(_json(body), request)
    except BackendError as error:
        error.headers = error.headers or headers
        raise


def _json(body: bytes) -> dict[str, object]:
    text = body.removeprefix(_BOM)
    if not text.strip():  # DeepSeek keeps a queued connection alive with empty lines, and sometimes nothing follows
        raise EmptyAnswer("a success without a body")
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        raise MalformedAnswer("the answer is no JSON", body=body) from None
    wrapped = as_list(value)
    if len(wrapped) == 1:  # Gemini wraps an error so when it is not asked for SSE
        value = wrapped[0]
    if not is_map(value):
        raise MalformedAnswer("the answer is no JSON object", body=body)
    return as_map(value)


class Events:
    """An event stream on its way through a wire's reader."""

    def __init__(self, wire: Wire, request: ChatRequest) -> None:
        self._decoder = SSEDecoder()
        self._reader = wire.reader(request)
        self.done = False
        """Whether the wire's last event came: nothing of the answer follows, though the connection may stay open."""

    def feed(self, data: bytes) -> Iterator[ChatChunk]:
        """What these bytes bring: chunks of content, or IDLE when there are none."""
        return self._take(self._decoder.feed(data))

    def _take(self, events: list[tuple[str, str]]) -> Iterator[ChatChunk]:
        progress = False
        for name, data in events:
            chunk = self._reader.event(name, data)
            if chunk is not None:
                progress = True
                yield chunk
            if data == "[DONE]" or name == "message_stop":
                self.done = True
        if not progress:
            yield IDLE

    def end(self) -> Iterator[ChatChunk]:
        """The last chunk; raises what the reader's `finish` raises."""
        for chunk in self._take(self._decoder.flush()):
            if chunk is not IDLE:
                yield chunk
        yield self._reader.finish()


class Incoming:
    """The answer to a streaming request. Some relays answer it with a plain JSON body, or with HTML."""

    def __init__(self, wire: Wire, request: ChatRequest, status: int, headers: Mapping[str, str]) -> None:
        self._wire = wire
        self._request = request
        self._status = status
        self._headers = headers
        self._events: Events | None = None
        self._body: list[bytes] = []
        self._size = 0
        self._failed = self._whole = not 200 <= status < 300

    @property
    def done(self) -> bool:
        """Whether nothing more has to be read."""
        return self._events is not None and self._events.done

    def feed(self, data: bytes) -> Iterator[ChatChunk]:
        """What these bytes bring, chunk by chunk; an error after some content is raised behind that content."""
        try:
            if self._events is not None:
                yield from self._events.feed(data)
                return
            yield from self._first(data)
        except BackendError as error:
            error.headers = error.headers or self._headers
            raise

    def _first(self, data: bytes) -> Iterator[ChatChunk]:
        """Until it is clear whether this is a stream: by what it looks like, for relays mislabel both."""
        self._body.append(data)
        self._size += len(data)
        limit = ERROR_BODY if self._failed else MAX_BODY
        if self._size > limit:
            if self._failed:
                raise_status(self._status, self._headers, b"".join(self._body))
            raise BodyTooLarge(f"the answer is longer than {limit} bytes")
        if not self._whole:
            so_far = b"".join(self._body)
            start = so_far.removeprefix(_BOM).lstrip()
            self._whole = start.startswith((b"{", b"[", b"<"))
            if start and not self._whole and not _BOM.startswith(start):
                self._events = Events(self._wire, self._request)
                yield from self._events.feed(so_far)
                return
        yield IDLE

    def end(self) -> Iterator[ChatChunk]:
        """The end of the body: the last chunk, or all of an answer that came whole."""
        try:
            if self._events is not None:
                yield from self._events.end()
                return
            body = b"".join(self._body)
            yield from chunks_of(read_whole(self._wire, self._request, self._status, self._headers, body))
        except BackendError as error:
            error.headers = error.headers or self._headers
            raise
