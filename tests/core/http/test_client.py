"""The HTTP seam against small real servers on loopback: every transport, threads and both event loops."""

import asyncio
import gc
import gzip
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import anyio
import httpx
import pytest
from hotspare._classify.rules import classify
from hotspare._http import Http, client
from hotspare.errors import AttemptTimeout, BodyTooLarge, ConfigError
from hotspare.outcome import Kind

Script = Callable[[socket.socket], None]
HEADERS = {"content-type": "application/json"}
SECONDS = 60.0
"""What a busy machine may take for something that takes milliseconds."""


class Server:
    """Accepts connections, reads a request, and does with the socket what the script says."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/"
        self.script: Script = lambda connection: None
        self.connections = 0
        self.released = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with connection:
            while self._request(connection):
                try:
                    self.script(connection)
                except OSError:
                    return

    @staticmethod
    def _request(connection: socket.socket) -> bool:
        data = b""
        try:
            while b"\r\n\r\n" not in data:
                data += connection.recv(65536) or b"\0"
                if b"\0" in data:
                    return False
            head, _, body = data.partition(b"\r\n\r\n")
            length = next(
                (int(x.split(b":")[1]) for x in head.lower().split(b"\r\n") if x.startswith(b"content-length")), 0
            )
            while len(body) < length:
                body += connection.recv(65536)
        except OSError:
            return False
        return True

    def close(self) -> None:
        self.released.set()
        self.listener.close()


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    yield found
    found.close()


def answers(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> Script:
    """A whole answer."""
    lines = b"".join(header + b"\r\n" for header in headers)
    return lambda c: c.sendall(b"HTTP/1.1 %s\r\n%scontent-length: %d\r\n\r\n%s" % (status, lines, len(body), body))


async def send(http: Http, face: str, url: str, timeout: float = SECONDS) -> client.Response:
    """One whole answer, in sync or async code."""
    if face == "sync":
        return http.send("POST", url, HEADERS, b"{}", timeout=timeout)
    with anyio.fail_after(timeout):
        return await http.asend("POST", url, HEADERS, b"{}")


FACES = pytest.mark.parametrize("face", ["sync", "async"])
TRANSPORTS = pytest.mark.parametrize("transport", ["auto", "httpx"])


@FACES
@TRANSPORTS
@pytest.mark.anyio
async def test_whole_answers(face: str, transport: str, server: Server) -> None:
    """Status, headers and a decoded body; the connection is used again (not by httpx); a redirect is not followed."""
    http = Http(transport)
    packed = gzip.compress(b"hello" * 100)
    server.script = answers(packed, b"content-encoding: gzip", b"x-a: b")
    for _ in range(3):
        found = await send(http, face, server.url)
        assert (found.status, found.headers["x-a"], found.body) == (200, "b", b"hello" * 100)
    server.script = answers(b"", b"location: http://127.0.0.1:1/", status=b"302 Found")
    assert (await send(http, face, server.url)).status == 302
    assert server.connections == (4 if transport == "httpx" else 1)
    await http.aclose()


@FACES
@TRANSPORTS
@pytest.mark.anyio
async def test_broken_connections_are_classified(face: str, transport: str, server: Server) -> None:
    """Refused, reset before an answer, and a body that ends early: transport failures, with and without a connection."""
    http = Http(transport)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(Exception) as refused:
        await send(http, face, f"http://127.0.0.1:{port}/")
    assert (classify(refused.value).kind, classify(refused.value).before_connect) == (Kind.TRANSPORT, True)
    server.script = lambda c: c.shutdown(socket.SHUT_RDWR)
    with pytest.raises(Exception) as reset:
        await send(http, face, server.url)
    assert (classify(reset.value).kind, classify(reset.value).before_connect) == (Kind.TRANSPORT, False)

    def early(c: socket.socket) -> None:
        c.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhello")
        c.shutdown(socket.SHUT_RDWR)

    server.script = early
    with pytest.raises(Exception) as short:
        await send(http, face, server.url)
    assert classify(short.value).kind is Kind.TRANSPORT
    await http.aclose()


def test_a_slow_body_does_not_outlast_the_timeout(server: Server) -> None:
    """A server that sends a byte now and then: the call ends when the time for the whole answer is over."""

    def byte_by_byte(c: socket.socket) -> None:
        c.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
        while not server.released.wait(0.02):
            c.sendall(b"x")

    server.script = byte_by_byte
    with Http() as http, pytest.raises(AttemptTimeout):
        http.send("POST", server.url, HEADERS, b"{}", timeout=0.2)


def test_a_read_can_be_bounded_more_tightly_than_the_request(server: Server) -> None:
    """The handle's bound counts, not the timeout with which the request was made."""

    def silence(c: socket.socket) -> None:
        c.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nhello")
        server.released.wait()

    server.script = silence
    with Http() as http, http.open("POST", server.url, HEADERS, b"{}", timeout=600) as stream:
        assert stream.read() == b"hello"
        stream.handle.limit(0.05)
        with pytest.raises(AttemptTimeout):
            stream.read()


@FACES
@pytest.mark.anyio
async def test_a_body_without_end_is_refused(face: str, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading stops at the limit, on the decoded size."""
    monkeypatch.setattr(client, "MAX_BODY", 1000)
    server.script = answers(gzip.compress(b"x" * 100_000), b"content-encoding: gzip")
    http = Http()
    with pytest.raises(BodyTooLarge):
        await send(http, face, server.url)
    await http.aclose()


@TRANSPORTS
@pytest.mark.anyio
async def test_cancelling_closes_the_connection(transport: str, server: Server) -> None:
    """A caller that is cancelled while it waits: the server sees the end of the connection."""
    received, closed = threading.Event(), threading.Event()

    def wait(c: socket.socket) -> None:
        received.set()
        if not c.recv(1):
            closed.set()
        raise OSError

    server.script = wait
    http = Http(transport)
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: http.asend("POST", server.url, HEADERS, b"{}"))
        assert await anyio.to_thread.run_sync(received.wait, SECONDS)
        group.cancel_scope.cancel()
    assert await anyio.to_thread.run_sync(closed.wait, SECONDS)
    await http.aclose()


def test_a_child_process_has_connections_of_its_own(server: Server) -> None:
    """After a fork parent and child each have a connection."""
    server.script = answers(b"ok")
    http = Http()
    assert http.send("POST", server.url, HEADERS, b"{}", timeout=SECONDS).body == b"ok"
    child = os.fork()
    if child == 0:
        try:
            found = http.send("POST", server.url, HEADERS, b"{}", timeout=SECONDS).body
            os._exit(0 if found == b"ok" else 1)
        except BaseException:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert http.send("POST", server.url, HEADERS, b"{}", timeout=SECONDS).body == b"ok"
    assert server.connections == 2
    http.close()


@FACES
@pytest.mark.anyio
async def test_vcr_records_and_replays(face: str, server: Server, tmp_path: Path) -> None:
    """httpx's own transport is what vcrpy knows: record once, then replay with the server gone."""
    import vcr

    server.script = answers(b'{"a": 1}', b"content-type: application/json")
    tape = str(tmp_path / "tape.yaml")
    for mode in ("once", "none"):
        http = Http("httpx")
        with vcr.use_cassette(tape, record_mode=mode):
            assert (await send(http, face, server.url)).body == b'{"a": 1}'
        await http.aclose()
        server.close()


def test_a_transport_may_be_an_instance_or_a_known_name() -> None:
    """Any httpx transport is used as it is; an unknown name, and an object that is no transport, are a ConfigError."""
    http = Http(httpx.MockTransport(lambda request: httpx.Response(418, content=b"tea")))
    assert http.send("POST", "http://x/", HEADERS, b"{}", timeout=1).status == 418
    http.close()
    for wrong in ("carrier-pigeon", 5, httpx.HTTPTransport):
        with pytest.raises(ConfigError, match=r"transport: .* must be one of auto, httpx"):
            Http(wrong)


@pytest.mark.parametrize("transport", ["auto", "httpx"])
def test_event_loops_that_have_ended_leave_no_client(
    transport: str, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """Scripts and notebooks run one loop after another: each gets connections of its own, and none is reported as unclosed."""
    server.script = answers(b"{}")
    http = Http(transport)

    async def post() -> bytes:
        return (await http.asend("POST", server.url, HEADERS, b"{}")).body

    assert [asyncio.run(post()) for _ in range(3)] == [b"{}"] * 3
    assert len(http._async) == 1, "only the last loop's client is left"
    http.close()
    assert not http._async
    gc.collect()
    assert not caplog.records


@pytest.mark.parametrize("error", [OSError("TLS"), asyncio.CancelledError()], ids=repr)
@pytest.mark.parametrize("when", ["closing", "at its end"])
def test_what_an_ended_loop_makes_of_closing_reaches_no_later_call(
    error: BaseException, when: str, server: Server
) -> None:
    """The connections of a loop that has ended are closed in a call of another loop, which is answered nevertheless."""
    server.script = answers(b"{}")
    http = Http()

    class Broken:
        """A transport that cannot be closed any more."""

        async def aclose(self) -> None:
            try:
                if when == "closing":
                    raise error
                await asyncio.sleep(0)
            finally:
                if when != "closing":
                    raise error

    async def post() -> bytes:
        return (await http.asend("POST", server.url, HEADERS, b"{}")).body

    loop = asyncio.new_event_loop()
    loop.close()
    http._async[loop] = {False: cast("Any", Broken())}
    assert asyncio.run(post()) == b"{}"
    http.close()
    assert not http._async
