"""One endpoint of the embedded provider: a port, its script of faults, its limiter, its counters."""

import asyncio
import json
import random
import socket
import time
from array import array
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

from hotspare.drill.conversation import CONTINUATIONS, PREFILLS, compose
from hotspare.drill.dialects.anthropic import AnthropicWire
from hotspare.drill.dialects.base import Ask, Headers, Rate, Reject, Wire, dumps
from hotspare.drill.dialects.gemini import GeminiWire
from hotspare.drill.dialects.openai import OpenAIWire
from hotspare.drill.dialects.openai_errors import filtered, invalid
from hotspare.drill.faults import FORMS, Fate, Fault, FaultError, fate
from hotspare.drill.http1 import Connection, Observer, Request, Step, plain
from hotspare.drill.render import play, reject

OPENAI: Final[Wire] = OpenAIWire()
ANTHROPIC: Final[Wire] = AnthropicWire()
GEMINI: Final[Wire] = GeminiWire()
WIRES: Final[Mapping[str, Wire]] = {w.name: w for w in (OPENAI, ANTHROPIC, GEMINI)}
MODELS: Final = ("gpt-4.1", "claude-sonnet-4-20250514", "gemini-2.5-flash", "deepseek-chat", "mistral-small-latest")


@dataclass(slots=True)
class Settings:
    """An endpoint's standing manners.

    `rpm`: requests a minute it admits (None: any number), with `burst` at once (default: `rpm`); `rate_form`: where
    its 429 tells
    the time. `prefill`: how a trailing assistant message is met (None: as the wire's own provider does).
    `continuation`: how an
    instruction to continue is met. `window`: context window in tokens. `streams`: False refuses to stream with a 400.
    `replies`: what is said to prompts that hold a phrase: `{"weather": {"call": {"get_weather": {"city": "Seoul"}}}}` calls
    that tool with these arguments, and of several tools each one once, as soon as it is offered, also after results of
    others; `{"joke": {"json": {…}}}` is the value where JSON is wanted.
    """

    rpm: float | None = None
    burst: float | None = None
    rate_form: str = "retry-after"
    prefill: str | None = None
    continuation: str = "continue"
    window: int = 128_000
    streams: bool = True
    replies: Mapping[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])

    def __post_init__(self) -> None:
        choices = (("prefill", (None, *PREFILLS)), ("continuation", CONTINUATIONS), ("rate_form", FORMS))
        for name, allowed in choices:
            if (value := getattr(self, name)) not in allowed:
                raise FaultError(f"setting {name}={value!r} must be one of {', '.join(map(str, allowed))}")
        if self.rpm is not None and self.rpm <= 0:
            raise FaultError(f"setting rpm={self.rpm!r} must be above 0 requests a minute, or None")
        for phrase, reply in self.replies.items():
            if not reply or not set(reply) <= {"call", "json"}:
                raise FaultError(f"setting replies[{phrase!r}]={reply!r} must hold call, json or both")

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> "Settings":
        """From a control message. Raises FaultError for a setting that does not exist."""
        known = {f.name for f in fields(cls)}
        for name in options:
            if name not in known:
                raise FaultError(f"setting {name!r} is unknown; use one of {', '.join(sorted(known))}")
        return cls(**options)


class _Bucket:
    """A token bucket: `rpm / 60` requests a second, `burst` at once."""

    def __init__(self, rpm: float, burst: float) -> None:
        self.rate, self.burst, self.level, self.then = rpm / 60, burst, burst, time.monotonic()

    def take(self) -> tuple[bool, float, Rate]:
        """Whether one may pass, the seconds until the next may, and the state to tell."""
        now = time.monotonic()
        self.level = min(self.burst, self.level + (now - self.then) * self.rate)
        self.then = now
        passed = self.level >= 1
        self.level -= 1 if passed else 0
        wait = max(0.0, (1 - self.level) / self.rate)
        return passed, wait, Rate(round(self.rate * 60), int(self.level), (self.burst - self.level) / self.rate)


class Endpoint(Observer):
    """A provider's door in one region."""

    def __init__(self, name: str, seed: int) -> None:
        self.name = name
        self._seed = seed
        self.connections: set[Connection] = set()
        self._holder = _bound(0)
        self.port: int = self._holder.getsockname()[1]
        self._listener: socket.socket | None = None
        self._server: asyncio.Server | None = None
        self.faults: list[Fault] = []
        self.reset()

    def reset(self) -> None:
        """Forget settings, faults and counters (not the connections)."""
        self.configure({})
        self.faults.clear()
        self.random = random.Random(f"{self._seed}/{self.name}")
        self.wires: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.requests = self.in_flight = self.max_in_flight = self.accepted = self.left = 0
        self.arrivals = array("d")
        self.heard: deque[dict[str, Any]] = deque(maxlen=64)

    def configure(self, options: Mapping[str, Any]) -> None:
        """Set the standing manners. Raises FaultError."""
        self.settings = Settings.of(options)
        rpm = self.settings.rpm
        self._bucket = None if rpm is None else _Bucket(rpm, self.settings.burst or max(1.0, rpm))

    def listen(self) -> None:
        """Open the port: clients may connect from now on, and are served as soon as the loop turns."""
        if self._listener is None:
            self._listener = _bound(self.port)
            self._listener.listen(1024)
            self._opening = asyncio.get_running_loop().create_task(self._serve(self._listener))

    async def _serve(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Connection(self.handle, self), sock=listener, backlog=1024)
        if self._listener is listener:
            self._server = server
        else:
            server.close()

    def refuse(self) -> None:
        """Close the port and reset what is connected. The number stays ours, so that it can be opened again."""
        if self._server is not None:
            self._server.close()
        elif self._listener is not None:
            self._opening.cancel()
            self._listener.close()
        self._server = self._listener = None
        for connection in list(self.connections):
            connection.reset()

    @property
    def listening(self) -> bool:
        """Whether connections are accepted."""
        return self._listener is not None

    def opened(self, connection: Connection) -> None:
        """See Observer."""
        self.connections.add(connection)
        self.accepted += 1

    def closed(self, connection: Connection, *, by_client: bool, busy: bool) -> None:
        """See Observer."""
        self.connections.discard(connection)
        if busy:
            self.finished()
            self.left += by_client

    def finished(self) -> None:
        """See Observer."""
        self.in_flight = max(0, self.in_flight - 1)

    def stats(self, *, arrivals: bool = False) -> dict[str, Any]:
        """The counters, as `hotspare.drill.provider.Stats` takes them."""
        return {
            "requests": self.requests,
            "wires": dict(self.wires),
            "outcomes": dict(self.outcomes),
            "connections": self.accepted,
            "open_connections": len(self.connections),
            "in_flight": self.in_flight,
            "max_in_flight": self.max_in_flight,
            "closed_by_client": self.left,
            "listening": self.listening,
            "arrivals": list(self.arrivals) if arrivals else [],
        }

    def handle(self, request: Request) -> Iterator[Step]:
        """Answer one request."""
        self.requests += 1
        self.arrivals.append(time.monotonic())
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        wire = _wire(request)
        if wire is None:
            self.outcomes["unknown_path"] += 1
            message = f"Invalid URL ({request.method} {request.path.split('?')[0]})"
            return iter([reject(Reject(404, OPENAI.error(404, message)))])
        self.wires[wire.name] += 1
        try:
            return self._answer(wire, request)
        except Reject as refused:
            self.outcomes[f"rejected:{refused.status}"] += 1
            return iter([reject(refused)])

    def _answer(self, wire: Wire, request: Request) -> Iterator[Step]:
        body = _json(request.body)
        self.heard.append({"path": request.path, "headers": _public(request.headers), "body": body})
        if request.method == "GET":
            ask = Ask("", [])
            met = self._fate(ask, wire)
            if met.fault is None:
                return iter([plain(200, dumps(_models(wire)))])
            return play(wire, ask, compose(ask), met, {})
        try:
            ask = wire.read(request.path, request.headers, body)
        except Reject:
            # a sick provider is sick for bad requests too: a fault comes before the judgement
            met = self._fate(Ask("", []), wire, peek=True)
            if met.fault is None:
                raise
            ask = Ask("", [])
            return play(wire, ask, compose(ask), met, {})
        met = self._fate(ask, wire)
        headers = self._admit(wire, met)
        if met.fault is None:
            self._judge(wire, ask)
        said = compose(ask, self.settings.continuation, self.settings.replies)
        return play(wire, ask, said, met, headers)

    def _fate(self, ask: Ask, wire: Wire, *, peek: bool = False) -> Fate:
        if peek and all(f.count is not None or f.model for f in self.faults):
            return Fate()
        met = fate(self.faults, ask.model, wire.name, ask.stream, self.random)
        if met.fault is not None:
            self.outcomes[met.fault.kind] += 1
        return met

    def _admit(self, wire: Wire, met: Fate) -> dict[str, str]:
        """Ask the limiter. Raises Reject; returns the headers that tell its state."""
        if self._bucket is None or met.fault is not None:
            return {}
        passed, wait, rate = self._bucket.take()
        told: Headers = wire.rate_headers(rate)
        if not passed:
            refused = wire.throttled(self.settings.rate_form, round(wait, 3))
            refused.headers = {**told, **refused.headers}
            raise refused
        return dict(told)

    def _judge(self, wire: Wire, ask: Ask) -> None:
        """What depends on the endpoint and not on the wire alone. Raises Reject; counts what passes as ok."""
        ask.prefill = self.settings.prefill or ask.prefill
        if ask.turns and ask.turns[-1].role == "assistant" and ask.prefill == "refuse":
            raise wire.refuse_prefill(ask)
        if ask.prompt_tokens > self.settings.window or (ask.turns and "toolong" in ask.turns[-1].text):
            raise wire.too_long(ask, self.settings.window)
        if ask.stream and not self.settings.streams:
            words = "Your organization must be verified to stream this model."
            raise (
                invalid(words, "stream", "unsupported_value") if wire is OPENAI else Reject(400, wire.error(400, words))
            )
        if ask.azure and "refuse me" in ask.turns[-1].text:
            raise filtered()
        self.outcomes["ok"] += 1


def _bound(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if hasattr(socket, "SO_REUSEPORT"):
        # a second socket, never listening, keeps the number while the port is closed
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.setblocking(False)
    sock.bind(("127.0.0.1", port))
    return sock


def _wire(request: Request) -> Wire | None:
    path = request.path.split("?", 1)[0]
    if request.method == "POST":
        if path.endswith("/chat/completions"):
            return OPENAI
        if path.endswith("/messages"):
            return ANTHROPIC
        return GEMINI if path.endswith(("enerateContent",)) else None
    if request.method == "GET" and path.endswith("/models"):
        return ANTHROPIC if "anthropic-version" in request.headers else GEMINI if "v1beta" in path else OPENAI
    return None


def _models(wire: Wire) -> dict[str, Any]:
    if wire is GEMINI:
        return {"models": [{"name": f"models/{m}", "supportedGenerationMethods": ["generateContent"]} for m in MODELS]}
    kind = {"type": "model", "display_name": "drill", "created_at": "2026-01-01T00:00:00Z"}
    other = {"object": "model", "created": 1_760_000_000, "owned_by": "drill"}
    data = [{"id": m, **(kind if wire is ANTHROPIC else other)} for m in MODELS]
    return {"data": data, "has_more": False} if wire is ANTHROPIC else {"object": "list", "data": data}


def _json(body: bytes) -> Any:
    try:
        return json.loads(body) if body else None
    except ValueError:
        return None


def _public(headers: Mapping[str, str]) -> dict[str, str]:
    return {k: v for k, v in headers.items() if k not in ("authorization", "api-key", "x-api-key", "x-goog-api-key")}
