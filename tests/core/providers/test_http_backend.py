"""The HTTP backend against a real server on loopback: whole answers, streams, faults, and no clock but the server's."""

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import anyio
import anyio.to_thread
import pytest
from hotspare import Pool
from hotspare._engine.folding import reply_of
from hotspare._http import Http
from hotspare.errors import (
    AttemptTimeout,
    BackendError,
    ConfigError,
    EmptyAnswer,
    InBandError,
    IncompleteAnswer,
    MalformedAnswer,
    RequestError,
    StatusError,
)
from hotspare.messages import ChatChunk, ChatReply, ChatRequest
from hotspare.outcome import Kind
from hotspare.providers.http_backend import HttpBackend, backend_for
from hotspare.target import Target

ASK = ChatRequest(messages=[{"role": "user", "content": "hi"}])
SECONDS = 60.0
"""What a busy machine may take for something that takes milliseconds."""
Script = Callable[["Connection"], None]


@dataclass
class Connection:
    """One request that the server got, and the way to answer it."""

    socket: socket.socket
    head: str
    body: dict[str, Any]
    released: threading.Event

    def answer(self, body: bytes, *, status: int = 200, kind: str = "application/json", more: str = "") -> None:
        """A whole answer with its length."""
        head = f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n{more}\r\n"
        self.socket.sendall(head.encode() + body)

    def begin(self, *pieces: bytes, kind: str = "text/event-stream") -> None:
        """The head of an endless answer and these pieces of it."""
        head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\nconnection: close\r\n\r\n"
        self.socket.sendall(head.encode() + b"".join(pieces))

    def hold(self) -> None:
        """Wait until the test is over."""
        self.released.wait()


@dataclass
class Server:
    """Runs one script for every request."""

    script: Script = lambda connection: connection.answer(whole("Hello"))
    seen: list[Connection] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/v1"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                accepted, _ = self.listener.accept()
                threading.Thread(target=self._talk, args=(accepted,), daemon=True).start()

    def _talk(self, accepted: socket.socket) -> None:
        with accepted, contextlib.suppress(OSError):
            while (connection := self._read(accepted)) is not None:
                self.seen.append(connection)
                self.script(connection)
                if "connection: close" not in connection.head.lower() and "stream" not in connection.body:
                    continue
                return

    def _read(self, accepted: socket.socket) -> Connection | None:
        raw = b""
        while b"\r\n\r\n" not in raw:
            data = accepted.recv(65536)
            if not data:
                return None
            raw += data
        head, _, body = raw.partition(b"\r\n\r\n")
        lines = dict(line.lower().split(": ", 1) for line in head.decode().split("\r\n")[1:])
        while len(body) < int(lines["content-length"]):
            body += accepted.recv(65536)
        return Connection(accepted, head.decode(), json.loads(body), self.released)


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that answers Hello unless its script says otherwise."""
    found = Server()
    yield found
    found.released.set()
    found.listener.close()


@pytest.fixture
def http() -> Iterator[Http]:
    """The transport; closed after the test."""
    with Http() as found:
        yield found


def whole(text: str, **fields: Any) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return json.dumps({"id": "r", "model": "m", "choices": [choice], **fields}).encode()


def event(text: str = "", reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": reason}
    return b"data: " + json.dumps({"id": "r", "model": "m", "choices": [choice]}).encode() + b"\n\n"


END, DONE = event(reason="stop"), b"data: [DONE]\n\n"


def backend_of(server: Server, http: Http, provider: str = "openai", **fields: Any) -> HttpBackend:
    target = Target(f"{provider}/m", base_url=server.url, api_key="k", **fields)
    found = backend_for(target, http, {})
    assert isinstance(found, HttpBackend)
    return found


def everything(mode: str, backend: HttpBackend) -> ChatReply:
    """The answer through one of the four methods; an async one in the event loop that the mode names."""
    loop, _, method = mode.rpartition(" ")
    if method == "send":
        return backend.send(ASK, timeout=SECONDS)
    if method == "stream":
        return checked(list(backend.stream(ASK, timeout=SECONDS, stall=SECONDS)))

    async def inside() -> ChatReply:
        if method == "asend":
            return await backend.asend(ASK, timeout=SECONDS)
        return checked([chunk async for chunk in backend.astream(ASK, timeout=SECONDS, stall=SECONDS)])

    return anyio.run(inside, backend=loop)


def checked(chunks: list[ChatChunk]) -> ChatReply:
    """The whole answer; only the last chunk has a finish reason."""
    assert [chunk.finish_reason is not None for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    return reply_of(chunks)


ALL = pytest.mark.parametrize(
    "mode", ["send", "stream", "asyncio asend", "asyncio astream", "trio asend", "trio astream"]
)
STREAMED = pytest.mark.parametrize("mode", ["stream", "asyncio astream", "trio astream"])


@ALL
def test_an_answer(mode: str, server: Server, http: Http) -> None:
    """Text and finish reason; the request carries path, key, accept, the target's headers and its model."""

    def answer(connection: Connection) -> None:
        if connection.body.get("stream"):
            connection.begin(b": keep-alive\n\n", event(), event("Hel"), event("lo"), END, DONE)
        else:
            connection.answer(b"\n\n" + whole("Hello"))

    server.script = answer
    reply = everything(mode, backend_of(server, http, headers={"X-Tenant": "t"}))
    assert (reply.text, reply.finish_reason, reply.id) == ("Hello", "stop", "r")
    (seen,) = server.seen
    assert seen.head.startswith("POST /v1/chat/completions HTTP/1.1")
    lines = seen.head.lower()
    assert "authorization: bearer k" in lines
    assert "x-tenant: t" in lines
    assert ("text/event-stream" in lines) == ("stream" in mode)
    assert seen.body["messages"] == ASK.messages


@ALL
@pytest.mark.parametrize("status", [400, 401, 429, 500, 529, 302])
def test_a_status_that_is_not_a_success(mode: str, status: int, server: Server, http: Http) -> None:
    """StatusError with status, headers and the provider's body, through every method."""
    body = json.dumps({"error": {"message": "no"}}).encode()
    server.script = lambda c: c.answer(body, status=status, more="retry-after: 7\r\n")
    with pytest.raises(StatusError) as caught:
        everything(mode, backend_of(server, http))
    assert (caught.value.status, caught.value.body, caught.value.headers["retry-after"]) == (status, body, "7")


@ALL
@pytest.mark.parametrize(
    ("body", "kind", "error"),
    [
        (b"<html>gateway</html>", "text/html", MalformedAnswer),
        (b"<html>gateway</html>", "text/event-stream", MalformedAnswer),
        (whole("Hello")[:40], "application/json", MalformedAnswer),
        (b"", "application/json", EmptyAnswer),
        (b"\n\n\n", "application/json", EmptyAnswer),
        (b'{"error": {"message": "busy"}}', "application/json", InBandError),
        (b'{"error": {"message": "busy"}}', "text/event-stream", InBandError),
        (b'data: {"error": {"message": "busy"}}\n\ndata: [DONE]\n\n', "text/event-stream", InBandError),
        (event("Hel"), "text/event-stream", IncompleteAnswer),
        (event("Hel") + b'data: {"ch\n\n', "text/event-stream", MalformedAnswer),
        (whole(""), "application/json", EmptyAnswer),
    ],
)
def test_a_success_without_an_answer(
    mode: str, body: bytes, kind: str, error: type[BackendError], server: Server, http: Http
) -> None:
    """HTML, truncated JSON, an empty body, an error inside a 200, a truncated stream: each its own error, with the headers."""
    server.script = lambda c: c.answer(body, kind=kind, more="x-request-id: 1\r\n")
    with pytest.raises(error) as caught:
        everything(mode, backend_of(server, http))
    assert caught.value.headers["x-request-id"] == "1"


@ALL
@pytest.mark.parametrize("kind", ["application/json", "text/event-stream", "text/plain"])
@pytest.mark.parametrize("body", [whole("Hello"), event("Hello") + END + DONE])
def test_the_other_kind_of_answer_is_read_too(mode: str, kind: str, body: bytes, server: Server, http: Http) -> None:
    """Relays answer a stream with a whole body and the other way round, and send wrong content types."""
    server.script = lambda c: c.answer(body, kind=kind)
    assert everything(mode, backend_of(server, http)).text == "Hello"


@STREAMED
def test_a_server_that_never_closes_does_not_delay_a_whole_answer(mode: str, server: Server, http: Http) -> None:
    """[DONE] is the end, although the connection stays open."""

    def answer(connection: Connection) -> None:
        connection.begin(event("Hello"), END, DONE)
        connection.hold()

    server.script = answer
    assert everything(mode, backend_of(server, http)).text == "Hello"


def test_no_first_token_in_time(server: Server, http: Http) -> None:
    """Silence, keep-alives and role chunks are no content: a sync stream ends in AttemptTimeout."""
    for pieces in ((), (b": keep-alive\n\n",), (event(),)):

        def answer(connection: Connection, pieces: tuple[bytes, ...] = pieces) -> None:
            connection.begin(*pieces)
            connection.hold()

        server.script = answer
        with pytest.raises(AttemptTimeout):
            list(backend_of(server, http).stream(ASK, timeout=0.5, stall=SECONDS))


def test_a_drip_of_keep_alives_does_not_defeat_the_timeout(server: Server, http: Http) -> None:
    """Something arrives all the time, but never content."""

    def answer(connection: Connection) -> None:
        connection.begin()
        while not connection.released.wait(0.02):
            connection.socket.sendall(b": keep-alive\n\n")

    server.script = answer
    with pytest.raises(AttemptTimeout):
        list(backend_of(server, http).stream(ASK, timeout=0.5, stall=SECONDS))


def test_a_stall_after_content(server: Server, http: Http) -> None:
    """After the first content the stall bound holds; what came before was handed out."""

    def answer(connection: Connection) -> None:
        connection.begin(event("Hel"))
        connection.hold()

    server.script = answer
    text = ""
    with pytest.raises(AttemptTimeout):
        for chunk in backend_of(server, http).stream(ASK, timeout=SECONDS, stall=0.5):
            text += chunk.text
    assert text == "Hel"


def test_a_black_hole_of_a_whole_answer(server: Server, http: Http) -> None:
    """The connection is open, nothing comes: classified as a timeout."""
    server.script = lambda connection: connection.hold()
    backend = backend_of(server, http)
    with pytest.raises(Exception) as caught:  # the transport's own timeout or AttemptTimeout
        backend.send(ASK, timeout=0.5)
    assert backend.classify(caught.value).kind is Kind.TIMEOUT


@STREAMED
def test_leaving_a_stream_closes_its_connection(mode: str, server: Server, http: Http) -> None:
    """Closing the generator after the first chunk is seen by the server as the end of the connection."""
    closed = threading.Event()

    def answer(connection: Connection) -> None:
        connection.begin(event("Hel"))
        try:
            while connection.socket.recv(1):
                pass
        except OSError:
            pass
        closed.set()

    async def inside() -> None:
        chunks = backend_of(server, http).astream(ASK, timeout=SECONDS, stall=SECONDS)
        assert (await anext(chunks)).text == "Hel"
        await chunks.aclose()
        assert await anyio.to_thread.run_sync(closed.wait, SECONDS)

    server.script = answer
    loop = mode.rpartition(" ")[0]
    if loop:
        anyio.run(inside, backend=loop)
    else:
        stream = backend_of(server, http).stream(ASK, timeout=SECONDS, stall=SECONDS)
        assert next(stream).text == "Hel"
        stream.close()
        assert closed.wait(SECONDS)


RICH = ChatRequest(
    messages=[
        {"role": "user", "content": [{"type": "text", "text": "hi"}, {"type": "image_url", "image_url": {"url": "u"}}]}
    ],
    top_k=5,
    seed=7,
    temperature=1,
)
"""What OpenAI's format cannot carry (`top_k`), and what some models cannot do (images, `seed`)."""


def test_unsupported_fields_are_those_of_the_wire_format(server: Server, http: Http) -> None:
    """The backend judges neither `Target.missing` nor `Target.droppable`: the pool does."""
    assert backend_of(server, http, missing={"vision", "seed"}, droppable={"top_k"}).unsupported(RICH) == ("top_k",)


def test_droppable_fields_are_left_out(server: Server) -> None:
    """A pool leaves out what the target cannot be sent and may drop, and nothing else."""
    target = Target(
        "openai/m",
        base_url=server.url,
        api_key="k",
        missing={"vision", "seed"},
        droppable={"top_k", "seed", "messages", "temperature"},
    )
    with Pool([target]) as pool:
        assert pool.chat(RICH).text == "Hello"
    assert server.seen[0].body == {
        "model": "m",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
        "temperature": 1,
    }


def test_a_target_that_cannot_be_sent_a_field_is_not_called(server: Server) -> None:
    """Without `droppable` the request is refused, with the names of the fields."""
    target = Target("openai/m", base_url=server.url, api_key="k", missing={"vision", "seed"})
    with Pool([target]) as pool, pytest.raises(RequestError, match="top_k, messages, seed"):
        pool.chat(RICH)
    assert server.seen == []


def test_what_json_cannot_express_is_not_sent(server: Server, http: Http) -> None:
    """Bytes in a message are the caller's mistake: a RequestError before any call."""
    with pytest.raises(RequestError, match="JSON"):
        backend_of(server, http).send(ChatRequest(messages=[{"role": "user", "content": b"hi"}]), timeout=SECONDS)
    assert server.seen == []


def test_no_key_is_shown(server: Server, http: Http) -> None:
    """Neither a backend's repr nor an error of its construction shows the key."""
    assert "k" not in repr(backend_of(server, http, name="eu")).replace("HttpBackend", "")
    with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
        backend_for(Target("openai/m"), http, {})


def test_a_targets_own_backend_is_used(server: Server, http: Http) -> None:
    """As it is, whatever the target's id says."""
    own = backend_of(server, http)
    assert backend_for(Target("litellm/m", backend=own), http, {}) is own


def test_errors_are_classified_in_the_targets_dialect(server: Server, http: Http) -> None:
    """The backend hands its provider's name to `classify`."""
    body = json.dumps({"error": {"message": "Insufficient Balance"}}).encode()
    server.script = lambda c: c.answer(body, status=402)
    backend = backend_of(server, http, "deepseek")
    with pytest.raises(StatusError) as caught:
        backend.send(ASK, timeout=SECONDS)
    assert backend.classify(caught.value).kind is Kind.QUOTA
