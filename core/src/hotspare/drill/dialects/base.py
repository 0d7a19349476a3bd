"""The protocol of a dialect, and what the modules of the dialects share."""

import json
import time
from collections.abc import Mapping
from email.utils import formatdate
from typing import Any, NamedTuple, Protocol

from hotspare.drill.messages import Answer, Json, Request

Headers = Mapping[str, str]
KEY_PREFIX = "test-"
"""API keys that begin with this are accepted."""
UNKNOWN_MODEL_PREFIX = "gone"
"""Models whose name begins with this do not exist."""
MODELS = ("gpt-4.1", "claude-sonnet-4-20250514", "gemini-2.5-flash", "deepseek-chat", "mistral-small-latest")
"""The models in the list of models; other names are accepted too."""


class StreamEvent(NamedTuple):
    """One event of a stream. `token`: it carries content; a fault's position counts these events only. `finish`: it carries the finish
    reason."""

    data: bytes
    token: bool = False
    finish: bool = False


class RateLimit(NamedTuple):
    """State of a rate limiter: requests allowed a minute, requests left, seconds until all of them are available again."""

    limit: int
    remaining: int
    reset: float


class Rejection(Exception):
    """The provider rejects a request, with an HTTP status and its own body."""

    def __init__(self, status: int, body: object, headers: Headers | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.body = body
        self.headers = dict(headers or {})


class Dialect(Protocol):
    """One provider's API: reading its requests, writing its answers, and its errors."""

    name: str
    malformed: bytes
    """An event whose JSON ends in the middle."""
    keepalive: bytes
    """The event that the provider sends while there is no content."""

    def read(self, path: str, headers: Headers, body: Any) -> Request:
        """Validate and read a request. Raises `Rejection` with the provider's own error."""
        ...

    def body(self, request: Request, answer: Answer) -> Json:
        """The whole answer."""
        ...

    def events(self, request: Request, answer: Answer, *, usage: bool = True) -> list[StreamEvent]:
        """The streamed answer, one token an event; without the final usage if `usage` is false."""
        ...

    def empty_choices(self, request: Request, answer: Answer) -> Json:
        """A whole answer of the right shape, without any choice, content block or candidate."""
        ...

    def empty_choices_events(self, request: Request, answer: Answer) -> list[bytes]:
        """The same as a stream."""
        ...

    def error(self, status: int, message: str | None = None) -> Json:
        """The provider's own error body for `status`."""
        ...

    def error_event(self, request: Request, status: int, message: str | None, *, first: bool) -> bytes:
        """The same as an event of a stream. `first`: no event came before it."""
        ...

    def context_length_exceeded(self, request: Request, window: int) -> Rejection:
        """The prompt is longer than the context window."""
        ...

    def prefill_refused(self, request: Request) -> Rejection:
        """The model does not accept a trailing assistant message."""
        ...

    def streaming_refused(self) -> Rejection:
        """This account may not stream."""
        ...

    def rate_limited(self, form: str, seconds: float) -> Rejection:
        """A 429 that states the time to wait in one of `hotspare.drill.faults.RETRY_AFTER_FORMS`."""
        ...

    def quota(self, limit: str) -> Rejection:
        """An exhausted quota: `day` until tomorrow, `balance` until the account is topped up."""
        ...

    def rate_limit_headers(self, limit: RateLimit) -> Headers:
        """The headers in which the provider states its limits."""
        ...

    def models(self) -> Json:
        """The list of models."""
        ...


def dumps(value: object) -> bytes:
    """Compact JSON in UTF-8, unescaped, so that a cut can fall inside a multi-byte character; halves of surrogate pairs are
    escaped."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")


def retry_after_headers(form: str, seconds: float) -> dict[str, str]:
    """The headers of a 429 that all dialects share (RFC 9110 section 10.2.3; milliseconds as Azure and OpenAI send them)."""
    if form == "retry-after":
        return {"retry-after": f"{seconds:g}"}
    if form == "http-date":
        return {"retry-after": formatdate(time.time() + seconds, usegmt=True)}
    return {"retry-after-ms": f"{seconds * 1000:g}"} if form == "retry-after-ms" else {}


def data_size(base64_text: str) -> int:
    """Size in bytes of data that is encoded in base64."""
    return len(base64_text.rstrip("=")) * 3 // 4


def unknown_fields(body: Mapping[str, Any], known: frozenset[str]) -> list[str]:
    """The fields of `body` that are not in `known`, in their order."""
    return [name for name in body if name not in known]
