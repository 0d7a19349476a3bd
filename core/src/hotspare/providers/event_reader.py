"""The base class of all wire formats' stream readers: malformed events, errors, and events after the finish reason."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from hotspare.errors import BackendError, MalformedAnswer
from hotspare.messages import ChatChunk
from hotspare.providers.json_access import Json, is_map, loads

DONE = "[DONE]"
_TRIES = 2
"""The fast path is switched off after this many frames in a row that matched no later event: some servers number their events."""


class EventReader(ABC):
    """Reads the events of one streamed answer.

    An event that cannot be read breaks the stream, because it may have had content. It is skipped if it cannot have had any: after
    the finish reason, by the event's name, or because it is an empty JSON value. An error event after the
    finish reason is skipped as well: the answer is complete (OpenRouter sends "Token limit reached" after `length`).
    """

    without_content: ClassVar[frozenset[str]] = frozenset({"ping", "done", "heartbeat", "keepalive", "keep-alive"})
    """Names of events without content."""

    def __init__(self) -> None:
        self.reason = ""
        """The finish reason, in lower case."""
        self.seen = False
        """Whether an event has arrived."""
        self.done = False
        """Whether the last event has arrived."""
        self._frame: _Frame | None = None
        self._tries = 0

    @property
    def finished(self) -> bool:
        """Whether the finish reason has arrived."""
        return bool(self.reason)

    def event(self, name: str, data: str) -> ChatChunk | None:
        """The new content of this event; None if it has none. Raises InBandError and MalformedAnswer."""
        frame, known = self._frame, False
        if frame is not None and frame.matches(name, data):
            text, known = frame.text_in(data), True
            if text:
                self._tries = 0
                return text_chunk(text)
        chunk = self._event(name, data)
        if chunk is None or len(chunk.__dict__) != 1:
            self._frame = None
        elif not known and self._tries < _TRIES:
            self._frame = _frame_of(name, data, chunk.text)
            self._tries += self._frame is not None
        elif not known:
            self._frame = None
        return chunk

    def _event(self, name: str, data: str) -> ChatChunk | None:
        """The general form of `event`: it parses the data."""
        try:
            body: Any = loads(data)
        except (ValueError, RecursionError):
            self._not_json(name, data)
            return None
        try:
            if not is_map(body):
                self._not_an_object(name, body, data)
                return None
            chunk = self.read(name, body)
        except BackendError as error:
            if self.finished:
                return None
            error.body = error.body or error_body(data)
            raise
        self.seen = True
        return chunk if chunk is None or chunk.text or chunk.is_content else None

    @abstractmethod
    def read(self, name: str, body: Json) -> ChatChunk | None:
        """The new content of this event."""

    def _not_json(self, name: str, data: str) -> None:
        text = data.strip()
        if text == DONE:
            self.done = True
        elif text and not self.finished and name not in self.without_content:
            raise MalformedAnswer("an event of the stream is not JSON", body=error_body(data))

    def _not_an_object(self, name: str, body: Any, data: str) -> None:
        """Raise MalformedAnswer for a text or a list, which may have content; skip numbers, booleans and empty values."""
        may_hold_content = type(body) in (str, list) and len(body) > 0
        if may_hold_content and not self.finished and name not in self.without_content:
            raise MalformedAnswer("an event of the stream is not a JSON object", body=error_body(data))


def text_chunk(text: str) -> ChatChunk:
    """``ChatChunk(text=text)`` in half the time, because a stream creates one for each token."""
    chunk = object.__new__(ChatChunk)
    chunk.__dict__["text"] = text
    return chunk


class _Frame:
    """The parts of an event before and after its text. Nearly all events of a stream differ in their text only, so that their text can
    be read without parsing."""

    __slots__ = ("_after", "_before", "_name")

    def __init__(self, name: str, before: str, after: str) -> None:
        self._name, self._before, self._after = name, before, after

    def matches(self, name: str, data: str) -> bool:
        """Whether the event has this frame."""
        return data.startswith(self._before) and data.endswith(self._after) and name == self._name

    def text_in(self, data: str) -> str:
        """The text of an event with this frame; "" if it must be parsed: it has escapes, or it is not a single JSON string."""
        text = data[len(self._before) : -len(self._after)]
        return text if text.isprintable() and '"' not in text and "\\" not in text else ""


def _frame_of(name: str, data: str, text: str) -> _Frame | None:
    """The frame of an event whose only content is this text; None if the position of the text is not certain."""
    if "\\" in data:
        return None
    before, quoted, after = data.partition(f'"{text}"')
    return _Frame(name, before + '"', '"' + after) if after and quoted not in after else None


def error_body(data: str) -> bytes:
    """The first 64 KiB of an event, as the body of an error."""
    return data[:65536].encode("utf-8", "replace")
