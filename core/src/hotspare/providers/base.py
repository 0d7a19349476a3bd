"""The protocols of a wire format: a provider's JSON on one side, hotspare's messages on the other. No I/O, no state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from hotspare.errors import StatusError
from hotspare.messages import ChatChunk, ChatReply, ChatRequest, Dialect
from hotspare.providers.history import HistoryRules
from hotspare.target import RequestField, Target


class StreamReader(Protocol):
    """Reads one streamed answer: receives its SSE events in order, and keeps the state across events."""

    @property
    def finished(self) -> bool:
        """Whether the finish reason has arrived. The answer is then complete, even if more events follow."""
        ...

    @property
    def done(self) -> bool:
        """Whether the last event has arrived (`[DONE]`, `message_stop`): nothing more needs to be read."""
        ...

    def event(self, name: str, data: str) -> ChatChunk | None:
        """The new content of this event; None if it has none (ping, role only, usage only).

        Raises InBandError for an error event, and MalformedAnswer for an event that cannot be read and may have had
        content. Raises neither once `finished` is true.
        """
        ...

    def finish(self) -> ChatChunk:
        """The last chunk, with finish reason and usage. It may be called at the finish reason and again at the end of the
        stream; the second chunk does not repeat the content of the first.

        Raises IncompleteAnswer without proof of completion, EmptyAnswer without content, MalformedAnswer for incomplete
        tool calls, InBandError for an answer that a content filter blocked.
        """
        ...


class Wire(Protocol):
    """A provider's wire format: pure functions between its JSON and hotspare's messages."""

    dialect: Dialect
    """The key of `ChatRequest.extra` that this wire reads."""

    @property
    def history(self) -> HistoryRules:
        """The rules for the histories that the API accepts."""
        ...

    def prefill(self, target: Target) -> bool:
        """Whether the target continues an assistant message at the end of the request."""
        ...

    def unsupported(self, request: ChatRequest, target: Target) -> tuple[RequestField, ...]:
        """The fields of the request that this wire format cannot carry for this target.

        What the *model* cannot do (`Target.missing`) is not judged here.
        """
        ...

    def write(self, request: ChatRequest, target: Target, *, stream: bool) -> dict[str, Any]:
        """The JSON body of a request."""
        ...

    def url(self, base_url: str, target: Target, *, stream: bool) -> str:
        """The URL to post it to."""
        ...

    def headers(self, key: str | None) -> dict[str, str]:
        """Authentication and version headers."""
        ...

    def read(self, body: Mapping[str, Any], request: ChatRequest) -> ChatReply:
        """A whole answer. Raises InBandError, MalformedAnswer, EmptyAnswer or IncompleteAnswer."""
        ...

    def reader(self, request: ChatRequest) -> StreamReader:
        """A new reader for one streamed answer."""
        ...


class SecondApi(Protocol):
    """Decides which requests of one target need its second API, and learns this from rejections by the first API."""

    def serves(self, request: ChatRequest) -> bool:
        """Whether this request needs the second API."""
        ...

    def learn(self, error: StatusError, request: ChatRequest) -> bool:
        """Learn from a rejection by the first API. Returns whether it shows that this request needs the second API."""
        ...
