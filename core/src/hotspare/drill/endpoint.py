"""One endpoint of the embedded provider: a TCP port with its own faults, settings, rate limiter and counters."""

import asyncio
import json
import random
import socket
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from hotspare.drill.conversation import compose
from hotspare.drill.dialects.anthropic import AnthropicDialect
from hotspare.drill.dialects.base import Dialect, Rejection, dumps
from hotspare.drill.dialects.embeddings import GeminiEmbeddingsDialect, OpenAIEmbeddingsDialect
from hotspare.drill.dialects.gemini import GeminiDialect
from hotspare.drill.dialects.openai import OpenAIDialect
from hotspare.drill.dialects.responses import ResponsesDialect
from hotspare.drill.faults import Fault, FaultPlan, plan_faults
from hotspare.drill.http1 import Connection, HttpRequest, Observer, Step, response
from hotspare.drill.messages import Request
from hotspare.drill.render import reject, render
from hotspare.drill.settings import RateLimiter, Settings

OPENAI: Final[Dialect] = OpenAIDialect()
RESPONSES: Final[Dialect] = ResponsesDialect()
ANTHROPIC: Final[Dialect] = AnthropicDialect()
GEMINI: Final[Dialect] = GeminiDialect()
OPENAI_EMBEDDINGS: Final[Dialect] = OpenAIEmbeddingsDialect()
GEMINI_EMBEDDINGS: Final[Dialect] = GeminiEmbeddingsDialect()
RECORDED_REQUESTS: Final = 64
_SECRET_HEADERS: Final = frozenset({"authorization", "api-key", "x-api-key", "x-goog-api-key"})
_BACKLOG: Final = 1024


class Endpoint(Observer):
    """One provider in one region."""

    def __init__(self, name: str, seed: int) -> None:
        self.name = name
        self._seed = seed
        self._connections: set[Connection] = set()
        self._reservation = _bound_socket(0)  # never listens; reserves the port number while the port is closed
        self.port: int = self._reservation.getsockname()[1]
        self._listener: socket.socket | None = None
        self._server: asyncio.Server | None = None
        self.faults: list[Fault] = []
        self.reset()

    def reset(self) -> None:
        """Clear settings, faults and counters. Connections stay open."""
        self.configure({})
        self.faults.clear()
        self._random = random.Random(f"{self._seed}/{self.name}")
        self._dialects: Counter[str] = Counter()
        self._outcomes: Counter[str] = Counter()
        self._requests = self._in_flight = self._client_disconnects = 0
        self.recorded_requests: deque[dict[str, Any]] = deque(maxlen=RECORDED_REQUESTS)

    def configure(self, options: Mapping[str, Any]) -> None:
        """Replace the settings. Raises FaultError."""
        self._settings = Settings.of(options)
        rpm = self._settings.rpm
        self._limiter = None if rpm is None else RateLimiter(rpm, self._settings.burst or max(1.0, rpm))

    def open_port(self) -> None:
        """Accept connections from now on. They are served as soon as the event loop runs."""
        if self._listener is None:
            self._listener = _bound_socket(self.port)
            self._listener.listen(_BACKLOG)
            self._opening = asyncio.get_running_loop().create_task(self._serve(self._listener))

    async def _serve(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Connection(self.handle, self), sock=listener, backlog=_BACKLOG)
        if self._listener is listener:
            self._server = server
        else:
            server.close()

    def close_port(self) -> None:
        """Refuse connections and reset the open ones. The port number stays reserved."""
        if self._server is not None:
            self._server.close()
        elif self._listener is not None:
            self._opening.cancel()
            self._listener.close()
        self._server = self._listener = None
        for connection in list(self._connections):
            connection.reset()

    def opened(self, connection: Connection) -> None:
        """See Observer."""
        self._connections.add(connection)

    def closed(self, connection: Connection, *, by_client: bool, busy: bool) -> None:
        """See Observer."""
        self._connections.discard(connection)
        if busy:
            self.finished()
            self._client_disconnects += by_client

    def finished(self) -> None:
        """See Observer."""
        self._in_flight = max(0, self._in_flight - 1)  # a reset may have come in between

    def stats(self) -> dict[str, Any]:
        """The counters, as the fields of `hotspare.drill.provider.Stats`."""
        return {
            "requests": self._requests,
            "dialects": dict(self._dialects),
            "outcomes": dict(self._outcomes),
            "open_connections": len(self._connections),
            "in_flight": self._in_flight,
            "client_disconnects": self._client_disconnects,
            "listening": self._listener is not None,
        }

    def handle(self, http: HttpRequest) -> Iterator[Step]:
        """Answer one request."""
        self._requests += 1
        self._in_flight += 1
        dialect = _dialect_of(http)
        if dialect is None:
            self._outcomes["unknown_path"] += 1
            message = f"Invalid URL ({http.method} {http.path.split('?')[0]})"
            return iter([reject(Rejection(404, OPENAI.error(404, message)))])
        self._dialects[dialect.name] += 1
        try:
            return self._respond(dialect, http)
        except Rejection as rejection:
            self._outcomes[f"rejected:{rejection.status}"] += 1
            return iter([reject(rejection)])

    def _respond(self, dialect: Dialect, http: HttpRequest) -> Iterator[Step]:
        """The steps of the response. Raises Rejection.

        A fault hits invalid requests too, as an outage does, unless it has a `model` or a `count`.
        """
        body = _json(http.body)
        headers = {name: value for name, value in http.headers.items() if name not in _SECRET_HEADERS}
        self.recorded_requests.append({"path": http.path, "headers": headers, "body": body})
        request, rejection, faults = Request("", []), None, self.faults
        if http.method == "POST":
            try:
                request = dialect.read(http.path, http.headers, body)
            except Rejection as error:
                rejection = error
                faults = [fault for fault in faults if fault.count is None and not fault.model]
        plan = self._plan(dialect, request, faults)
        rate_limit_headers: Mapping[str, str] = {}
        if plan.fault is None:
            if rejection is not None:
                raise rejection
            if http.method == "GET":
                return iter([response(200, dumps(dialect.models()))])
            rate_limit_headers = self._admit(dialect)
            self._validate(dialect, request)
        answer = compose(request, self._settings.continuation, self._settings.replies)
        return render(dialect, request, answer, plan, rate_limit_headers)

    def _plan(self, dialect: Dialect, request: Request, faults: Sequence[Fault]) -> FaultPlan:
        plan = plan_faults(faults, request.model, dialect.name, request.stream, self._random)
        if plan.fault is not None:
            self._outcomes[plan.fault.kind] += 1
        return plan

    def _admit(self, dialect: Dialect) -> Mapping[str, str]:
        """Apply the limits. Returns the headers that state the rate limit; raises Rejection."""
        most = self._settings.concurrency
        if most is not None and self._in_flight > most:
            raise Rejection(503, dialect.error(503, f"the server handles at most {most} concurrent requests"))
        if self._limiter is None:
            return {}
        admitted, wait, limit = self._limiter.acquire()
        headers = dialect.rate_limit_headers(limit)
        if not admitted:
            rejection = dialect.rate_limited(self._settings.retry_after_form, round(wait, 3))
            rejection.headers = {**headers, **rejection.headers}
            raise rejection
        return headers

    def _validate(self, dialect: Dialect, request: Request) -> None:
        """Apply the settings. Raises Rejection; counts an accepted request as `ok`."""
        settings, last = self._settings, request.turns[-1] if request.turns else None
        request.prefill = settings.prefill or request.prefill
        if last is not None and last.role == "assistant" and request.prefill == "refuse":
            raise dialect.prefill_refused(request)
        if request.prompt_tokens > settings.context_window or (last is not None and "toolong" in last.text):
            raise dialect.context_length_exceeded(request, settings.context_window)
        if request.stream and not settings.streaming:
            raise dialect.streaming_refused()
        self._outcomes["ok"] += 1


def _bound_socket(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if hasattr(socket, "SO_REUSEPORT"):  # lets the listener and the reservation share the port
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.setblocking(False)
    sock.bind(("127.0.0.1", port))
    return sock


def _dialect_of(http: HttpRequest) -> Dialect | None:
    path = http.path.split("?", 1)[0]
    if http.method == "POST":
        by_end = {
            "/chat/completions": OPENAI,
            "/responses": RESPONSES,
            "/messages": ANTHROPIC,
            "enerateContent": GEMINI,
            "/embeddings": OPENAI_EMBEDDINGS,
            ":batchEmbedContents": GEMINI_EMBEDDINGS,
        }
        return next((dialect for end, dialect in by_end.items() if path.endswith(end)), None)
    if http.method == "GET" and path.endswith("/models"):
        return ANTHROPIC if "anthropic-version" in http.headers else GEMINI if "v1beta" in path else OPENAI
    return None


def _json(body: bytes) -> Any:
    try:
        return json.loads(body) if body else None
    except ValueError:
        return None
