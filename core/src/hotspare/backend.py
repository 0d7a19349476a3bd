"""Backend: who makes one attempt's call. Built-in ones speak provider wires; adapters bring a framework's own models."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import Protocol

from hotspare.messages import ChatChunk, ChatReply, ChatRequest
from hotspare.outcome import Outcome


class Backend(Protocol):
    """Makes calls at one target. It never retries and keeps no health: the engine does.

    `timeout` is in seconds. For `send` it bounds the whole answer; for `stream` it bounds the wait for the first
    content, and `stall` the wait between pieces of content after that. Async callers enforce both from outside as well
    (a cancel scope), so an async backend only has to be cancellable; a sync backend should keep them as nearly as its
    transport permits and yield `IDLE` whenever something came that is no progress, so that its caller can look at the clock.

    A stream yields chunks as they come and, as its last, exactly one chunk with `finish_reason` and `usage`, and only
    when the wire's own proof of completion was seen; otherwise it raises.
    """

    def unsupported(self, request: ChatRequest) -> tuple[str, ...]:
        """Names of the request's fields that this target cannot carry; empty when it can carry all."""
        ...

    def send(self, request: ChatRequest, *, timeout: float) -> ChatReply:
        """The whole answer."""
        ...

    async def asend(self, request: ChatRequest, *, timeout: float) -> ChatReply:
        """The whole answer, for async callers."""
        ...

    def stream(self, request: ChatRequest, *, timeout: float, stall: float) -> Generator[ChatChunk]:
        """The answer piece by piece. Closing the generator closes the connection."""
        ...

    def astream(self, request: ChatRequest, *, timeout: float, stall: float) -> AsyncGenerator[ChatChunk]:
        """The answer piece by piece, for async callers. `aclose()` closes the connection."""
        ...

    def classify(self, error: Exception) -> Outcome:
        """What an exception of this backend means."""
        ...
