"""What a request and an answer are between the wires: a wire reads its own JSON into `Ask` and writes `Said` as
its own.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any, NamedTuple, Protocol

Json = dict[str, Any]
Headers = Mapping[str, str]


@dataclass(slots=True)
class Tool:
    """A tool on offer. `schema` is its parameters' JSON schema."""

    name: str
    schema: Json


@dataclass(slots=True)
class Turn:
    """One message. `images` are the sizes in bytes of the pictures in it (0 for one given as a link), `called` the names
    of the tools it calls.
    """

    role: str
    text: str = ""
    images: list[int] = field(default_factory=list[int])
    results: list[str] = field(default_factory=list[str])
    called: tuple[str, ...] = ()
    prefix: bool = False


@dataclass(slots=True)
class Ask:
    """One request, wire-neutral. `choice` is auto, none, any or a tool's name; `json` wants JSON, with or without
    `schema`.
    """

    model: str
    turns: list[Turn]
    system: str = ""
    stream: bool = False
    tools: list[Tool] = field(default_factory=list[Tool])
    choice: str = "auto"
    parallel: bool = True
    json: bool = False
    schema: Json | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    reasoning: bool = False
    usage_wanted: bool = True
    prefill: str = "continue"
    prompt_tokens: int = 0
    streams_as_array: bool = False
    azure: bool = False


@dataclass(slots=True)
class Call:
    """A tool call of the answer; `seed` makes its id."""

    name: str
    arguments: Json
    seed: str

    @property
    def pieces(self) -> list[str]:
        """The arguments as JSON, in the pieces in which they are streamed."""
        text = json.dumps(self.arguments, ensure_ascii=False)
        return [text[i : i + 7] for i in range(0, len(text), 7)]


@dataclass(slots=True)
class Said:
    """One answer, wire-neutral. `finish` is stop, stop_sequence, length, tools or refused; token lists
    concatenate to the texts.
    """

    thinking: list[str]
    text: list[str]
    calls: list[Call]
    finish: str
    seed: str
    stop_sequence: str | None = None
    prompt_tokens: int = 0
    cached_tokens: int = 0
    written_tokens: int = 0
    output_tokens: int = 0

    @property
    def reasoning_tokens(self) -> int:
        """Tokens spent on thinking; part of `output_tokens`."""
        return len(self.thinking)


class Frame(NamedTuple):
    """One event of a stream; `token` when it carries content (a fault's position counts these only)."""

    data: bytes
    token: bool = False


class Rate(NamedTuple):
    """A limiter's state, for headers: requests a minute allowed, left, and the seconds until all are back."""

    limit: int
    remaining: int
    reset: float


class Reject(Exception):
    """The provider says no: an HTTP status and its own body."""

    def __init__(self, status: int, body: object, headers: Headers | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.body = body
        self.headers = dict(headers or {})


class Wire(Protocol):
    """One wire format: reading requests, writing answers, and every way of saying no."""

    name: str
    malformed: bytes
    keepalive: bytes

    def read(self, path: str, headers: Headers, body: Any) -> Ask:
        """Validate as the provider does. Raises `Reject` with the provider's own words."""
        ...

    def whole(self, ask: Ask, said: Said) -> Json:
        """The whole answer."""
        ...

    def frames(self, ask: Ask, said: Said, *, usage: bool = True) -> list[Frame]:
        """The streamed answer, one token an event; without the final usage where `usage` is false."""
        ...

    def hollow(self, ask: Ask, said: Said) -> Json:
        """A 200 of the right shape with no choice, no content block, no candidate in it."""
        ...

    def error(self, status: int, message: str | None = None) -> Json:
        """The provider's own body for `status`."""
        ...

    def error_event(self, status: int, message: str | None = None) -> bytes:
        """The same, as an event in the middle of a stream."""
        ...

    def too_long(self, ask: Ask, window: int) -> Reject:
        """The context-length error."""
        ...

    def refuse_prefill(self, ask: Ask) -> Reject:
        """The model takes no trailing assistant message."""
        ...

    def throttled(self, form: str, seconds: float) -> Reject:
        """429, telling the time to wait in one of the forms in `hotspare.drill.faults.FORMS`."""
        ...

    def quota(self, form: str) -> Reject:
        """A quota that is used up until tomorrow or until somebody pays."""
        ...

    def rate_headers(self, rate: Rate) -> Headers:
        """The headers in which the provider tells its limits."""
        ...


def dumps(value: object) -> bytes:
    """Compact JSON in UTF-8, unescaped, so that multi-byte characters can be cut in two on the wire."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def retry_headers(form: str, seconds: float) -> dict[str, str]:
    """The headers of a 429 for the forms that all wires share (RFC 9110 §10.2.3; milliseconds as Azure and OpenAI
    send them).
    """
    if form == "retry-after":
        return {"retry-after": f"{seconds:g}"}
    if form == "http-date":
        return {"retry-after": formatdate(time.time() + seconds, usegmt=True)}
    return {"retry-after-ms": f"{seconds * 1000:g}"} if form == "retry-after-ms" else {}


def data_size(base64_text: str) -> int:
    """Bytes that a base64 text stands for."""
    return len(base64_text.rstrip("=")) * 3 // 4


def unknown_fields(body: Mapping[str, Any], known: frozenset[str]) -> list[str]:
    """Top-level fields that the wire does not know, in order."""
    return [name for name in body if name not in known]
