"""The shape of a wire format, and the backend that speaks one over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from hotspare.messages import ChatChunk, ChatReply, ChatRequest
from hotspare.target import Target


@dataclass(frozen=True, slots=True)
class WireRequest:
    """An HTTP POST, ready to be sent. `headers` holds the key: it is never shown."""

    url: str
    body: bytes
    headers: Mapping[str, str] = field(repr=False)


class StreamReader(Protocol):
    """Reads one streamed answer. It is fed SSE events in order and keeps what spans events."""

    def event(self, name: str, data: str) -> ChatChunk | None:
        """What is new in this event; None when it is no progress (ping, role only, usage only).

        Raises InBandError for an error event and MalformedAnswer for data that is not the wire's.
        """
        ...

    def finish(self) -> ChatChunk:
        """The last chunk, with finish reason and usage, after the stream's end.

        Raises IncompleteAnswer without the wire's proof of completion, EmptyAnswer if nothing came.
        """
        ...


class Wire(Protocol):
    """A provider's format: pure functions between its JSON and ours. Knows no I/O and no health."""

    dialect: str
    """`openai`, `anthropic` or `gemini`: the key of `ChatRequest.extra` that this wire takes."""

    def prefill(self, target: Target) -> bool:
        """Whether the target continues an assistant message that ends the request."""
        ...

    def unsupported(self, request: ChatRequest, target: Target) -> tuple[str, ...]:
        """Names of the request's fields that this wire cannot carry for this target."""
        ...

    def write(self, request: ChatRequest, target: Target, *, stream: bool) -> dict[str, Any]:
        """The JSON body of a request."""
        ...

    def url(self, base_url: str, target: Target, *, stream: bool) -> str:
        """Where to post it."""
        ...

    def headers(self, key: str | None) -> dict[str, str]:
        """Authentication and version headers."""
        ...

    def read(self, body: Mapping[str, Any], request: ChatRequest) -> ChatReply:
        """A whole answer. Raises InBandError, MalformedAnswer, EmptyAnswer or IncompleteAnswer."""
        ...

    def reader(self, request: ChatRequest) -> StreamReader:
        """A fresh reader for one streamed answer."""
        ...
