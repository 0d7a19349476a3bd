"""Backend: what makes the calls to one target. The built-in ones speak provider wire formats over HTTP; adapters bring
backends that wrap a framework's own models."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import Protocol

from hotspare._http.abort import CURRENT
from hotspare.messages import ChatChunk, ChatReply, ChatRequest
from hotspare.outcome import Outcome


def remaining_time() -> float | None:
    """In sync code, inside a backend's call: the seconds that the pool still waits for the result. None: there is no limit, or no
    pool made the call. At 0 the backend should raise `hotspare.errors.AttemptTimeout`."""
    handle = CURRENT.get()
    return None if handle is None else handle.remaining()


class Backend(Protocol):
    """Makes calls to one target. It never retries and keeps no health: the engine does both.

    `timeout` is in seconds. For `send` it bounds the whole answer; for `stream` it bounds the wait for the first
    content, and `stall` the wait between pieces of content after that. The drivers enforce both from outside as well:
    in async code by cancelling, in sync code by closing the attempt's socket. A backend that does its own I/O in sync
    code should therefore observe both bounds as closely as it can.

    A stream yields chunks as they come and, as its last, exactly one chunk with `finish_reason` and `usage`, and that only
    after the wire format's own proof of completion; otherwise it raises. An earlier chunk may have `finishing` set, once the
    proof has arrived: an error after that is not a break. The stream yields `IDLE` for data without content (keep-alive
    comments, empty role chunks), so that the pool can check its timeouts.

    A backend with the attribute `embeds = True` also serves `Pool.embed`: for a request whose `native` is an `EmbedInput` it returns
    a reply whose `native` is the list of vectors, in the order of the texts.
    """

    prefill: bool = False
    """Whether the model continues a trailing assistant message. If not, a broken answer is continued by an instruction."""
    streaming: bool = True
    """Whether the answer to `chat` may be read from a stream (`Policy.completion`); if not, `chat` always calls `send` or `asend`.
    Calls that stream use `stream` and `astream` in any case. With `completion = "auto"` `chat` streams only from a backend with the
    attribute `prefers_streaming = True`: its answers must lose nothing but `raw` when they are read from a stream."""

    def unsupported(self, request: ChatRequest) -> tuple[str, ...]:
        """Names of the request's fields that this backend cannot send; empty if it can send all of them.

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
        """The outcome that an exception of this backend stands for."""
        ...
