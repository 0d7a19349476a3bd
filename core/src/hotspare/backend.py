"""Backend: what makes the calls to one target. The built-in ones speak provider wire formats over HTTP; adapters bring
backends that wrap a framework's own models."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import Protocol

from hotspare._http.abort import CURRENT
from hotspare.messages import ChatChunk, ChatReply, ChatRequest
from hotspare.outcome import Outcome


def remaining_time() -> float | None:
    """In sync code, inside a backend's call: the seconds that the pool will still wait for it (0: none). None: without
    limit, or outside of a pool's call. After that the backend should raise `hotspare.errors.AttemptTimeout`."""
    handle = CURRENT.get()
    return None if handle is None else handle.remaining()


class Backend(Protocol):
    """Makes calls to one target. It never retries and keeps no health: the engine does both.

    `timeout` is in seconds. For `send` it bounds the whole answer; for `stream` it bounds the wait for the first
    content, and `stall` the wait between pieces of content after that. The drivers enforce both from outside as well:
    in async code by cancelling, in sync code by closing the attempt's socket. A backend that does its own I/O in sync
    code should therefore keep them as nearly as it can.

    A stream yields chunks as they come and, as its last, exactly one chunk with `finish_reason` and `usage`, and that only
    after the wire format's own proof of completion; otherwise it raises. It may say earlier that the proof has come, with
    `finishing` in any chunk: then nothing that goes wrong afterwards is a break. It yields `IDLE` for what arrives without being
    content (keep-alive comments, empty role chunks), so that its reader can look at the clock.

    A backend with the attribute `embeds = True` answers `Pool.embed` too: to a request whose `native` is an `EmbedInput`, a reply
    whose `native` is the list of the vectors, in the order of the texts.
    """

    prefill: bool = False
    """Whether a trailing assistant message is continued; where not, a broken answer is continued by instruction."""
    streaming: bool = True
    """Whether a whole answer may be streamed underneath (`Policy.completion`); where not, it is waited for. Calls that stream
    use `stream` and `astream` all the same. With `completion = "auto"` only a backend that has the attribute
    `prefers_streaming = True` is streamed underneath: one whose answers lack nothing but `raw` when they are read from a stream."""

    def unsupported(self, request: ChatRequest) -> tuple[str, ...]:
        """Names of the request's fields that it cannot send; empty when it can send all of them.

        What the *model* cannot do (`Target.missing`) is judged by the pool, for every backend alike.
        """
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
