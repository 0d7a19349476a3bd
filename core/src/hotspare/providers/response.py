"""HTTP response -> ChatReply or ChatChunks: whole bodies and streams, even if a server sends one in place of the other.

No I/O: the parsers are fed bytes. Every error that they raise carries the response's headers.
"""

import json
import time
from collections.abc import Iterator, Mapping
from typing import cast

from hotspare._engine.folding import chunks_of, reply_of
from hotspare._values import changed
from hotspare.errors import BackendError, BodyTooLarge, EmptyAnswer, MalformedAnswer, StatusError
from hotspare.messages import IDLE, ChatChunk, ChatReply, ChatRequest
from hotspare.outcome import RateLimit
from hotspare.providers.base import Wire
from hotspare.providers.json_access import as_list, as_map, is_map, loads
from hotspare.providers.sse import SSEDecoder
from hotspare.providers.surrogates import SurrogateJoiner, joined_reply

ERROR_BODY = 64 * 1024
"""Maximum bytes of an error's body that are kept."""
MAX_BODY = 64 * 1024 * 1024
"""Maximum bytes of a whole answer: far more than the largest output of any model, images and audio included."""
_BOM = b"\xef\xbb\xbf"


def raise_for_status(status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Raise StatusError unless the status is a success."""
    if not 200 <= status < 300:
        raise StatusError(f"HTTP {status}", status=status, headers=headers, body=body)


def read_response(wire: Wire, request: ChatRequest, status: int, headers: Mapping[str, str], body: bytes) -> ChatReply:
    """A whole answer; the body may be an event stream instead of JSON.

    Raises StatusError, MalformedAnswer, EmptyAnswer, IncompleteAnswer or InBandError.
    """
    raise_for_status(status, headers, body)
    try:
        if body[:1] != b"{" and body[:256].removeprefix(_BOM).lstrip().startswith((b"data:", b"event:", b":")):
            events = EventParser(wire, request, headers)
            return reply_of([chunk for chunk in (*events.feed(body), *events.feed(None)) if chunk is not IDLE])
        reply = joined_reply(wire.read(_json(body), request))
        limits = _limits(headers)
        return changed(reply, limits=limits) if limits else reply
    except BackendError as error:
        error.headers = error.headers or headers
        raise


def _limits(headers: Mapping[str, str]) -> tuple[RateLimit, ...]:
    """The provider's limits as stated in the headers; usually none."""
    if "ratelimit" not in " ".join(headers):
        return ()
    from hotspare._classify.rate_limits import rate_limits

    return rate_limits(headers, time.time())


def _is_utf8(text: bytes) -> bool:
    """Whether this JSON object is in UTF-8, as RFC 8259 requires, judged by its beginning."""
    return text[:1] == b"{" and text[1:2] != b"\0"


def _json(body: bytes) -> dict[str, object]:
    text = body.removeprefix(_BOM)
    if (
        not text or text.isspace()
    ):  # DeepSeek keeps a queued connection alive with empty lines, and sometimes nothing follows
        raise EmptyAnswer("the response has no body")
    try:
        value: object = loads(text.decode("utf-8", "surrogatepass")) if _is_utf8(text) else json.loads(text)
    except (ValueError, RecursionError):
        raise MalformedAnswer("the response is not JSON", body=body) from None
    if is_map(value):
        return cast("dict[str, object]", value)
    items = as_list(value)
    if len(items) == 1:  # Gemini sends an error as a list of one if the request was not for SSE
        value = items[0]
    if not is_map(value):
        raise MalformedAnswer("the response is not a JSON object", body=body)
    return as_map(value)


class EventParser:
    """Bytes of an event stream -> chunks, by a wire's reader. `headers`: the response's, which its errors carry."""

    def __init__(self, wire: Wire, request: ChatRequest, headers: Mapping[str, str]) -> None:
        self._headers = headers
        self._decoder = SSEDecoder()
        self._reader = wire.reader(request)
        self._surrogates = SurrogateJoiner()
        self.done = False
        """Whether the last event has arrived. The connection may stay open after it."""

    def feed(self, received: bytes | None) -> Iterator[ChatChunk]:
        """The chunks that these bytes complete; IDLE if there are none. None stands for the end of the body, and gives the last chunk.

        After the finish reason, each event but the last gives a chunk with `finishing` and the usage so far, because the answer is
        complete then. An error, also one of the reader's `finish`, is raised after the content that came before it.
        """
        progress = False
        reader, surrogates = self._reader, self._surrogates
        try:
            for name, data in self._decoder.flush() if received is None else self._decoder.feed(received):
                chunk = reader.event(name, data)
                if chunk is not None and (surrogates.held or "\\u" in data):
                    chunk = surrogates.feed(chunk)
                    chunk = chunk if chunk.is_content else None
                if chunk is not None:
                    progress = True
                    yield chunk
                if reader.finished and not reader.done:
                    try:
                        last = self._finish()
                    except EmptyAnswer as error:
                        if error.proven and not error.output_tokens:
                            continue  # the usage may follow: it shows whether text was lost
                        raise
                    progress = True
                    yield changed(last, finish_reason=None, finishing=last.finish_reason)
            self.done = reader.done
            if received is None:
                yield self._finish()
            elif not progress:
                yield IDLE
        except BackendError as error:
            error.headers = error.headers or self._headers
            raise

    def _finish(self) -> ChatChunk:
        last = self._reader.finish()
        self._surrogates.end(last.finish_reason)
        return last


class ResponseParser:
    """The response to a streaming request, which some relays answer with a JSON body or with HTML."""

    def __init__(self, wire: Wire, request: ChatRequest, status: int, headers: Mapping[str, str]) -> None:
        self._wire = wire
        self._request = request
        self._status = status
        self._headers = headers
        self._events: EventParser | None = None
        self._body: list[bytes] = []
        self._size = 0
        self._failed = self._buffering = not 200 <= status < 300
        self._limits = () if self._failed else _limits(headers)

    @property
    def done(self) -> bool:
        """Whether nothing more needs to be read."""
        return self._events is not None and self._events.done

    def feed(self, data: bytes) -> Iterator[ChatChunk]:
        """The chunks that these bytes complete. An error is raised after the content that came before it."""
        if self._events is not None and not self._limits:
            return self._events.feed(data)
        return self._with_limits(self._detect(data) if self._events is None else self._events.feed(data))

    def _detect(self, data: bytes) -> Iterator[ChatChunk]:
        """Collect bytes until they show whether this is a stream. The content type is not used, because relays mislabel both."""
        self._body.append(data)
        self._size += len(data)
        limit = ERROR_BODY if self._failed else MAX_BODY
        if self._size > limit:
            if self._failed:
                raise_for_status(self._status, self._headers, b"".join(self._body))
            raise BodyTooLarge(f"the response is longer than {limit} bytes")
        if not self._buffering:
            received = b"".join(self._body)
            start = received.removeprefix(_BOM).lstrip()
            self._buffering = start.startswith((b"{", b"[", b"<"))
            if start and not self._buffering and not _BOM.startswith(start):
                self._events = EventParser(self._wire, self._request, self._headers)
                yield from self._events.feed(received)
                return
        yield IDLE

    def end(self) -> Iterator[ChatChunk]:
        """At the end of the body: the last chunk, or all chunks of a body that was not a stream."""
        return self._with_limits(self._whole_body() if self._events is None else self._events.feed(None))

    def _whole_body(self) -> Iterator[ChatChunk]:
        body = b"".join(self._body)
        yield from chunks_of(read_response(self._wire, self._request, self._status, self._headers, body))

    def _with_limits(self, chunks: Iterator[ChatChunk]) -> Iterator[ChatChunk]:
        """Put the limits into the first chunk with content, and the headers into an error."""
        try:
            for chunk in chunks:
                if chunk is IDLE or not self._limits:
                    yield chunk
                else:
                    limits, self._limits = self._limits, ()
                    yield changed(chunk, limits=limits)
        except BackendError as error:
            error.headers = error.headers or self._headers
            raise
